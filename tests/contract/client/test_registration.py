"""Registering on real registries: seen at once, alive while the program lives, gone with it, healed when lost."""

import asyncio
import itertools
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from homeport import ClientSettings, Discovery, HTTPCheck, TCPCheck
from homeport.errors import Refused
from homeport.testing.contract.waiting import ids, until
from tests.contract.client.conftest import Registry
from tests.servers.listening import listening
from tests.servers.ports import LOOPBACK
from tests.servers.process import clean_environment


def listed(registry: Registry, name: str) -> list[str]:
    """What the registry itself says, asked apart from the client."""
    return sorted(row["Service"]["ID"] for row in registry.request("GET", f"/v1/health/service/{name}"))


async def test_ids_are_made_when_none_is_given(registry: Registry, name: str, settings: ClientSettings) -> None:
    async with Discovery(registry.backend_url, settings=settings, environ={}) as discovery:
        made = [await discovery.register(name, port=port) for port in (1, 2, 3)]
        assert listed(registry, name) == sorted(one.id for one in made)
        assert len({one.id for one in made}) == 3
    assert listed(registry, name) == []


async def test_interval_checks_are_run_by_the_registry(registry: Registry, name: str) -> None:
    async with (
        listening(_answer_health) as port,
        Discovery(registry.backend_url, environ={}) as discovery,
        discovery.watch(name) as watch,
    ):
        checks = [
            HTTPCheck(url=f"http://{LOOPBACK}:{port}/health", interval=1.0, timeout=1.0),
            TCPCheck(target=f"{LOOPBACK}:{port}", interval=1.0, timeout=1.0),
        ]
        async with discovery.register(name, port=port, checks=checks) as registration:
            await until(watch, lambda snapshot: ids(snapshot) == [registration.id])
            with pytest.raises(Refused, match="only a TTL check can be set"):
                await registration.report("passing", check="http check 1")


async def _answer_health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.read(1000):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()


PROGRAM = """
import asyncio, sys
from homeport import ClientSettings, Discovery
from homeport.client.keeper import Standing

async def main():
    backend, name, id, port, ttl = sys.argv[1:]
    discovery = Discovery(backend, settings=ClientSettings(deregister_timeout=60.0))
    async with discovery, discovery.register(name, id=id, port=int(port), ttl=float(ttl)) as registration:
        print("registered", flush=True)
        await registration.wait_for(Standing.REPLACED)
        print("replaced", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


Start = Callable[[Registry, str, int, float], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start_program() -> AsyncIterator[Start]:
    """Starts processes that register `<name>-1` with a port and a ttl, and then only keep the registration."""
    started: list[asyncio.subprocess.Process] = []

    async def start(registry: Registry, name: str, port: int, ttl: float) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, registry.backend_url, name, f"{name}-1", str(port), str(ttl)),
            stdout=asyncio.subprocess.PIPE,
            env=clean_environment(),
        )
        started.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"registered\n"
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_process_is_out_of_the_healthy_answers(
    registry: Registry, name: str, start_program: Start
) -> None:
    process = await start_program(registry, name, 1, 2.0)
    async with Discovery(registry.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        await asyncio.sleep(3)  # longer than the lease: it is kept alive, or made alive again if it was late
        await until(watch, lambda snapshot: ids(snapshot) == [f"{name}-1"])
        process.kill()
        gone = await until(watch, lambda snapshot: len(snapshot) == 0)
        assert not gone.stale


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_that_is_told_to_end_deregisters_first(
    registry: Registry, name: str, number: signal.Signals, start_program: Start
) -> None:
    process = await start_program(registry, name, 1, 60.0)
    process.send_signal(number)
    # It ends by the signal, as its parent expects (Python itself ends with 130 - 256 after KeyboardInterrupt).
    assert await process.wait() == -number
    assert listed(registry, name) == []


async def test_processes_that_register_one_id_are_one_instance(
    registry: Registry, name: str, start_program: Start
) -> None:
    async with Discovery(registry.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        processes = await asyncio.gather(*(start_program(registry, name, port, 3.0) for port in (1, 2, 3)))
        async with asyncio.timeout(60):
            last_words = [asyncio.create_task(said(process)) for process in processes]
            # Two learn with a renewal that it is not theirs any more.
            for replaced in itertools.islice(asyncio.as_completed(last_words), 2):
                assert await replaced == "replaced"
        (port,) = (port for port, words in enumerate(last_words, 1) if not words.done())
        for process, words in zip(processes, last_words, strict=True):
            if words.done():
                process.terminate()
                await process.wait()
        await until(watch, lambda snapshot: [one.port for one in snapshot] == [port])
        processes[port - 1].kill()  # and nobody else keeps its lease alive
        await until(watch, lambda snapshot: len(snapshot) == 0)
        assert await last_words[port - 1] == ""


async def said(process: asyncio.subprocess.Process) -> str:
    """The next line of a program; empty when it ends without one."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def test_a_process_that_was_taken_over_does_not_keep_its_successor_alive(
    registry: Registry, name: str, start_program: Start
) -> None:
    async with Discovery(registry.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        _ = await start_program(registry, name, 1, 1.0)
        successor = await start_program(registry, name, 2, 1.0)
        await until(watch, lambda snapshot: len(snapshot) == 1 and snapshot[0].port == 2)
        successor.kill()
        await until(watch, lambda snapshot: len(snapshot) == 0)
