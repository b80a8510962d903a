"""How programs with a blocking Discovery end: by signals, by Ctrl-C in a call, and by simply ending."""

import signal
from pathlib import Path

import pytest

from tests.integration.blocking.conftest import Start
from tests.servers.fault_proxy import FaultProxy
from tests.servers.homeport import HomeportServer

SLEEPING = """
discovery = Discovery(backend, settings=patient)
registration = discovery.register(name, id=name, port=1)
say("ready")
sleep_on()
"""

IN_BLOCKS = """
discovery = Discovery(backend, settings=patient)
with discovery, discovery.register(name, id=name, port=1), discovery.watch(name) as watch:
    say("ready")
    for snapshot in watch:
        pass
"""

TWO_OBJECTS = """
with Discovery(backend, settings=patient) as one, Discovery(backend, settings=patient) as other:
    one.register(name, id=name, port=1)
    other.register(name, id=name + "-2", port=2)
    say("ready")
    sleep_on()
"""

A_FRAMEWORK = """
told = []  # not an Event, for whose lock a handler would wait when its own thread holds it
signal.signal(signal.SIGTERM, lambda *_: told.append("end"))
with Discovery(backend, settings=patient) as discovery, discovery.register(name, id=name, port=1):
    say("ready")
    while not told:
        time.sleep(0.05)
    say("registered", len(discovery.discover(name, use_cache=False)))
say("ended in its own way")
"""

CLOSING_HANDLER = """
discovery = Discovery(backend, settings=patient, handle_signals=False)
def leave(*_):
    discovery.close()
    sys.exit(7)
signal.signal(signal.SIGTERM, leave)
discovery.register(name, id=name, port=1)
say("ready")
for snapshot in discovery.watch(name):
    pass
time.sleep(3600)
"""

SWITCHED_OFF = """
discovery = Discovery(backend, settings=patient, handle_signals=False)
discovery.register(name, id=name, port=1)
say("ready")
time.sleep(3600)
"""

AFTER_DEREGISTERING = """
discovery = Discovery(backend, settings=patient)
for deregister in (discovery.deregister, lambda one: one.close(), lambda one: discovery.deregister(one.id)):
    registration = discovery.register(name, id=name, port=1)
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert deregister(registration)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
say("ready")
"""

ON_AFTER_CTRL_C = """
discovery = Discovery(backend, settings=patient)
first = discovery.register(name, id=name, port=1)
try:
    say("waiting")
    sleep_on()
except KeyboardInterrupt:
    assert first.standing is Standing.CLOSED
    discovery.register(name, id=name + "-2", port=1)
    say("ready")
    sleep_on()
"""

CONFIGURED = """
with configured(os.environ["FILE"], backend=backend, settings={"deregister_timeout": 60}):
    say("ready")
    sleep_on()
"""

UNCLOSED = """
discovery = Discovery(backend, settings=patient)
watch = discovery.watch(name, on_change=lambda snapshot: None)
registration = discovery.register(name, id=name, port=1)
say("ready")
"""

UNCLOSED_IN_HASTE = UNCLOSED.replace(", settings=patient", "") + "sys.stdin.readline()"

UNCLOSED_WITH_AN_ERROR = UNCLOSED + "sys.exit('on purpose')"

AT_EXIT_BY_ITSELF = """
discovery = Discovery(backend, settings=patient)
service_id = discovery.register(name, id=name, port=1)
atexit.register(lambda: say("deregistered", discovery.deregister(service_id)))
say("ready")
"""

STUCK_CALLBACK = """
called = threading.Event()
def on_change(snapshot):
    called.set()
    time.sleep(3600)
discovery = Discovery(backend, settings=patient)
discovery.register(name, id=name, port=1)
discovery.watch(name, on_change=on_change)
called.wait()
say("ready")
"""

# A token file is read on an executor's thread, and executors take nothing more when atexit runs.
WITH_A_TOKEN_FILE = """
discovery = Discovery(backend, settings=patient)
discovery.register(name, id=name, port=1)
time.sleep(1.1)  # the file is looked at once a second
say("ready")
"""

CALLS_THAT_WAIT = {
    "discover": "discovery.discover(other)",
    "watch": "discovery.watch(other)",
    "register": "discovery.register(other, id=other, address='10.0.0.1', port=1)",
    "iterate": "[0 for _ in watch]",
    "perform": "watch.perform(lambda call: (called.set(), time.sleep(3600)), idempotent=True, hedge_after=0.01)",
}

INTERRUPTED = """
import asyncio
other = name + "-other"
discovery = Discovery(backend, settings=patient)
watch = discovery.watch(name)
OF_CALLS = ("Discovery.", "Registration.", "Watch.", "_newer")
async def of_the_call():
    await asyncio.sleep(0)
    return [
        task for task in asyncio.all_tasks()
        if task is not asyncio.current_task()
        and (other in task.get_name() or getattr(task.get_coro(), "__qualname__", "").startswith(OF_CALLS))
    ]
called = threading.Event()
def tell():
    while not called.is_set() and not discovery.loop_thread.run(of_the_call):
        pass
    say("waiting")
say("ready")
sys.stdin.readline()
try:
    threading.Thread(target=tell, daemon=True).start()
    {call}
except KeyboardInterrupt:
    say("interrupted")
sys.stdin.readline()
while discovery.loop_thread.run(of_the_call):
    pass
say("nothing is left of the call")
discovery.close()
"""


def registered(homeport: HomeportServer, name: str) -> set[str]:
    return {one for one in homeport.request("GET", "/v1/agent/services") if one.startswith(name)}


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (SLEEPING, signal.SIGTERM),
        (SLEEPING, signal.SIGINT),
        (IN_BLOCKS, signal.SIGTERM),
        (IN_BLOCKS, signal.SIGINT),
        (TWO_OBJECTS, signal.SIGTERM),
    ],
)
def test_a_signal_deregisters_and_ends_the_process(
    homeport: HomeportServer, name: str, start: Start, code: str, number: signal.Signals
) -> None:
    program = start(code, homeport.backend_url)
    assert program.line() == "ready"
    assert name in registered(homeport, name)
    status, _, _ = program.end(number)
    assert status == -number
    assert registered(homeport, name) == set()


def test_who_goes_on_after_ctrl_c_may_register_again(homeport: HomeportServer, name: str, start: Start) -> None:
    program = start(ON_AFTER_CTRL_C, homeport.backend_url)
    assert program.line() == "waiting"
    program.process.send_signal(signal.SIGINT)
    assert program.line() == "ready"
    assert registered(homeport, name) == {f"{name}-2"}
    assert program.end(signal.SIGTERM)[0] == -signal.SIGTERM
    assert registered(homeport, name) == set()


def test_a_framework_s_own_handler_stays(homeport: HomeportServer, name: str, start: Start) -> None:
    program = start(A_FRAMEWORK, homeport.backend_url)
    assert program.line() == "ready"
    assert program.end(signal.SIGTERM) == (0, ["registered 1", "ended in its own way"], "")
    assert registered(homeport, name) == set()


def test_a_handler_may_close_what_its_thread_is_waiting_in(homeport: HomeportServer, name: str, start: Start) -> None:
    program = start(CLOSING_HANDLER, homeport.backend_url)
    assert program.line() == "ready"
    status, _, complained = program.end(signal.SIGTERM)
    assert (status, complained) == (7, "")
    assert registered(homeport, name) == set()


def test_the_handling_of_signals_can_be_switched_off(homeport: HomeportServer, name: str, start: Start) -> None:
    program = start(SWITCHED_OFF, homeport.backend_url)
    assert program.line() == "ready"
    assert program.end(signal.SIGTERM)[0] == -signal.SIGTERM
    assert registered(homeport, name) == {name}
    homeport.request("PUT", f"/v1/agent/service/deregister/{name}")


@pytest.mark.parametrize("deregister", ["true", "false"])
def test_what_the_settings_file_registers_is_removed_by_a_signal_if_it_says_so(
    homeport: HomeportServer, name: str, start: Start, tmp_path: Path, deregister: str
) -> None:
    file = tmp_path / "homeport.yaml"
    file.write_text(
        f"services: [{{name: {name}, id: {name}, port: 1}}]\n"
        f"consul: {{service_registration: {{deregister_on_exit: {deregister}}}}}\n"
    )
    program = start(CONFIGURED, homeport.backend_url, FILE=str(file))
    assert program.line() == "ready"
    assert program.end(signal.SIGTERM)[0] == -signal.SIGTERM
    left = registered(homeport, name)
    assert left == (set() if deregister == "true" else {name})
    for one in left:
        homeport.request("PUT", f"/v1/agent/service/deregister/{one}")


def test_the_handlers_are_ours_only_while_something_is_registered(
    homeport: HomeportServer, name: str, start: Start
) -> None:
    program = start(AFTER_DEREGISTERING, homeport.backend_url)
    assert program.line() == "ready"
    assert program.end() == (0, [], "")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (UNCLOSED, (0, [], "")),
        (UNCLOSED_WITH_AN_ERROR, (1, [], "on purpose\n")),
        (AT_EXIT_BY_ITSELF, (0, ["deregistered True"], "")),
        (STUCK_CALLBACK, (0, [], "")),
    ],
)
def test_a_program_that_ends_without_closing_is_deregistered(
    homeport: HomeportServer, name: str, start: Start, code: str, expected: tuple[int, list[str], str]
) -> None:
    program = start(code, homeport.backend_url)
    assert program.line() == "ready"
    assert program.end() == expected
    assert registered(homeport, name) == set()


def test_a_token_file_can_be_read_when_the_interpreter_is_ending(
    homeport: HomeportServer, name: str, start: Start, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    program = start(WITH_A_TOKEN_FILE, f"{homeport.backend_url}?token_file={token}")
    assert program.line() == "ready"
    assert program.end() == (0, [], "")
    assert registered(homeport, name) == set()


def test_a_registry_that_does_not_answer_does_not_keep_a_program_from_ending(
    homeport: HomeportServer, name: str, start: Start
) -> None:
    with FaultProxy(homeport.address) as proxy:
        program = start(UNCLOSED_IN_HASTE, f"homeport://{proxy.address}")
        assert program.line() == "ready"
        proxy.stall()
        status, said, complained = program.end()
        assert (status, said) == (0, [])
        assert "Traceback" not in complained
        assert registered(homeport, name) == {name}
    homeport.request("PUT", f"/v1/agent/service/deregister/{name}")


@pytest.mark.parametrize("call", list(CALLS_THAT_WAIT))
def test_ctrl_c_ends_a_waiting_call_and_leaves_nothing_of_it(
    homeport: HomeportServer, name: str, start: Start, call: str
) -> None:
    instance = {"ID": name, "Name": name, "Address": "127.0.0.1", "Port": 1}
    homeport.request("PUT", "/v1/agent/service/register", instance)
    try:
        with FaultProxy(homeport.address) as proxy:
            program = start(INTERRUPTED.format(call=CALLS_THAT_WAIT[call]), f"homeport://{proxy.address}")
            assert program.line() == "ready"
            proxy.stall()
            program.go_on()
            assert program.line() == "waiting"
            program.wait_asleep()
            program.process.send_signal(signal.SIGINT)
            assert program.line() == "interrupted"
            proxy.cut()  # what was held back never arrives
            proxy.resume()
            program.go_on()
            status, said, complained = program.end()
            assert (status, said) == (0, ["nothing is left of the call"]), complained
            assert "Traceback" not in complained
    finally:
        homeport.request("PUT", f"/v1/agent/service/deregister/{name}")
    assert registered(homeport, name) == set()
