"""The processes of the demo: each started, watched and ended by id, its log in a file."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
START_TIMEOUT = 60.0
STOP_TIMEOUT = 6.0


class DidNotStartError(Exception):
    """A process of the demo did not become ready; the text has the end of its log."""


class Program:
    """A process that prints one line when it is ready."""

    def __init__(self, name: str, arguments: list[str], folder: Path) -> None:
        self.name = name
        self._arguments = arguments
        self._log = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        """Start it and return its line."""
        # The demo's own settings decide, not those of whoever runs it.
        foreign = ("HOMEPORT_", "CONSUL_", "DISCOVERY_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *self._arguments, stdout=asyncio.subprocess.PIPE, stderr=log, env=environment
            )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT):
                line = (await self._process.stdout.readline()).decode().strip()
        except TimeoutError:
            line = ""
        if not line:
            await self.kill()
            raise DidNotStartError(f"{self.name} did not start:\n{self._log.read_text()[-2000:]}")
        return line

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """SIGKILL."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL to one that does not listen."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def registry(folder: Path, address: str = "127.0.0.1:0") -> Program:
    """The registry, with its data in ``folder``."""
    arguments = ["-m", "homeport", "serve", "--http", address, "--data-dir", str(folder / "data")]
    return Program("registry", arguments, folder)


def service(name: str, instance_id: str, backend: str, folder: Path) -> Program:
    """One instance of a service."""
    return Program(instance_id, [str(HERE / "service.py"), name, "--id", instance_id, "--backend", backend], folder)
