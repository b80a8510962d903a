"""The zones of a registry server: their backends, their names, and the sockets they are asked at."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import time
from collections.abc import Sequence
from random import Random
from types import TracebackType

from homeport.client.discovery import Discovery
from homeport.errors import SettingsError
from homeport.protocols.dns.zone import Zone, whole_seconds, zone_name
from homeport.server.listening import is_loopback, reachable_address, shown

from .directory import Directory
from .listening import DNSListening, Sockets
from .responder import Responder, ServedZone
from .settings import ZoneSettings

_log = logging.getLogger(__name__)


class Zones:
    """Answers for zones at ``sockets`` while it is entered with ``async with``, which gives HOST:PORT.

    ``own_url`` is that of the registry of this process. The sockets are closed with it.

    Raises:
        SettingsError: a zone has no name for DNS; its backend is unknown, or has a URL that cannot be right.
        MissingExtra: a backend needs what is not installed.
    """

    def __init__(
        self, settings: Sequence[ZoneSettings], sockets: Sockets, *, own_url: str, random: Random | None = None
    ) -> None:
        self._sockets = sockets
        self._random = random or Random()
        self._stack = contextlib.AsyncExitStack()
        self._found: dict[Zone, Discovery] = {}
        addresses = (ipaddress.ip_address(reachable_address(sockets.tcp)),)
        for one in settings:
            zone = Zone(
                origin=zone_name(one.name, place="the name of a zone"),
                ttl=whole_seconds(one.ttl), negative_ttl=whole_seconds(one.negative_ttl),
                unhealthy_weight=one.unhealthy_weight, health_aware=one.health_aware, addresses=addresses,
                serial=int(time.time()),
            )  # fmt: skip
            self._found[zone] = self._discovery(one, own_url)

    async def __aenter__(self) -> str:
        async with contextlib.AsyncExitStack() as stack:
            served: list[ServedZone] = []
            for zone, discovery in self._found.items():
                directory = Directory(discovery, zone)
                stack.push_async_callback(directory.aclose)
                served.append(ServedZone(zone, directory))
            await stack.enter_async_context(DNSListening(self._sockets, Responder(served, random=self._random)))
            self._stack = stack.pop_all()
        place = shown(self._sockets.tcp)
        if not is_loopback(self._sockets.tcp):
            _log.warning(
                "answering DNS beyond this host: anyone who reaches it can find the services of these zones",
                extra={"dns": place, "zones": [str(zone.origin) for zone in self._found]},
            )
        return place

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _discovery(self, settings: ZoneSettings, own_url: str) -> Discovery:
        backend = own_url if settings.backend is None else settings.backend
        try:
            return Discovery(backend, environ=settings.environ, handle_signals=False, random=self._random)
        except SettingsError as error:
            raise SettingsError(f"the zone {settings.name}: {error}") from error
