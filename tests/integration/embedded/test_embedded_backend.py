"""The backend `embedded://`: a registry in the process, shared by who names the same one."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from homeport import BackendUnavailable, Discovery, Service, SettingsError, blocking, open_backend
from homeport.errors import MissingExtra
from homeport.server import embedded
from homeport.server.embedded import EmbeddedBackend
from homeport.spi import Discoverer, HealthReporter, Registrar
from homeport.testing.contract.leaks import Left
from homeport.testing.contract.waiting import ids, until
from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import clean_environment

HOSTS_THREAD = "homeport embedded registry"


def running() -> int:
    """How many registries there are in this process."""
    return sum(thread.name == HOSTS_THREAD for thread in threading.enumerate())


@pytest.fixture
def url() -> str:
    """A registry in memory that no other test uses."""
    return f"embedded://?name={uuid4().hex}"


async def test_all_of_one_url_share_it_and_the_last_one_ends_it(url: str) -> None:
    async with Discovery(f"{url}-before", environ={}) as discovery:  # what is made once for the process
        await discovery.services()
    before = Left()
    one, other = Discovery(url, environ={}), Discovery(url, environ={})
    assert running() == 0  # nothing before the first use
    async with one:
        async with other, other.watch("api") as watch:
            async with one.register("api", id="api-1", port=80):
                await until(watch, lambda snapshot: ids(snapshot) == ["api-1"])
                assert running() == 1
            await until(watch, lambda snapshot: not snapshot.instances)
            _ = await one.register("api", id="api-2", port=80)
        assert running() == 1
        assert ids(await one.discover("api")) == ["api-2"]
    assert running() == 0
    await before.returns()
    async with Discovery(url, environ={}) as later:  # in memory: begins empty
        assert len(await later.discover("api")) == 0


async def test_other_names_are_other_registries(url: str) -> None:
    one, other = Discovery(url, environ={}), Discovery(f"{url}x", environ={})
    async with one, other, one.register("api", port=80):
        assert len(await other.discover("api")) == 0
        assert running() == 2
        assert (await one.backend.ping())["store"] != (await other.backend.ping())["store"]


async def test_others_reach_it_over_the_network(url: str) -> None:
    async with Discovery(url, environ={}) as inside, inside.register("api", id="api-1", port=80):
        http = (await inside.backend.ping())["http"]
        async with Discovery(f"homeport://{http}", environ={}) as outside:
            assert ids(await outside.discover("api")) == ["api-1"]


async def test_it_listens_where_it_is_told(url: str) -> None:
    async with Discovery(f"{url}&http=127.0.0.2:0", environ={}) as discovery:
        facts = await discovery.backend.ping()
        assert facts["http"].startswith("127.0.0.2:")
        assert isinstance(discovery.backend, Registrar)
        assert await discovery.backend.advertised_address() == "127.0.0.2"
    async with Discovery(f"{url}&http=0.0.0.0:0", environ={}) as discovery:
        assert (await discovery.backend.ping())["http"].startswith("0.0.0.0:")
        assert len(await discovery.discover("api")) == 0


async def test_a_folder_keeps_what_was_registered(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/data"
    async with Discovery(url, environ={}) as discovery:
        store = (await discovery.backend.ping())["store"]
        assert isinstance(discovery.backend, Registrar)
        await discovery.backend.register(
            Service(name="api", id="api-1", address="10.0.0.1", port=1), ttl=None, incarnation=""
        )
    async with Discovery(url, environ={}) as discovery:
        assert ids(await discovery.discover("api")) == ["api-1"]
        assert (await discovery.backend.ping())["store"] == store
        # Another URL is another registry, and the folder belongs to one.
        async with Discovery(f"{url}?name=second", environ={}) as second:
            with pytest.raises(BackendUnavailable, match=r"cannot start: .* is using"):
                await second.discover("api")
    assert running() == 0


async def test_a_registry_that_cannot_start_says_why_and_is_tried_again(url: str) -> None:
    with PortLease() as lease:
        (port,) = lease.ports
        async with Discovery(f"{url}&http={LOOPBACK}:{port}", environ={}) as discovery:
            with socket.socket() as taken:
                taken.bind((LOOPBACK, port))
                with pytest.raises(BackendUnavailable, match=f"port {port} is taken"):
                    await discovery.discover("api")
            assert len(await discovery.discover("api")) == 0


async def test_checks_are_run_and_remembered_as_everywhere(url: str) -> None:
    async with Discovery(url, environ={}) as discovery:
        http = (await discovery.backend.ping())["http"]
        check = {"http": f"http://{http}/v1/status/leader", "interval": "10m"}
        async with discovery.register("api", id="api-1", port=80, checks=[{**check, "id": "self"}]):
            reporter = discovery.backend
            assert isinstance(reporter, HealthReporter)
            assert (await reporter.run_check("api-1", "self")).status == "passing"
            assert {row.instance for row in await reporter.history("api", since=0.0)} == {"api-1"}
            assert {row.name for row in await discovery.services()} == {"api"}


async def test_who_waits_for_the_start_may_be_cancelled(url: str) -> None:
    async with contextlib.aclosing(
        open_backend(url, {})
    ) as first:  # what is kept for the whole process is made at the first use
        await first.ping()
    before = Left()
    backend = open_backend(url, {})
    asked = asyncio.create_task(backend.ping())
    await asyncio.sleep(0)
    asked.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asked
    assert (await backend.ping())["product"] == "homeport"
    await backend.aclose()
    await backend.aclose()
    assert running() == 0
    await before.returns()


def test_several_event_loops_share_it(url: str) -> None:
    """As the blocking twins do, each of which has a loop of its own."""
    seen: list[list[str]] = []
    registered, read = threading.Event(), threading.Event()

    async def register() -> None:
        async with Discovery(url, environ={}, handle_signals=False) as discovery, discovery.register("api", id="a"):
            registered.set()
            await asyncio.to_thread(read.wait, 60)

    async def find() -> None:
        async with Discovery(url, environ={}, handle_signals=False) as discovery:
            seen.append(ids(await discovery.discover("api")))

    thread = threading.Thread(target=lambda: asyncio.run(register()))
    thread.start()
    assert registered.wait(60)
    asyncio.run(find())
    read.set()
    thread.join()
    assert seen == [["a"]]
    assert running() == 0


async def test_one_request_follows_all_services(url: str) -> None:
    backend = open_backend(url, {})
    assert isinstance(backend, Discoverer)
    assert backend.watch_limit == 100
    async with contextlib.aclosing(backend), Discovery(backend, environ={}) as discovery, asyncio.timeout(60):
        async with discovery.watch("api") as watch, discovery.register("api", id="a", port=80):
            await until(watch, lambda snapshot: ids(snapshot) == ["a"])
        assert backend.watch_limit is None


def test_blocking_clients_share_it(url: str) -> None:
    with blocking.Discovery(url, environ={}) as one, blocking.Discovery(url, environ={}) as other:
        with one.register("api", id="api-1", port=80):
            assert ids(other.discover("api")) == ["api-1"]
            assert running() == 1
        assert len(other.discover("api", use_cache=False)) == 0
    assert running() == 0


async def test_nothing_of_the_host_is_touched(url: str) -> None:
    access, error = logging.getLogger("uvicorn.access"), logging.getLogger("uvicorn.error")
    handler = logging.NullHandler()
    access.addHandler(handler)
    handlers = access.handlers[:]
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    before = (
        logging.getLogger().handlers[:],
        logging.getLogger().level,
        error.level,
        access.propagate,
        access.disabled,
    )
    frozen = gc.get_freeze_count()
    try:
        async with Discovery(url, environ={}) as discovery:
            await discovery.services()
            assert {number: signal.getsignal(number) for number in signals} == signals
            assert gc.get_freeze_count() <= frozen  # what was frozen may end
        root = logging.getLogger()
        assert (root.handlers[:], root.level, error.level, access.propagate, access.disabled) == before
        assert access.handlers == handlers
    finally:
        access.removeHandler(handler)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("embedded://data/here", "has no host; write embedded://"),
        (
            "embedded://?htp=127.0.0.1:0",
            "^embedded://: htp is not a parameter of an embedded backend; did you mean http",
        ),
    ],
)
def test_a_url_that_cannot_be_right_is_refused(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        open_backend(url, {})


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"pip install 'homeport\[server\]'"):
        Discovery("embedded://", environ={})


PROGRAM = """
import asyncio, json, sys
from homeport import Discovery, Service

async def main():
    discovery = Discovery(sys.argv[1])
    await discovery.backend.register(Service(name="api", id="api-1", address="10.0.0.1"), ttl=None, incarnation="")
    print(json.dumps([one.id for one in await discovery.discover("api")]), flush=True)

asyncio.run(main())
"""


WITHOUT_A_LOOP = """
import sys
from homeport.blocking import ClientSettings, Discovery

discovery = Discovery(sys.argv[1], settings=ClientSettings(deregister_timeout=60))
discovery.register("api", id="api-1", port=80)
discovery.register("api", id="api-2", port=80)
"""

ASKS_AT_THE_END = """
import atexit, sys, urllib.request
from homeport import open_backend

address = open_backend(sys.argv[1], {}).start()

@atexit.register
def ask():
    with urllib.request.urlopen(f"http://{address}/v1/agent/host") as answer:  # written by a thread of the registry
        print(answer.status)
"""


def ended(program: str, url: str) -> str:
    """What a program prints that ends without closing its registry, and without a word of complaint."""
    done = subprocess.run(
        [sys.executable, "-c", program, url],
        capture_output=True, text=True, timeout=120, check=False, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not {"Traceback", "Fatal", "failed"} & set(done.stderr.split()), done.stderr
    return done.stdout


async def found(url: str) -> list[str]:
    async with Discovery(url, environ={}) as discovery:
        return ids(await discovery.discover("api"))


def test_a_program_that_ends_without_closing_it_ends_it_and_loses_nothing(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/data"
    assert json.loads(ended(PROGRAM, url)) == ["api-1"]
    assert {path.name for path in tmp_path.glob("data/*")} == {"registry.db", "registry.lock", "history.db"}  # closed
    assert asyncio.run(found(url)) == ["api-1"]


def test_what_registers_itself_away_at_the_end_still_can(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/data"
    assert ended(WITHOUT_A_LOOP, url) == ""
    assert asyncio.run(found(url)) == []


def test_it_serves_what_the_program_does_at_its_end(url: str) -> None:
    assert ended(ASKS_AT_THE_END, url) == "200\n"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on, and rightly so
def test_after_a_fork_the_parent_s_registry_is_none_of_the_child_s(url: str) -> None:
    backend = open_backend(url, {})
    assert isinstance(backend, EmbeddedBackend)
    backend.start()
    child = os.fork()
    if not child:
        backend.stop()  # waits for nothing: its thread is not here
        os._exit(0 if not embedded._hosts.running else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert running() == 1
    backend.stop()
    assert running() == 0
