"""Instances that a program lists itself."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

from homeport.model import Instance
from homeport.settings.shapes import Place
from homeport.spi import Cursor, Observed, ServiceSummary

from . import mapping
from .mapping import Entry

CONFIRM_INTERVAL = 30.0
"""A watch says after so many seconds that nothing changed."""


class StaticBackend:
    """A `Discoverer` of instances from code, for tests, for fallbacks, and for what is known beforehand.

    >>> backend = StaticBackend({"billing": ["10.0.0.1:80", {"address": "10.0.0.2", "port": 80, "tags": ["eu"]}]})
    >>> backend.replace("billing", ["10.0.0.3:80"])

    An instance is ``host:port``, its keys as in a file, or an `Instance`. `replace` may be called from any thread.

    Raises:
        InvalidValue: an instance cannot be right.
    """

    def __init__(self, services: Mapping[str, Iterable[Entry]] | None = None) -> None:
        self._services = {name: _read(name, listed) for name, listed in (services or {}).items()}
        self._position = 1
        self._lock = threading.Lock()
        self._watching: dict[str, set[_Bell]] = {}

    def __repr__(self) -> str:
        return f"StaticBackend({', '.join(sorted(self._services))})"

    @property
    def url(self) -> str:
        """The URL, the same for all of them."""
        return "static://"

    @property
    def watch_limit(self) -> int | None:
        """Any number."""
        return None

    def replace(self, service: str, instances: Iterable[Entry]) -> None:
        """Put these instances in the place of those of ``service``; watches see it at once.

        Raises:
            InvalidValue: an instance cannot be right; nothing was changed.
        """
        new = _read(service, instances)
        with self._lock:
            self._services = {**self._services, service: new}
            self._position += 1
            for bell in self._watching.get(service, ()):
                bell.ring()

    async def ping(self) -> Mapping[str, str]:
        """How many services and instances there are."""
        known = self._services
        return {
            "product": "static",
            "services": str(len(known)),
            "instances": str(sum(map(len, known.values()))),
        }

    async def aclose(self) -> None:
        """Nothing is held."""

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now; with a datacenter, those in it."""
        with self._lock:
            found, position = self._services.get(service, ()), self._position
        return Observed(instances=mapping.within(found, datacenter), cursor=Cursor(position=position))

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Observe ``service``: at once, after every `replace`, and every half minute."""
        del after  # the first answer costs nothing
        bell = _Bell()
        with self._lock:
            self._watching.setdefault(service, set()).add(bell)
        try:
            while True:
                observed = await self.fetch(service, datacenter=datacenter)
                yield observed
                await bell.rung(CONFIRM_INTERVAL)
        finally:
            with self._lock:
                self._watching[service].discard(bell)
                if not self._watching[service]:
                    del self._watching[service]

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name; with a datacenter, those with instances in it."""
        return mapping.summaries(mapping.in_datacenter(self._services, datacenter))


class _Bell:
    """Wakes one task, from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that was closed before its watches
            self._loop.call_soon_threadsafe(self._rung.set)

    async def rung(self, timeout: float) -> None:
        """Return when it was rung since the last time, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        self._rung.clear()


def _read(name: str, listed: Iterable[Entry]) -> tuple[Instance, ...]:
    return mapping.instances(name, listed, Place("", name))
