"""Run in an empty network namespace: a registry, a client that waits for five minutes, and a network that goes dead."""

import asyncio
import logging
import os
import signal
import subprocess
import sys

from homeport import BackendUnavailable, ClientSettings, Discovery, Snapshot, Watch
from homeport.server.app import serve
from homeport.server.settings import ServerSettings

SERVER = "127.0.0.1:8500"


def network(state: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def until(watch: Watch, *, stale: bool) -> Snapshot:
    async for snapshot in watch:
        if snapshot.stale is stale:
            return snapshot
    raise AssertionError("the watch ended")


async def main() -> None:
    network("up")
    serving = asyncio.create_task(serve(ServerSettings(http=SERVER, dev=True)))
    # Nothing but the connection itself can tell: neither the wait nor the silence is over within the test's time.
    settings = ClientSettings(silence_timeout=900.0, first_retry_interval=0.1, longest_retry_interval=0.5)
    async with Discovery(f"homeport://{SERVER}?wait=300s", settings=settings, handle_signals=False) as discovery:
        watch: Watch | None = None
        while watch is None:
            try:
                watch = await discovery.watch("billing")
            except BackendUnavailable:
                await asyncio.sleep(0.05)
        tell("watching")
        network("down")
        await until(watch, stale=True)
        tell("stale")
        network("up")
        await until(watch, stale=False)
        tell("confirmed")
    os.kill(os.getpid(), signal.SIGTERM)
    await serving


if __name__ == "__main__":
    logging.disable()
    asyncio.run(main())
