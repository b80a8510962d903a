"""``register NAME -- COMMAND``: a registration that lasts as long as a program runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import Process
from collections.abc import Sequence

from homeport.client.discovery import Discovery
from homeport.client.registration import Registration
from homeport.errors import HomeportError
from homeport.model import Service

from .choosing import registrar
from .exits import Failure, say
from .running import READ_TIMEOUT, within
from .signals import Signals, terminal_sends_to_all
from .standing import leave, tell

_ENDING = (signal.SIGTERM, signal.SIGINT)
_FORWARDED = (*_ENDING, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_KILL_AFTER = 10.0
_LOOK_INTERVAL = 0.05
_CONNECT_TIMEOUT = 1.0
_CANNOT_EXECUTE = 126
_NOT_FOUND = 127


async def run_registered(
    command: Sequence[str], discovery: Discovery, service: Service, *, ttl: float, start_timeout: float
) -> int:
    """Run ``command``, registered from when its port answers until it is told to end or ends; its exit code.

    128 + n when signal n ended it, 127 when there is no such program and 126 when it cannot be executed, as in a shell.
    The backend is reached before anything is started.

    Raises:
        Failure: its port did not answer in time; it was ended.
        HomeportError: it cannot be registered; it was ended, or not started.
    """
    source = registrar(*discovery.backends)
    async with within(READ_TIMEOUT, source):
        await source.ping()
    if start_timeout > 0 and service.port and await _accepts(service.address, service.port):
        raise Failure(
            f"another program answers at {place_of(service)} already, so nothing was started; choose another port, "
            "or say with --start-timeout 0 that this is meant."
        )
    # Taken before the program is there: a signal in between would leave it behind.
    with Signals(_FORWARDED) as signals:
        try:
            process = await asyncio.create_subprocess_exec(*command)
        except FileNotFoundError:
            say(f'there is no program "{command[0]}"; nothing was registered.')
            return _NOT_FOUND
        except OSError as error:
            say(f'"{command[0]}" cannot be executed ({error.strerror}); nothing was registered.')
            return _CANNOT_EXECUTE
        return await _Wrapped(process, discovery, service, ttl=ttl, start_timeout=start_timeout).run(signals)


class _Wrapped:
    """A program and its registration."""

    def __init__(
        self, process: Process, discovery: Discovery, service: Service, *, ttl: float, start_timeout: float
    ) -> None:
        self._process = process
        self._discovery = discovery
        self._service = service
        self._ttl = ttl
        self._start_timeout = start_timeout
        self._registration: Registration | None = None
        self._began = False
        self._leaving: asyncio.Task[None] | None = None

    async def run(self, signals: Signals) -> int:
        """Stay until the program has ended; its exit code.

        Raises:
            HomeportError: it could not be registered, and was ended.
        """
        ended = asyncio.create_task(self._process.wait(), name="homeport command")
        registering = asyncio.create_task(self._register(), name="homeport register")
        forwarding = asyncio.create_task(self._forward(signals, registering), name="homeport signals")
        try:
            await asyncio.wait({ended, registering}, return_when=asyncio.FIRST_COMPLETED)
            if registering.done() and not registering.cancelled() and registering.exception() is not None:
                await self._end_program()
                registering.result()
            await ended
        finally:
            for task in (registering, forwarding):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, HomeportError):
                    await task
            await (self._leaving or self._leave())
            if not ended.done():
                await self._end_program()
                await ended
        code = ended.result()
        if not self._began and self._leaving is None:
            say(f"the program ended before its port answered (exit {code}); nothing was registered.")
        return code if code >= 0 else 128 - code

    async def _register(self) -> None:
        if self._start_timeout > 0 and self._service.port:
            await self._port_answers()
        registration = self._discovery.register(self._service, ttl=self._ttl, on_change=tell)
        self._registration, self._began = registration, True
        # A request that was sent cannot be taken back: `_leave` waits for its outcome and undoes it.
        await asyncio.shield(registration.begin())
        say(f"registered {registration.id} at {place_of(self._service)} on {registrar(*self._discovery.backends).url}")

    async def _port_answers(self) -> None:
        """Wait until somebody accepts connections at the service's address; to look is the only way to know."""
        try:
            async with asyncio.timeout(self._start_timeout):
                while True:
                    if await _accepts(self._service.address, self._service.port):
                        return
                    await asyncio.sleep(_LOOK_INTERVAL)
        except TimeoutError:
            raise Failure(
                f"nothing answered at {place_of(self._service)} within {self._start_timeout:g} s, "
                "so the program was ended; "
                "give it longer with --start-timeout, or 0 to register at once."
            ) from None

    async def _forward(self, signals: Signals, registering: asyncio.Task[None]) -> None:
        """Hand signals on. The first that ends the program deregisters before: nobody shall be sent to it any more."""
        from_terminal = terminal_sends_to_all()
        while True:
            number = await signals.next()
            if number in _ENDING and self._leaving is None:
                registering.cancel()
                self._leaving = asyncio.create_task(self._leave(), name="homeport leave")
                hasty = asyncio.create_task(signals.next(), name="homeport second signal")
                await asyncio.wait({self._leaving, hasty}, return_when=asyncio.FIRST_COMPLETED)
                self._send(number, from_terminal=from_terminal)
                if hasty.done():
                    self._send(hasty.result(), from_terminal=from_terminal)
                hasty.cancel()
            else:
                self._send(number, from_terminal=from_terminal)

    def _send(self, number: signal.Signals, *, from_terminal: bool) -> None:
        if not (from_terminal and number in _FROM_TERMINAL):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _leave(self) -> None:
        registration, self._registration = self._registration, None
        if registration is not None:
            await leave(registration, ttl=self._ttl)

    async def _end_program(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_KILL_AFTER):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


def place_of(service: Service) -> str:
    """Where a service is reached, as ``host:port``."""
    return f"[{service.address}]:{service.port}" if ":" in service.address else f"{service.address}:{service.port}"


async def _accepts(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
