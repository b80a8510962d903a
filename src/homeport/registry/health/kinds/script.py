"""Script checks: exit code 0 passes, 1 warns, anything else is critical, as with Consul's agent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from homeport.model import Status
from homeport.wire.durations import format_duration

from ...records import CheckDefinition
from ..output import Tail
from .connecting import OWN_LIMITS
from .prober import NotProbed, Result

INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE")
"""What a script sees of the registry's own environment, which may hold secrets, beside what the settings name."""
_LINGER = 0.5  # seconds for what the script wrote to arrive after it has ended


class ScriptProber:
    """Runs commands, through no shell but one that the command names, each as the leader of a process group."""

    def __init__(self, environ: Mapping[str, str], *, also: Sequence[str] = ()) -> None:
        self._environ = {name: environ[name] for name in (*INHERITED, *also) if name in environ}

    async def probe(self, definition: CheckDefinition) -> Result:
        """Run the command once; see `Prober.probe`. When it is cancelled, the whole process group is killed."""
        if any("\0" in word for word in definition.script):  # an event loop may cut a word there without saying so
            return Result("critical", f"{definition.script[0]!r} cannot be run: a word holds a zero byte", "error")
        run = _Run(definition.output_max_bytes)
        # A start that is cancelled half way would leave what it has started behind.
        starting = asyncio.create_task(self._start(run, definition.script))
        try:
            await asyncio.wait((starting,))
            if (problem := starting.exception()) is not None:
                return _not_started(definition, problem)
            await asyncio.wait((run.exited,))
            # What the script left running may hold the pipe open for ever; what the script wrote is there soon.
            await asyncio.wait((run.drained,), timeout=_LINGER)
        except asyncio.CancelledError:
            await asyncio.wait((starting,))
            if starting.exception() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(starting.result().get_pid(), signal.SIGKILL)
                await asyncio.wait((run.exited,))
            raise asyncio.CancelledError(run.tail.captured()) from None
        finally:
            if starting.done() and starting.exception() is None:
                starting.result().close()
        code = starting.result().get_returncode()
        return Result(_status(code), run.tail.captured(), "" if code == 0 else "exit")

    async def _start(self, run: _Run, command: Sequence[str]) -> asyncio.SubprocessTransport:
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: run, *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env=self._environ, start_new_session=True,
        )  # fmt: skip
        return transport

    def timed_out(self, definition: CheckDefinition, so_far: str) -> str:
        """The output of a script that was killed, as Consul words it."""
        text = f"Timed out ({format_duration(definition.timeout)}) running check"
        return f"{text}\n\n{so_far}" if so_far else text


def _not_started(definition: CheckDefinition, problem: BaseException) -> Result:
    if not isinstance(problem, OSError):
        raise problem
    if problem.errno in OWN_LIMITS:
        raise NotProbed(os.strerror(problem.errno).lower()) from problem
    words = os.strerror(problem.errno).lower() if problem.errno else str(problem)
    return Result("critical", f"{definition.script[0]} cannot be run: {words}", "error")


def _status(code: int | None) -> Status:
    return "passing" if code == 0 else "warning" if code == 1 else "critical"


class _Run(asyncio.SubprocessProtocol):
    """What a process writes, and its end."""

    def __init__(self, most_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self.tail = Tail(most_bytes)
        self.exited: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002  # there is one pipe for both outputs
        self.tail.add(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002  # the end is all
        if not self.drained.done():
            self.drained.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)
