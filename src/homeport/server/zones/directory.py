"""The services of one backend, by the names that DNS asks for."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from homeport.client.discovery import Discovery
from homeport.client.tasks import Tasks
from homeport.errors import HomeportError, InvalidValue, Unsupported
from homeport.protocols.dns.listing import Listing, listing

if TYPE_CHECKING:
    from homeport.client.watch import Watch
    from homeport.model import Snapshot
    from homeport.protocols.dns.zone import Zone

_log = logging.getLogger(__name__)

_LIST_AGE = 1.0
"""Seconds for which the list of services answers for a name that it does not have."""
_MOST_FOLLOWED = 1000
_IDLE = 300.0
_SWEEP = 30.0


class Followed:
    """A service that somebody asked for: its newest state, and what a zone says of it."""

    def __init__(self, watch: Watch, zone: Zone) -> None:
        self._watch = watch
        self._zone = zone
        self._listing: tuple[Snapshot, Listing] | None = None
        self._time = asyncio.get_running_loop().time
        self.used_at = self._time()

    @property
    def closed(self) -> bool:
        """Whether it is followed no more."""
        return self._watch.closed

    @property
    def registered(self) -> bool:
        """Whether there are instances, be they healthy or not."""
        return self._watch.current.registered > 0

    @property
    def listing(self) -> Listing:
        """What the zone says of its newest state."""
        current = self._watch.current
        if self._listing is None or self._listing[0] is not current:
            self._listing = (current, listing(self._zone, current))
        return self._listing[1]

    def says(self, said: Listing) -> bool:
        """Whether the zone still says that; asking is using."""
        self.used_at = self._time()
        return not self._watch.closed and self.listing is said

    async def begin(self) -> None:
        """Get the first state, if there is none yet.

        Raises:
            HomeportError: the backend cannot be asked, or refuses.
        """
        await self._watch.begin()

    async def close(self) -> None:
        """Follow it no more."""
        await self._watch.close()


class Directory:
    """Follows what is asked for, and only that.

    Names are asked for in any case of their letters. What the backend does not list is not followed, so that questions
    for names at random cost it no more than a list a second.
    """

    def __init__(self, discovery: Discovery, zone: Zone) -> None:
        self._discovery = discovery
        self._zone = zone
        self._healthy = zone.health_aware and not zone.unhealthy_weight
        self._followed: dict[str, Followed] = {}
        self._names: dict[str, str] = {}
        self._above: frozenset[str] = frozenset()
        self._lists = True
        self._listed_at = float("-inf")
        self._listing = asyncio.Lock()
        self._failure: HomeportError | None = None
        self._tasks = Tasks()
        self._tasks.launch(self._sweep(), name=f"homeport zone {zone.origin}")

    async def aclose(self) -> None:
        """Follow nothing any more, and close the connections to the backend."""
        await self._tasks.aclose()
        await self._discovery.aclose()

    async def find(self, name: str) -> Followed | None:
        """The service of that name, in lower case; None if there is none.

        Raises:
            HomeportError: the backend cannot be asked, and nothing is known yet.
        """
        followed = self._followed.get(name)
        if followed is None:
            service = await self._service(name)
            if service is None:
                return None
            followed = await self._kept(name, service)
        try:
            await followed.begin()
        except BaseException as error:
            if followed.closed and self._followed.get(name) is followed:
                del self._followed[name]
            if isinstance(error, InvalidValue):  # no service can be called like that
                return None
            raise
        return followed if followed.registered else None

    def is_above(self, name: str) -> bool:
        """Whether the name of some service ends with a dot and that name (RFC 8020)."""
        return name in self._above

    async def _kept(self, name: str, service: str) -> Followed:
        """Who follows that service, the longest unused making room for it."""
        while name not in self._followed and len(self._followed) >= _MOST_FOLLOWED:
            await self._end(min(self._followed, key=lambda one: self._followed[one].used_at))
        followed = self._followed.get(name)
        if followed is None:
            followed = Followed(self._discovery.watch(service, healthy=self._healthy), self._zone)
            self._followed[name] = followed
        return followed

    async def _service(self, name: str) -> str | None:
        """The name as the backend writes it, None if it lists no such service.

        Raises:
            HomeportError: it cannot list them, or could not within the last second.
        """
        now = asyncio.get_running_loop().time
        if name not in self._names and self._lists:
            asked_at = now()
            async with self._listing:
                if asked_at - self._listed_at >= _LIST_AGE:  # otherwise another question had it made, or just before
                    began_at = now()
                    self._failure = None
                    try:
                        await self._list()
                    except HomeportError as error:
                        self._failure = error
                    self._listed_at = began_at
            if self._failure is not None:
                raise self._failure.with_traceback(None)
        return self._names.get(name) if self._lists else name

    async def _list(self) -> None:
        try:
            services = sorted(one.name for one in await self._discovery.services())
        except Unsupported:
            self._lists = False
            return
        self._names = {name.lower(): name for name in services}  # of API and api, the latter
        self._above = frozenset(
            name.split(".", dots)[-1] for name in self._names for dots in range(1, name.count(".") + 1)
        )

    async def _sweep(self) -> None:
        """End what nobody asked for of late."""
        while True:
            await asyncio.sleep(_SWEEP)
            now = asyncio.get_running_loop().time()
            for name, followed in tuple(self._followed.items()):
                if now - followed.used_at >= _IDLE:
                    await self._end(name)

    async def _end(self, name: str) -> None:
        try:
            await self._followed.pop(name).close()
        except HomeportError as error:
            _log.warning("a service could not be let go", extra={"service": name, "reason": str(error)})
