"""See it work: a registry, three services of two instances, one client, and everything that can go wrong.

Ends by itself with a timeline, a table, and exit status 0 if every promise was kept.
"""

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import consul as py_consul  # type: ignore[import-untyped]  # py-consul has no types

from homeport import Discovery, Snapshot, Watch

from .processes import DidNotStartError, Program, registry, service
from .traffic import Traffic

SERVICES = ("user", "post", "notification")
PATIENCE = 12.0


class BrokenPromiseError(Exception):
    """Something that was promised did not happen."""


class Story:
    """The timeline, and what was measured."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.measured: list[tuple[str, str, str]] = []
        self.broken: list[str] = []

    def tell(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.2f} s  {text}", flush=True)

    def note(self, what: str, value: str, promise: str, *, kept: bool) -> None:
        """Write a line of the table; a promise that was not kept is a failure of the demo."""
        self.measured.append((what, value, f"{promise} {'✓' if kept else '✗ broken'}"))
        if not kept:
            self.broken.append(f"{what}: {value}, promised {promise}")

    def table(self) -> str:
        widths = [max(len(row[column]) for row in self.measured) for column in range(3)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in self.measured
        )


async def seen(watch: Watch, wanted: Callable[[Snapshot], bool], what: str) -> float:
    """Wait until the watch has a snapshot as wanted; returns the seconds it took."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            async for snapshot in watch:
                if wanted(snapshot):
                    return time.monotonic() - began
    except TimeoutError:
        pass
    raise BrokenPromiseError(f"{what} was not seen within {PATIENCE:g} s; last: {watch.current}")


def ids(snapshot: Snapshot) -> set[str]:
    return {instance.id for instance in snapshot.instances}


def as_before(expected: set[str]) -> Callable[[Snapshot], bool]:
    """Whether a snapshot is confirmed and has exactly these instances."""
    return lambda snapshot: not snapshot.stale and ids(snapshot) == expected


async def main() -> int:
    story = Story()
    logging.getLogger("homeport").addHandler(logging.NullHandler())  # the story tells what a log would
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homeport-demo-")))
        try:
            await Demo(story, stack, folder).play()
        except (BrokenPromiseError, DidNotStartError) as error:
            story.broken.append(str(error))
    print(f"\n{story.table()}\n" if story.measured else "")
    for broken in story.broken:
        print(f"BROKEN  {broken}", file=sys.stderr)
    print("Every promise was kept." if not story.broken else "Not every promise was kept.")
    return 1 if story.broken else 0


class Demo:
    def __init__(self, story: Story, stack: AsyncExitStack, folder: Path) -> None:
        self.story = story
        self.stack = stack
        self.folder = folder
        self.instances: dict[str, Program] = {}
        self.watches: dict[str, Watch] = {}
        self.address = ""

    async def play(self) -> None:
        await self._start_registry()
        await self._start_services()
        discovery = await self.stack.enter_async_context(Discovery(self.backend))
        for name in SERVICES:
            self.watches[name] = await self.stack.enter_async_context(discovery.watch(name))
            await seen(
                self.watches[name], lambda snapshot: len(snapshot.instances) == 2, f"two healthy instances of {name}"
            )
        self.story.tell("the client sees two healthy instances of each")
        traffic = Traffic(self.watches)
        calling = asyncio.create_task(traffic.run())
        try:
            await asyncio.sleep(1)
            await self._kill_an_instance(traffic)
            await self._stop_an_instance()
            await self._kill_the_registry(traffic)
            self._list_through_py_consul()
        finally:
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)
        self._count(traffic)

    @property
    def backend(self) -> str:
        return f"homeport://{self.address}"

    async def _start_registry(self) -> None:
        program = registry(self.folder)
        self.stack.push_async_callback(self._stop_registry)
        self.registry = program
        line = await program.start()
        self.address = dict(part.split("=", 1) for part in line.split() if "=" in part)["http"]
        self.story.tell(f"{line}  (process {program.pid}, data in {self.folder / 'data'})")

    async def _stop_registry(self) -> None:
        await self.registry.stop()

    async def _start_services(self) -> None:
        for name in SERVICES:
            for number in (1, 2):
                await self._start_instance(name, f"{name}-{number}")
        self.story.tell("six instances of user, post and notification registered themselves")

    async def _start_instance(self, name: str, instance_id: str) -> None:
        program = service(name, instance_id, self.backend, self.folder)
        self.instances[instance_id] = program
        self.stack.push_async_callback(program.stop)
        await program.start()

    async def _kill_an_instance(self, traffic: Traffic) -> None:
        victim, watch = "user-1", self.watches["user"]
        self.story.tell(f"SIGKILL to {victim} (process {self.instances[victim].pid})")
        await self.instances[victim].kill()
        took = await seen(watch, lambda snapshot: ids(snapshot) == {"user-2"}, f"{victim} leaving the answers")
        self.story.tell(
            f"{victim} is out of the answers; {traffic.retried} calls were saved by a retry, {traffic.failed} failed"
        )
        self.story.note("a killed instance is out of the answers", f"{took:.2f} s", "≤ 4 s", kept=took <= 4)
        began = time.monotonic()
        await self._start_instance("user", victim)
        await seen(watch, lambda snapshot: ids(snapshot) == {"user-1", "user-2"}, f"{victim} coming back")
        took = time.monotonic() - began
        self.story.tell(f"{victim} is back")
        self.story.note(
            "a restarted instance is in the answers (with its start)", f"{took:.2f} s", "≤ 6 s", kept=took <= 6
        )

    async def _stop_an_instance(self) -> None:
        victim, watch = "post-2", self.watches["post"]
        self.story.tell(f"SIGTERM to {victim}")
        stopping = asyncio.create_task(self.instances[victim].stop())
        took = await seen(watch, lambda snapshot: ids(snapshot) == {"post-1"}, f"{victim} leaving")
        await stopping
        self.story.tell(f"{victim} deregistered itself")
        self.story.note("a stopped instance is out of the answers", f"{took:.2f} s", "≤ 1 s", kept=took <= 1)

    async def _kill_the_registry(self, traffic: Traffic) -> None:
        watch = self.watches["notification"]
        before = {name: ids(watch.current) for name, watch in self.watches.items()}
        self.story.tell(f"SIGKILL to the registry (process {self.registry.pid})")
        await self.registry.kill()
        took = await seen(watch, lambda snapshot: snapshot.stale, "the client noticing that the registry is away")
        self.story.tell(f"the client knows: stale, because {watch.current.reason}")
        self.story.note("the client says that its answers are stale", f"{took:.2f} s", "≤ 3 s", kept=took <= 3)
        calls = sum(traffic.calls.values())
        await asyncio.sleep(1.5)
        calls = sum(traffic.calls.values()) - calls
        self.story.tell(f"without a registry: {calls} more calls, {traffic.failed} failed")
        self.story.note("calls in 1.5 s without a registry", str(calls), "> 0", kept=calls > 0)
        self.registry = registry(self.folder, self.address)
        began = time.monotonic()
        self.story.tell(await self.registry.start())
        for name, watched in self.watches.items():
            await seen(watched, as_before(before[name]), f"{name} as before")
        took = time.monotonic() - began
        self.story.tell("everything that was registered is there, and confirmed")
        self.story.note("the registry restarted, every watch confirmed", f"{took:.2f} s", "≤ 8 s", kept=took <= 8)

    def _list_through_py_consul(self) -> None:
        host, _, port = self.address.rpartition(":")
        client = py_consul.Consul(host=host, port=int(port))
        _, services = client.catalog.services()
        self.story.tell(f"py-consul lists: {', '.join(sorted(services))}")
        for name in SERVICES:
            _, entries = client.health.service(name, passing=True)
            places = ", ".join(
                f"{entry['Service']['ID']} at {entry['Service']['Address']}:{entry['Service']['Port']}"
                for entry in entries
            )
            self.story.tell(f"  {name}: {places}")
        self.story.note(
            "services that py-consul finds",
            str(len(services)),
            "user, post, notification",
            kept=set(SERVICES) <= set(services),
        )

    def _count(self, traffic: Traffic) -> None:
        total = sum(traffic.calls.values())
        self.story.note("calls answered", str(total), "> 0", kept=total > 0)
        self.story.note("calls saved by a retry on another instance", str(traffic.retried), "counted", kept=True)
        self.story.note("calls answered from stale snapshots", str(traffic.stale), "counted", kept=True)
        self.story.note("calls that failed", str(traffic.failed), "0", kept=not traffic.failed)
        self.story.note(
            "slowest call, retries included", f"{traffic.slowest * 1e3:.0f} ms", "≤ 2000 ms", kept=traffic.slowest <= 2
        )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
