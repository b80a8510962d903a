"""py-eureka-client, as published, as a program of its own: its thread of heartbeats never ends.

Its only argument is the JSON of what `EurekaClient` is made with. It says `"ready"`, then obeys one command a line, a
JSON list of a word and its argument, and answers each with one line of JSON; it ends with stdin.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from py_eureka_client import logger  # type: ignore[import-untyped]  # it has no type hints
from py_eureka_client.eureka_client import EurekaClient  # type: ignore[import-untyped]  # it has no type hints

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60.0


async def obey(client: EurekaClient, word: str, argument: str) -> object:
    """Carry out one command."""
    match word:
        case "status":
            await client.status_update(argument)
        case "clear":
            await client.delete_status_override()
        case "heartbeat":
            await client.send_heartbeat()
        case "stop":
            await client.stop()
        case "find":
            app = client.applications.get_application(argument.upper())
            return [] if app is None else [known_of(instance) for instance in app.up_instances]
        case "call":
            return await client.do_service(argument, "/", timeout=PATIENCE)
    return None


def known_of(instance: Any) -> dict[str, object]:
    """What this client knows of an instance, as far as the tests look at it."""
    return {
        "id": instance.instanceId,
        "address": f"{instance.hostName}:{instance.port.port}",
        "vip": instance.vipAddress,
        "metadata": dict(instance.metadata),
    }


def say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def main() -> None:
    logger.set_handler(logging.StreamHandler())  # it would log to stdout
    client = EurekaClient(**json.loads(sys.argv[1]))
    await client.start()
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(await obey(client, *json.loads(line)))
    os._exit(0)  # else its thread would go on


class Program:
    """The program from outside."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, word: str, argument: str = "") -> Any:
        """Let it carry out a command; what it answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([word, argument]).encode() + b"\n")
        return await self.hear()

    async def hear(self) -> Any:
        """What it says next."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self._process.stdout.readline())

    async def kill(self) -> None:
        """End it at once."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def py_eureka(url: str, **settings: object) -> AsyncIterator[Program]:
    """Run the program against a server, until it is left."""
    command = [sys.executable, "-m", "tests.contract.eureka.py_eureka", json.dumps({"eureka_server": url, **settings})]
    pipe = asyncio.subprocess.PIPE
    program = Program(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT))
    try:
        assert await program.hear() == "ready"
        yield program
    finally:
        await program.kill()


if __name__ == "__main__":
    asyncio.run(main())
