"""Which services a source has, and each of them followed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from random import Random

import msgspec

from homeport.client.backoff import Backoff
from homeport.client.discovery import Discovery
from homeport.client.ledger import RESET
from homeport.client.settings import CacheSettings, ClientSettings
from homeport.client.tasks import Tasks
from homeport.errors import BackendUnavailable, HomeportError, InvalidValue, Unsupported
from homeport.model import Snapshot
from homeport.spi import Discoverer, ServiceList, ServiceLister

from .settings import SourceSettings

_log = logging.getLogger(__name__)
_PACE = 0.02
"""Seconds between two lists at least: each names every service, and registrations may come by the hundred."""
_SILENCE = 90.0
_LONGEST_PAUSE = 5.0
_REFETCHES = 16
_SHORTEST_GRACE = 0.001
_LOOK_INTERVAL = 2.0
"""Seconds after which a service that cannot be watched is asked for again, as there are too many."""
_CONFIRMATION_INTERVAL = 30.0
"""The same where the list of services says which of them changed."""


class Trouble(msgspec.Struct, frozen=True):
    """Why something is not confirmed, and the Unix time since when."""

    since: float
    reason: str


class Following:
    """Follows the services of a backend that are wanted, through the client, until it is closed.

    Every news is given to ``take``, and ``on_trouble`` is called when there is another `trouble`. ``stored`` names
    services that were mirrored before: they are followed until the source has said that they are no more.
    """

    def __init__(
        self, backend: Discoverer, settings: SourceSettings, *, take: Callable[[str, Snapshot], None],
        on_trouble: Callable[[], None], stored: Iterable[str], random: Random,
    ) -> None:  # fmt: skip
        self.listed = False
        """Whether it is known which services there are."""
        self.unlistable: Trouble | None = None
        """Why it never will be, if that is so."""
        self.unaskable: dict[str, str] = {}
        """The services that are listed and cannot be asked for, and why."""
        self._backend = backend
        self._settings = settings
        self._take = take
        self._on_trouble = on_trouble
        self._stored = frozenset(stored)
        self._random = random
        self._discovery: Discovery | None = None
        self._list_is_followed = False
        self._tasks = Tasks()
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._listed_names: frozenset[str] = frozenset()
        self._names: frozenset[str] = frozenset()
        self._list_trouble: Trouble | None = None
        self._troubles: dict[str, Trouble] = {}
        self._refetching = asyncio.Semaphore(_REFETCHES)
        self._reset = (
            f"{backend.url} lost its data or was replaced; what it has no more is kept for {settings.removal_hold:g} s"
        )

    @property
    def troubled(self) -> bool:
        """Whether anything is not confirmed."""
        return self._list_trouble is not None or bool(self._troubles)

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong, None if everything is confirmed; of several troubles the oldest."""
        if self._list_trouble is not None:
            return self._list_trouble
        return min(self._troubles.values(), key=lambda trouble: trouble.since, default=None)

    async def run(self) -> None:
        """Follow, without an end but for a source that cannot tell which services it has."""
        if not self._settings.needs_list:
            self._listed_now(ServiceList(names=self._settings.named_services))
            return
        backoff = self._backoff()
        while True:
            try:
                async with contextlib.aclosing(self._lists()) as lists:
                    async for one in lists:
                        backoff.reset()
                        if self._list_trouble is not None:
                            self._list_trouble = None
                            self._on_trouble()
                        self._listed_now(one)
                        await asyncio.sleep(_PACE)
            except Unsupported as error:
                reason = f"{error}; name the services that are to be mirrored, by services="
                self.unlistable = Trouble(time.time(), reason)
                self._on_trouble()
                return
            except HomeportError as error:
                self._unlisted(str(error))
            except Exception as error:  # noqa: BLE001 - a foreign backend's defect must not end the source silently
                _log.exception("the backend failed in a way it should not", extra={"backend": self._backend.url})
                self._unlisted(f"the backend {self._backend.url} failed: {error!r}")
            else:
                self._unlisted(f"{self._backend.url} ended the list of its services")
            await asyncio.sleep(backoff.next_pause())

    async def aclose(self) -> None:
        """Follow nothing any more."""
        await self._tasks.aclose()
        if self._discovery is not None:
            await self._discovery.aclose()

    def prune(self, needed: Callable[[str], bool]) -> None:
        """Follow no more what the source does not list, unless it is still needed here."""
        for name in self._followed.keys() - self._names:
            if not needed(name):
                self._troubles.pop(name, None)
                self._followed.pop(name).cancel()

    # Which there are

    async def _lists(self) -> AsyncGenerator[ServiceList, None]:
        datacenter = self._settings.datacenter
        if isinstance(self._backend, ServiceLister):
            with contextlib.suppress(Unsupported):
                async with contextlib.aclosing(self._backend.watch_services(datacenter=datacenter)) as lists:
                    while True:
                        async with self._patience():
                            one = await anext(lists)
                        self._list_is_followed = True
                        yield one
        while True:
            async with self._patience():
                summaries = await self._backend.services(datacenter=datacenter)
            yield ServiceList(names=frozenset(one.name for one in summaries))
            await asyncio.sleep(self._settings.poll_interval)

    @contextlib.asynccontextmanager
    async def _patience(self) -> AsyncGenerator[None, None]:
        """A block in which the backend must say something.

        Raises:
            BackendUnavailable: it did not.
        """
        try:
            async with asyncio.timeout(_SILENCE):
                yield
        except TimeoutError as error:
            raise BackendUnavailable(
                f"{self._backend.url} said nothing about its services for {_SILENCE:g} s", backend=self._backend.url
            ) from error

    def _unlisted(self, reason: str) -> None:
        known = self._list_trouble
        if known is None or known.reason != reason:
            self._list_trouble = Trouble(time.time() if known is None else known.since, reason)
            self._on_trouble()

    def _listed_now(self, one: ServiceList) -> None:
        first, self.listed = not self.listed, True
        if self._discovery is None:
            self._discovery = self._client()
        known = frozenset(self._followed)
        if first or one.names != self._listed_names:  # most lists are the one before, with other hints
            self._listed_names = one.names
            self._names = frozenset(filter(self._settings.wants, one.names)) | self._settings.named_services
            for name in self.unaskable.keys() - self._names:
                del self.unaskable[name]
                self._followed.pop(name, None)
            for name in sorted((self._names | (self._stored if first else frozenset())) - known):
                self._followed[name] = self._tasks.start(
                    self._follow(name, self._discovery), name=f"homeport source {name}"
                )
            self._on_trouble()
        self._refetch(one.changed & known, self._discovery)

    def _client(self) -> Discovery:
        """The client that follows each service, made once it is known whether the list tells of changes."""
        settings = ClientSettings(
            # After a reset the client keeps what is missing for a while, which is the same precaution as ours.
            reset_grace=max(self._settings.removal_hold, _SHORTEST_GRACE),
            cache=CacheSettings(refresh_interval=self._settings.poll_interval, ttl=self._settings.poll_interval),
            overflow_interval=_CONFIRMATION_INTERVAL if self._list_is_followed else _LOOK_INTERVAL,
        )
        return Discovery(self._backend, settings=settings, handle_signals=False, random=self._random)

    def _refetch(self, names: Collection[str], discovery: Discovery) -> None:
        """Ask for services that changed, where the backend does not bear a watch for each and some are only polled."""
        limit = self._backend.watch_limit
        if limit is None or len(self._followed) <= limit:
            return
        for name in names:
            self._tasks.launch(self._ask_again(name, discovery), name=f"homeport source asks {name}")

    async def _ask_again(self, name: str, discovery: Discovery) -> None:
        async with self._refetching:
            await discovery.wrote(name)

    # Each of them

    async def _follow(self, name: str, discovery: Discovery) -> None:
        backoff = self._backoff()
        while True:
            try:
                async with discovery.watch(name, healthy=False, datacenter=self._settings.datacenter) as watch:
                    backoff.reset()
                    async for snapshot in watch:
                        self._told(name, snapshot)
            except InvalidValue as error:
                self.unaskable[name] = str(error)
                _log.warning("a service cannot be mirrored", extra={"service": name, "reason": str(error)})
                return
            except HomeportError as error:
                self._troubled(name, Trouble(time.time(), str(error)))
            await asyncio.sleep(backoff.next_pause())

    def _told(self, name: str, snapshot: Snapshot) -> None:
        if snapshot.stale_since is not None:
            reason = self._reset if snapshot.reason == RESET else snapshot.reason
            self._troubled(name, Trouble(snapshot.stale_since, reason))
        elif self._troubles.pop(name, None) is not None:
            self._on_trouble()
        self._take(name, snapshot)

    def _troubled(self, name: str, trouble: Trouble) -> None:
        known = self._troubles.get(name)
        if known is None or known.reason != trouble.reason:
            self._troubles[name] = Trouble(trouble.since if known is None else known.since, trouble.reason)
            self._on_trouble()

    def _backoff(self) -> Backoff:
        return Backoff(first=0.2, longest=_LONGEST_PAUSE, random=self._random.random)
