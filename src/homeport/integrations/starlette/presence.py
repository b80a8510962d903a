"""The presence of an application in the registry."""

from __future__ import annotations

import asyncio
import logging

from homeport.client.discovery import Discovery
from homeport.client.registration import Registration
from homeport.errors import HomeportError
from homeport.integrations.serving.advertisement import (
    LISTENING_INTERVAL,
    Advertisement,
    pauses,
    worth_repeating,
)
from homeport.integrations.serving.listening import listening_ports

_log = logging.getLogger(__name__)


class Presence:
    """Registers the application when the process listens, and removes it when it leaves."""

    def __init__(self, discovery: Discovery, advertisement: Advertisement, *, drain_time: float) -> None:
        self._discovery = discovery
        self._advertisement = advertisement
        self._drain_time = drain_time
        self._task: asyncio.Task[None] | None = None
        self._registration: Registration | None = None

    async def __aenter__(self) -> None:
        _ = self._registered_at(1)  # refuses here, at the start, what cannot be registered
        self._task = asyncio.get_running_loop().create_task(self._appear(), name="homeport presence")

    async def __aexit__(self, *_exception: object) -> None:
        await self._vanish()

    async def leave(self) -> None:
        """Deregister; the application goes on answering for the drain time."""
        if await self._vanish():
            await asyncio.sleep(self._drain_time)

    async def _vanish(self) -> bool:
        """Deregister if it is registered, or about to be; True if it was."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        registration, self._registration = self._registration, None
        if registration is None:
            return False
        try:
            async with asyncio.timeout(self._discovery.settings.deregister_timeout):
                await registration.close()
        except (HomeportError, TimeoutError) as error:
            _log.warning(
                "a registration could not be removed; its lease runs out",
                extra={"id": registration.id, "reason": str(error) or "it took too long"},
            )
        return True

    async def _appear(self) -> None:
        """Register when the process listens, until it succeeds or is refused."""
        try:
            port = await self._listening()
            await self._register(port)
        except HomeportError as error:
            _log.error("the application is not registered: %s", error, extra={"service": self._advertisement.name})

    async def _listening(self) -> int:
        seen: int | None = None
        while True:
            port = self._advertisement.port(listening_ports())
            if port is not None and port == seen:
                return port
            seen = port
            await asyncio.sleep(LISTENING_INTERVAL)

    async def _register(self, port: int) -> None:
        backoff = pauses(self._discovery.settings)
        failed = False
        while True:
            registration = self._registered_at(port)
            try:
                await registration.begin()
            except HomeportError as error:
                if not worth_repeating(error):
                    raise
                if not failed:
                    _log.warning(
                        "the application is not registered yet; it is tried again",
                        extra={"service": self._advertisement.name, "reason": str(error)},
                    )
                failed = True
                await asyncio.sleep(backoff.next_pause())
            else:
                self._registration = registration
                return

    def _registered_at(self, port: int) -> Registration:
        advertisement = self._advertisement
        return self._discovery.register(advertisement.service, port=port, **advertisement.options)
