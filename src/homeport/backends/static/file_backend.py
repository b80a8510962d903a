"""Instances from a file that is followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from homeport.spi import Cursor, Observed, ServiceSummary

from . import mapping
from .reading import FollowedFile, Reading
from .settings import StaticSettings

CONFIRM_INTERVAL = 30.0
"""A watch says after so many seconds that nothing changed."""


class StaticFileBackend:
    """A `Discoverer` of the instances in a YAML or JSON file.

    A watch looks at the file every ``reload_interval``. A file that is broken, unreadable or gone is a failure, so that
    what was read before is kept, stale, with the reason.
    """

    def __init__(self, settings: StaticSettings) -> None:
        self._settings = settings
        self._file = FollowedFile(settings.path, backend=settings.url)

    def __repr__(self) -> str:
        return f"StaticFileBackend({self.url!r})"

    @property
    def url(self) -> str:
        """The URL of the file."""
        return self._settings.url

    @property
    def watch_limit(self) -> int | None:
        """Any number: they share one look at the file."""
        return None

    async def ping(self) -> Mapping[str, str]:
        """How many services and instances the file has.

        Raises:
            BackendError: it cannot be read.
        """
        known = (await self._file.read()).services
        return {
            "product": "static",
            "file": str(self._settings.path),
            "services": str(len(known)),
            "instances": str(sum(map(len, known.values()))),
        }

    async def aclose(self) -> None:
        """Nothing is held."""

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now; with a datacenter, those in it.

        Raises:
            BackendError: the file cannot be read.
        """
        return _observed(await self._file.read(), service, datacenter)

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Observe ``service``: at once, whenever the content of the file changed, and every half minute.

        Raises:
            BackendError: the file cannot be read.
        """
        del after  # the first answer costs next to nothing
        loop = asyncio.get_running_loop()
        shown, shown_at = await self._file.read(), loop.time()
        yield _observed(shown, service, datacenter)
        while True:
            await asyncio.sleep(self._settings.reload_interval)
            now = await self._file.read(not_older_than=self._settings.reload_interval / 2)
            if now.position != shown.position or loop.time() >= shown_at + CONFIRM_INTERVAL:
                shown, shown_at = now, loop.time()
                yield _observed(shown, service, datacenter)

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name; with a datacenter, those with instances in it.

        Raises:
            BackendError: the file cannot be read.
        """
        return mapping.summaries(mapping.in_datacenter((await self._file.read()).services, datacenter))


def _observed(reading: Reading, service: str, datacenter: str) -> Observed:
    found = reading.services.get(service, ())
    return Observed(instances=mapping.within(found, datacenter), cursor=Cursor(position=reading.position))
