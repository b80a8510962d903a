"""A registry that is killed at any moment: what it acknowledged is there, the rest is there whole or not at all."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

from homeport.registry.records import CHECKS, HISTORY, SERVICES
from homeport.registry.store.memory_image import MemoryImage
from tests.integration.registry.ledgers import ledger_in
from tests.integration.registry.registering import is_removed_again

KILLS = 20
NODE = "homeport"


class Acknowledged:
    """What the killed processes had answered, by instance: the revision of its registration and of its removal."""

    def __init__(self) -> None:
        self.registered: dict[str, int] = {}
        self.removed: dict[str, int] = {}

    def take(self, lines: list[bytes]) -> None:
        for line in lines:
            instance, _, revision = line.decode()[1:].partition(" ")
            (self.registered if line.startswith(b"+") else self.removed)[instance] = int(revision)

    @property
    def newest(self) -> int:
        return max((*self.registered.values(), *self.removed.values()), default=0)


async def run_and_kill(folder: Path, run: int, moments: random.Random) -> list[bytes]:
    """What one process acknowledged before it was killed."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.registry.registering", str(folder), str(run),
        stdout=asyncio.subprocess.PIPE, env=environ,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"opening\n"
        first = b"" if run % 4 == 0 else await process.stdout.readline()  # some do not get that far
        while run == 1 and b"\n-" not in first:  # one gets to a removal, however slow the disk is
            line = await process.stdout.readline()
            assert line, "it ended by itself"
            first += line
        await asyncio.sleep(moments.uniform(0, 0.25))  # some commits, on a slow disk too
    finally:
        process.kill()
        rest = await process.stdout.read()
        await process.wait()
    assert process.returncode == -signal.SIGKILL, "it did not end by itself"
    return [line for line in (first + rest).split(b"\n")[:-1] if line]


def check(image: MemoryImage, acknowledged: Acknowledged) -> None:
    entries = image.entries
    found = {entry.value.id for entry in image.group(("svc", NODE)).values()}
    checks = {entry.value.service_id for entry in image.group(("chk", NODE)).values() if entry.value.service_id}
    histories = {entry.value.check_id.removeprefix("service:") for entry in image.group(("hist", NODE)).values()}
    assert found == checks == histories - {"serfHealth"}, "an instance, its check and its history come and go together"
    for instance, revision in acknowledged.registered.items():
        run, _, number = instance.partition("-")
        if not is_removed_again(int(number)):
            keys = (
                SERVICES.key(NODE, instance),
                CHECKS.key(NODE, f"service:{instance}"),
                HISTORY.key(NODE, f"service:{instance}"),
            )
            assert {(entries[key].created, entries[key].modified) for key in keys} == {(revision, revision)}, run
    assert not found & set(acknowledged.removed)
    assert image.revision >= acknowledged.newest
    assert image.revision >= max(entry.modified for entry in entries.values())


async def test_killed_at_any_moment_it_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    moments, acknowledged, seen = random.Random(), Acknowledged(), 0
    for run in range(KILLS):
        before = acknowledged.newest
        lines = await run_and_kill(tmp_path, run, moments)
        acknowledged.take(lines)
        if lines:
            assert min(int(line.split()[1]) for line in lines) > before, "a new process goes on above the old"
        async with ledger_in(tmp_path) as ledger:
            if ledger.image.entries or acknowledged.registered:
                check(ledger.image, acknowledged)
            assert ledger.image.revision >= seen
            seen = ledger.image.revision
    assert len(acknowledged.registered) > KILLS // 2
    assert acknowledged.removed
