"""A process that registers and deregisters as fast as it can and says what was acknowledged, until it is killed.

Run as a program with a folder and a number of its own. Instance ``run-n`` is registered with a check; every third one
is deregistered again. ``+run-n REVISION`` and ``-run-n REVISION`` are written when that has been answered.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from homeport.registry.records import CheckRecord, ServiceRecord
from homeport.registry.registry import Registry
from homeport.registry.services import deregister, register
from homeport.registry.store.sqlite import SqliteStore

TASKS = 8


def is_removed_again(number: int) -> bool:
    """Whether the instance with this number does not stay."""
    return number % 3 == 0


async def main(folder: Path, run: str) -> None:
    """Go on until killed."""
    say("opening")
    async with Registry(SqliteStore(folder)) as registry:
        numbers = itertools.count()

        async def work() -> None:
            for number in numbers:
                instance = f"{run}-{number}"
                service = ServiceRecord(node=registry.node, id=instance, name="web", meta={"padding": "x" * 100})
                check = CheckRecord(
                    node=registry.node,
                    id=f"service:{instance}",
                    service_id=instance,
                    service_name="web",
                    status="passing",
                )
                outcome = await registry.transact(
                    lambda t, service=service, check=check: register(  # type: ignore[misc]
                        t, service, [check], replaces_checks=False, now=1.0
                    )
                )
                say(f"+{instance} {outcome.revision}")
                if is_removed_again(number):
                    gone = await registry.transact(
                        lambda t, instance=instance: deregister(t, registry.node, instance)  # type: ignore[misc]
                    )
                    say(f"-{instance} {gone.revision}")

        await asyncio.gather(*(work() for _ in range(TASKS)))


def say(line: str) -> None:
    """One write, so that a line is there whole or not at all."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
