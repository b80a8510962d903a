"""A blocking Discovery in forked and spawned processes, among them the workers of a real gunicorn with --preload."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.blocking.conftest import TIMEOUT, Start
from tests.servers.homeport import HomeportServer
from tests.servers.process import clean_environment, wait_until

PREPARED = """
discovery = Discovery(backend, settings=patient)
registration = discovery.register(name, id=name, port=1)
closed = discovery.watch(name)
closed.close()
unused = discovery.watch(name)
heard = []
watch = discovery.watch(name, on_change=lambda snapshot: heard.append((os.getpid(), len(snapshot))))
discovery.resolve(name)
shared = discovery.watching(name)
snapshots = iter(watch)
next(snapshots)

def sockets():
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + number)
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found

def child_of(work):
    inherited = sockets()
    child = os.fork()
    if child == 0:
        try:
            work(inherited)
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
"""

READS = (
    PREPARED
    + """
def work(inherited):
    assert not [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    assert watch.pick().id == discovery.pick(name).id == shared.pick().id == name
    assert [one.id for one in watch.current] == [name]
    assert [one.id for one in closed.current] == [name] and closed.closed
    with unused:
        assert not unused.closed
    assert unused.closed and [one.id for one in unused.current] == [name] and list(unused) == []
    with watch.call() as call, discovery.call(name) as other:
        assert call.instance.id == other.instance.id == name
    assert discovery.watching(name).pick().id == name
    # The iteration goes on with the watch of this process.
    with discovery.register(name, id=name + "-child", port=2):
        next(one for one in snapshots if len(one) == 2)
    next(one for one in watch if len(one) == 1)
    while os.getpid() not in {pid for pid, _ in heard}:
        time.sleep(0.01)  # who is called back hears of it a little later
    discovery.close()

child_of(work)
next(one for one in watch if len(one) == 1)  # it may hear a little later of what the child did
assert watch.pick().id == name
with discovery.register(name, id=name + "-2", port=2):
    assert len(watch.settle()) == 2
discovery.close()
say("done")
"""
)

CONNECTIONS = (
    PREPARED
    + """
def work(inherited):
    discovery.resolve(name)
    # The two ends of the pipe that wakes the parent's loop are none of its connections.
    connections = [one for one in inherited & sockets() if one not in local]
    assert not connections, connections

import socket
def is_local(number):
    with socket.socket(fileno=os.dup(number)) as one:
        return one.family == socket.AF_UNIX
local = set()
for number in os.listdir("/proc/self/fd"):
    try:
        if os.readlink("/proc/self/fd/" + number).startswith("socket:") and is_local(int(number)):
            local.add(os.readlink("/proc/self/fd/" + number))
    except FileNotFoundError:
        pass
assert sockets() - local
child_of(work)
assert discovery.discover(name, use_cache=False)[0].id == name
discovery.close()
say("done")
"""
)

REGISTRATIONS = (
    PREPARED
    + """
def work(inherited):
    assert registration.standing is Standing.CLOSED and not registration.lost and registration.id == name
    assert registration.wait_for(Standing.LOST) is Standing.CLOSED
    assert registration.close() is False and discovery.deregister(registration) is False
    for change in (registration.update_meta, lambda meta: discovery.update_meta(registration, meta)):
        try:
            change({"a": 1})
        except NotReady as error:
            assert "belongs to the process that made it" in str(error)
        else:
            raise AssertionError
    try:
        discovery.update_meta(name, {"a": 1})
    except InvalidValue:
        pass
    with registration:
        pass
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with discovery.register(name, id=name + "-child", port=2) as own:
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        own.update(tags=["x"])
        assert [one.tags for one in discovery.discover(name, tags=["x"])] == [("x",)]
    discovery.close()

child_of(work)
assert registration.standing is Standing.REGISTERED
registration.update_meta({"a": 1})
assert [one.id for one in discovery.discover(name, use_cache=False)] == [name]
discovery.close()
say("done")
"""
)

A_CHILD_THAT_ENDS_BY_ITSELF = (
    PREPARED
    + """
child = os.fork()
if child == 0:
    if len(heard) > 99:
        watch.pick()
    sys.exit(0)  # with all that runs at the end of an interpreter
_, status = os.waitpid(child, 0)
assert status == 0, status
assert registration.standing is Standing.REGISTERED
assert [one.id for one in discovery.discover(name, use_cache=False)] == [name]
say("done")
"""
)

A_CHILD_WITH_A_REGISTRATION_OF_ITS_OWN = (
    PREPARED
    + """
child = os.fork()
if child == 0:
    discovery.register(name, id=name + "-child", port=2)
    say("registered")
    {ending}
_, status = os.waitpid(child, 0)
assert [one.id for one in discovery.discover(name, use_cache=False)] == [name], discovery.discover(name)
discovery.close()
say(status)
"""
)

NOTHING_IS_COLLECTED = """
import gc, warnings
discovery = Discovery(backend, settings=patient)
discovery.services()  # leaves a connection open, and nothing that runs
child = os.fork()
if child == 0:
    warnings.simplefilter("always")
    gc.collect()
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
discovery.close()
say("done")
"""

A_BACKEND_OBJECT = """
opened = open_backend(backend, {})
discovery = Discovery(opened, settings=patient)
watch = discovery.watch(name)
child = os.fork()
if child == 0:
    for ask in (lambda: watch.pick(), lambda: discovery.pick(name), lambda: discovery.discover(name)):
        try:
            ask()
        except NotReady as error:
            assert "give it a URL" in str(error), error
        else:
            os._exit(1)
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
watch.close()  # before the backend, without which it would be stale
discovery.loop_thread.run(opened.aclose)
discovery.close()
say("done")
"""

MULTIPROCESSING = """
import concurrent.futures, tempfile

with tempfile.TemporaryDirectory() as folder:
    with open(folder + "/worker_of_a_test.py", "w") as module:
        module.write('''
import os
from homeport.blocking import ClientSettings, Discovery

discovery = None

def prepare(backend):
    global discovery
    if discovery is None:
        discovery = Discovery(backend, settings=ClientSettings(deregister_timeout=60))

def found(name):
    return os.getpid(), discovery.resolve(name).id, discovery.pick(name).id
''')
    sys.path.insert(0, folder)
    import worker_of_a_test
    worker_of_a_test.prepare(backend)
    with worker_of_a_test.discovery as discovery, discovery.register(name, id=name, port=1):
        discovery.resolve(name)
        context = multiprocessing.get_context(METHOD)
        with concurrent.futures.ProcessPoolExecutor(
            2, mp_context=context, initializer=worker_of_a_test.prepare, initargs=(backend,)
        ) as pool:
            answers = list(pool.map(worker_of_a_test.found, [name] * 8))
        assert {answer[1:] for answer in answers} == {(name, name)}
        assert os.getpid() not in {answer[0] for answer in answers}
        assert [one.id for one in discovery.discover(name, use_cache=False)] == [name]
say("done")
"""


@pytest.mark.parametrize(
    "code",
    [READS, CONNECTIONS, REGISTRATIONS, A_CHILD_THAT_ENDS_BY_ITSELF, NOTHING_IS_COLLECTED, A_BACKEND_OBJECT],
    ids=["reads", "connections", "registrations", "ends-by-itself", "nothing-is-collected", "backend-object"],
)
def test_a_forked_process_begins_anew_and_leaves_the_parent_alone(
    homeport: HomeportServer, start: Start, code: str
) -> None:
    program = start(code, homeport.backend_url)
    assert program.end() == (0, ["done"], "")


@pytest.mark.parametrize(
    ("ending", "expected"),
    [("sys.exit(0)", 0), ("signal.raise_signal(signal.SIGTERM); time.sleep(60)", signal.SIGTERM)],
)
def test_a_forked_process_deregisters_what_it_registered_itself(
    homeport: HomeportServer, start: Start, ending: str, expected: int
) -> None:
    program = start(A_CHILD_WITH_A_REGISTRATION_OF_ITS_OWN.replace("{ending}", ending), homeport.backend_url)
    assert program.end() == (0, ["registered", str(int(expected))], "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_workers_of_a_pool_find_services(homeport: HomeportServer, start: Start, method: str) -> None:
    program = start(MULTIPROCESSING.replace("METHOD", repr(method)), homeport.backend_url)
    assert program.end() == (0, ["done"], "")


APPLICATION = """
import json, os
from homeport.blocking import ClientSettings, Discovery

discovery = Discovery(settings=ClientSettings(deregister_timeout=60))
registration = discovery.register(os.environ["NAME"], id=os.environ["NAME"], port=1)
watch = discovery.watch("billing-of-" + os.environ["NAME"])
discovery.resolve("api-of-" + os.environ["NAME"])

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    found = {
        "worker": os.getpid(),
        "watched": sorted(one.id for one in watch.current),
        "picked": discovery.pick("api-of-" + os.environ["NAME"]).id,
    }
    return [json.dumps(found).encode()]
"""


class Gunicorn:
    """A real gunicorn with two workers that fork after the application is loaded."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        (folder / "application.py").write_text(APPLICATION)
        self._log = folder / "gunicorn.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:0",
                 "--worker-tmp-dir", str(folder), "--no-control-socket", "application:application"],
                cwd=folder, env=clean_environment(environment), stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def address(self) -> str:
        def listening() -> bool:
            assert self.process.poll() is None, self.log
            return "Listening at" in self.log

        wait_until(listening, timeout=TIMEOUT, what="gunicorn listening")
        found = re.search(r"Listening at: (\S+)", self.log)
        assert found is not None
        return found[1]

    def ask(self) -> Any:
        with urllib.request.urlopen(self.address, timeout=TIMEOUT) as answer:
            return json.loads(answer.read())

    def ask_both(self) -> list[Any]:
        """An answer of each worker."""
        answers: dict[int, Any] = {}
        deadline = time.monotonic() + TIMEOUT
        while len(answers) < 2:
            assert time.monotonic() < deadline, answers
            answer = self.ask()
            answers[answer["worker"]] = answer
        return list(answers.values())


@pytest.fixture
def gunicorn(homeport: HomeportServer, name: str, tmp_path: Path) -> Iterator[Gunicorn]:
    for service in ("api", "billing"):
        register(homeport, f"{service}-of-{name}", "1")
    running = Gunicorn(tmp_path, {"HOMEPORT_BACKEND": homeport.backend_url, "NAME": name})
    yield running
    if running.process.poll() is None:
        running.process.kill()
    running.process.wait()
    for one in homeport.request("GET", "/v1/agent/services"):
        if name in one:
            homeport.request("PUT", f"/v1/agent/service/deregister/{one}")


def register(homeport: HomeportServer, service: str, number: str) -> None:
    body = {"ID": f"{service}-{number}", "Name": service, "Address": "127.0.0.1", "Port": 1}
    homeport.request("PUT", "/v1/agent/service/register", body)


def test_the_workers_of_a_preloaded_gunicorn_follow_services_and_only_the_master_deregisters(
    homeport: HomeportServer, name: str, gunicorn: Gunicorn
) -> None:
    billing = f"billing-of-{name}"
    for answer in gunicorn.ask_both():
        assert answer["watched"] == [f"{billing}-1"]
        assert answer["picked"] == f"api-of-{name}-1"
    register(homeport, billing, "2")

    def everybody_knows() -> bool:
        return all(answer["watched"] == [f"{billing}-1", f"{billing}-2"] for answer in gunicorn.ask_both())

    wait_until(everybody_knows, timeout=TIMEOUT, what="both workers seeing the new instance")
    worker = gunicorn.ask()["worker"]
    os.kill(worker, signal.SIGTERM)
    wait_until(lambda: worker not in {one["worker"] for one in gunicorn.ask_both()}, timeout=TIMEOUT, what="its end")
    assert name in homeport.request("GET", "/v1/agent/services")
    gunicorn.process.send_signal(signal.SIGTERM)
    assert gunicorn.process.wait(TIMEOUT) == 0
    assert name not in homeport.request("GET", "/v1/agent/services")
    for noise in ("Traceback", "Unclosed", "pending", "never awaited", "Exception ignored"):
        assert noise not in gunicorn.log
