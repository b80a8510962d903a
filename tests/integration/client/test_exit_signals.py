"""How a program with registrations ends by a signal, with and without a framework's own handlers."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.servers.consul import ConsulServer
from tests.servers.factory import ConsulFactory
from tests.servers.process import clean_environment, wait_until

HEADER = """
import asyncio, os, signal, sys, threading, time
from homeport import ClientSettings, Discovery

backend, name = sys.argv[1:]
patient = ClientSettings(deregister_timeout=60)

def say(text):
    print(text, flush=True)
"""

PLAIN = """
async def main():
    async with Discovery(backend, settings=patient) as discovery, discovery.register(name, id=name, port=1):
        say("ready")
        await asyncio.Event().wait()

asyncio.run(main())
"""

ON_UVLOOP = PLAIN.replace("asyncio.run(main())", "import uvloop\nuvloop.run(main())")

TWO_OBJECTS = """
async def main():
    async with Discovery(backend, settings=patient) as one, Discovery(backend, settings=patient) as other:
        async with one.register(name, id=name, port=1), other.register(name, id=name + "-2", port=2):
            say("ready")
            await asyncio.Event().wait()

asyncio.run(main())
"""

NOT_UNDER_ASYNCIO_RUN = """
async def main():
    async with Discovery(backend, settings=patient) as discovery, discovery.register(name, id=name, port=1):
        say("ready")
        await asyncio.Event().wait()

asyncio.new_event_loop().run_until_complete(main())
"""

A_FRAMEWORK = """
async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with Discovery(backend, settings=patient) as discovery, discovery.register(name, id=name, port=1):
        say("ready")
        await told.wait()
        assert (await discovery.discover(name, use_cache=False))[0].id == name
        say("still registered while the framework winds up")

asyncio.run(main())
say("ended in its own way")
"""

HANDLERS_SWITCHED_OFF = """
async def main():
    discovery = Discovery(backend, settings=patient, handle_signals=False)
    async with discovery, discovery.register(name, id=name, port=1):
        say("ready")
        await asyncio.Event().wait()

asyncio.run(main())
"""

A_BLOCKED_LOOP = """
async def main():
    async with Discovery(backend) as discovery, discovery.register(name, id=name, port=1):
        say("ready")
        while True:
            time.sleep(0.05)

asyncio.run(main())
"""

A_LONG_LEAVE = PLAIN.replace("settings=patient", "settings=ClientSettings(deregister_timeout=300)")

AFTER_CLOSING = """
async def main():
    async with Discovery(backend, settings=patient) as discovery, discovery.register(name, id=name, port=1):
        pass
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    say("ready")

asyncio.run(main())
"""

A_FORK = """
async def main():
    async with Discovery(backend, settings=patient) as discovery, discovery.register(name, id=name, port=1):
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGTERM)
            os._exit(7)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGTERM, status
        assert (await discovery.discover(name, use_cache=False))[0].id == name
        say("ready")

asyncio.run(main())
"""

A_THREAD = """
async def main():
    async with Discovery(backend, settings=patient) as discovery, discovery.register(name, id=name, port=1):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        say("ready")

thread = threading.Thread(target=lambda: asyncio.run(main()))
thread.start()
thread.join()
"""

Program = Callable[[str], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def program(consul: ConsulServer, name: str) -> AsyncIterator[Program]:
    """Starts a program and waits until it says that it is ready."""
    started: list[asyncio.subprocess.Process] = []

    async def start(code: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", HEADER + code, consul.backend_url, name),
            stdout=asyncio.subprocess.PIPE,
            env=clean_environment(),
        )
        started.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


def registered(consul: ConsulServer, name: str) -> set[str]:
    return {one for one in consul.request("GET", "/v1/agent/services") if one.startswith(name)}


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal (proc_pid_status(5), SigCgt)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = (line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


async def end(process: asyncio.subprocess.Process, number: signal.Signals) -> tuple[int, str]:
    """Send the signal; the exit status and what it still said."""
    process.send_signal(number)
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.parametrize("code", [PLAIN, ON_UVLOOP, TWO_OBJECTS, NOT_UNDER_ASYNCIO_RUN])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_deregisters_and_ends_by_the_signal(
    consul: ConsulServer, name: str, program: Program, code: str, number: signal.Signals
) -> None:
    process = await program(code)
    assert name in registered(consul, name)
    status, _ = await end(process, number)
    assert status == -number
    assert registered(consul, name) == set()


async def test_a_framework_s_own_handler_stays(consul: ConsulServer, name: str, program: Program) -> None:
    status, said = await end(await program(A_FRAMEWORK), signal.SIGTERM)
    assert status == 0
    assert said.splitlines() == ["still registered while the framework winds up", "ended in its own way"]
    assert registered(consul, name) == set()


async def test_it_can_be_switched_off(consul: ConsulServer, name: str, program: Program) -> None:
    status, _ = await end(await program(HANDLERS_SWITCHED_OFF), signal.SIGTERM)
    assert status == -signal.SIGTERM
    assert registered(consul, name) == {name}


async def test_a_blocked_loop_does_not_keep_the_process_alive(
    consul: ConsulServer, name: str, program: Program
) -> None:
    status, _ = await end(await program(A_BLOCKED_LOOP), signal.SIGTERM)
    assert status == -signal.SIGTERM


async def test_a_second_signal_ends_it_at_once(consul_factory: ConsulFactory, name: str) -> None:
    consul = await asyncio.to_thread(consul_factory)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HEADER + A_LONG_LEAVE, f"{consul.backend_url}?timeout=300s", name),
        stdout=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    assert catches(process.pid, signal.SIGTERM)
    os.kill(consul.pid, signal.SIGSTOP)  # it accepts connections and never answers
    try:
        process.terminate()
        await asyncio.to_thread(
            wait_until, lambda: not catches(process.pid, signal.SIGTERM), timeout=60, what="the first signal"
        )
        assert process.returncode is None
        process.terminate()
        async with asyncio.timeout(60):
            assert await process.wait() == -signal.SIGTERM
    finally:
        os.kill(consul.pid, signal.SIGCONT)
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("code", [AFTER_CLOSING, A_FORK, A_THREAD])
async def test_the_handlers_are_ours_only_in_the_main_thread_of_the_registering_process_and_while_needed(
    program: Program, code: str
) -> None:
    process = await program(code)
    async with asyncio.timeout(60):
        assert await process.wait() == 0
