"""Run in an empty network namespace: a registry beyond loopback, and clients of several addresses."""

import asyncio
import os
import signal
import subprocess
import sys

from homeport.server.app import serve
from homeport.server.settings import Limits, ServerSettings
from tests.unit.server.answered import Answered, parse_answer

SERVER = "10.77.0.1"
CLIENTS = ("10.77.0.2", "10.77.0.3", "127.0.0.1")
REQUEST = b"GET /v1/status/leader HTTP/1.1\r\nHost: a\r\n\r\n"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def set_up() -> None:
    """Give the loopback device its addresses."""
    for arguments in (
        ["link", "set", "lo", "up"],
        *(["addr", "add", f"{SERVER[:-1]}{n}/32", "dev", "lo"] for n in (1, 2, 3)),
    ):
        subprocess.run(["ip", *arguments], check=True)


def tell(line: str) -> None:
    """Say what happened."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def connect(client: str) -> Connection:
    """A connection from an address."""
    return await asyncio.open_connection(SERVER, 8500, local_addr=(client, 0))


async def ask(connection: Connection) -> Answered:
    """One request and its answer."""
    reader, writer = connection
    writer.write(REQUEST)
    received = b""
    while (found := parse_answer(received)) is None:
        more = await reader.read(1 << 16)
        if not more:
            raise EOFError(f"the connection ended after {received!r}")
        received += more
    return found[0]


async def main() -> None:
    settings = ServerSettings(http=f"{SERVER}:8500", dev=True, limits=Limits(connections_per_client=3))
    serving = asyncio.create_task(serve(settings))
    first: Connection | None = None
    while first is None:
        await asyncio.sleep(0.01)
        try:
            first = await connect(CLIENTS[0])
            assert (await ask(first)).status == 200
        except ConnectionRefusedError:
            first = None
    first[1].close()
    await first[0].read()
    opened: dict[str, list[Connection]] = {}
    for client in CLIENTS:
        opened[client] = [await connect(client) for _ in range(5)]
        statuses = [(await ask(connection)).status for connection in opened[client]]
        tell(f"{client} has {statuses.count(200)} of {len(statuses)}")
    refused = await ask(await connect(CLIENTS[0]))
    tell(f"a refused one is told: {refused.status} {refused.text}")
    for reader, writer in opened[CLIENTS[0]]:
        writer.close()
        await reader.read()
    tell(f"one that is closed makes place: {(await ask(await connect(CLIENTS[0]))).status}")
    os.kill(os.getpid(), signal.SIGTERM)
    await serving


if __name__ == "__main__":
    set_up()
    asyncio.run(main())
