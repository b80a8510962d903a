"""The watches behind `discover`, `resolve`, `pick` and `call`: begun by a question, ended when nobody asks any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from homeport.errors import NotReady
from homeport.model import Query

from .settings import ClientSettings
from .tasks import Tasks
from .watch import Watch

_SWEEPS_PER_IDLE_TIMEOUT = 10

Key = tuple[object, ...]


class ImplicitWatches:
    """One watch for each query that was asked; bounded in number, the longest unused goes first."""

    def __init__(self, settings: ClientSettings, *, tasks: Tasks) -> None:
        self._settings = settings
        self._tasks = tasks
        self._watches: dict[Key, Watch] = {}
        self._idle_since: dict[Key, float] = {}
        self._plain: dict[str, Watch] = {}
        self._sweeping: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._watches)

    async def begun(self, query: Query, make: Callable[[Query], Watch]) -> Watch:
        """The watch of that query with its first snapshot.

        Raises:
            HomeportError: it could not begin; nothing stays behind.
        """
        key = _key(query)
        await self._make_room(key)
        watch = self._watches.get(key)
        if watch is None or watch.closed:
            watch = self._watches[key] = make(query)
            self._sweep_from_now_on()
        watch.used = True
        try:
            await watch.begin()
        except BaseException:
            if watch.closed:
                self._forget(key, watch)
            raise
        if key == _key(Query(service=query.service)):
            self._plain[query.service] = watch
        return watch

    def held(self, query: Query) -> Watch | None:
        """The watch of that query, if it was asked for before."""
        return self._watches.get(_key(query))

    def kept(self, service: str) -> Watch | None:
        """The watch of the healthy instances of ``service``, if it is in use."""
        watch = self._plain.get(service)
        if watch is None or watch.closed or not self._settings.cache.enabled:
            return None
        watch.used = True
        return watch

    def known(self, service: str) -> Watch:
        """The watch of the healthy instances of ``service``, from memory.

        Raises:
            NotReady: it was never asked for, or not for so long that it was ended, or the cache is switched off.
        """
        if not self._settings.cache.enabled:
            raise NotReady(
                f'"{service}" is not in memory, since the cache is switched off: keep a watch of it, '
                f'or call `await discovery.resolve("{service}")`'
            )
        try:
            watch = self._plain[service]
        except KeyError:
            raise NotReady(
                f'"{service}" is not in memory: call `await discovery.resolve("{service}")` first, '
                "or keep a watch of it"
            ) from None
        watch.used = True
        return watch

    async def aclose(self) -> None:
        """End all of them."""
        for key, watch in tuple(self._watches.items()):
            self._forget(key, watch)
            await watch.close()

    async def _make_room(self, key: Key) -> None:
        while key not in self._watches and len(self._watches) >= self._settings.implicit_watches:
            longest = min(self._watches, key=lambda key: (self._watches[key].used, self._idle_since.get(key, 0.0)))
            await self._end(longest)

    async def _end(self, key: Key) -> None:
        watch = self._watches[key]
        self._forget(key, watch)
        await watch.close()

    def _forget(self, key: Key, watch: Watch) -> None:
        if self._watches.get(key) is watch:
            del self._watches[key]
            self._idle_since.pop(key, None)
        if self._plain.get(watch.query.service) is watch:
            del self._plain[watch.query.service]

    def _sweep_from_now_on(self) -> None:
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = self._tasks.start(self._sweep(), name="homeport idle watches")

    async def _sweep(self) -> None:
        """End what nobody used for ``idle_timeout``; ends itself when nothing is left."""
        loop = asyncio.get_running_loop()
        while self._watches:
            await asyncio.sleep(self._settings.idle_timeout / _SWEEPS_PER_IDLE_TIMEOUT)
            now = loop.time()
            for key, watch in tuple(self._watches.items()):
                if watch.used:
                    watch.used = False
                    self._idle_since[key] = now
                elif now - self._idle_since.get(key, now) >= self._settings.idle_timeout:
                    await self._end(key)


def _key(query: Query) -> Key:
    return (
        query.service,
        frozenset(query.tags),
        query.version,
        query.environment,
        frozenset(query.meta.items()),
        query.datacenter,
        query.healthy,
    )
