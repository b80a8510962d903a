"""Which services changed, of those that are asked for now and then because no more can be watched.

Consul has no answer that says so. But all of its indexes count in one sequence, the list of services moves with every
registration, and the checks that fail move with every check: two waiting queries tell that something happened, and at
which index. A check that fails or recovers is found by comparing what fails; for everything else each service is asked
for its index, by a query whose filter lets nothing through, so that both sides have little to do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Collection, Coroutine
from types import TracebackType
from typing import Self

import msgspec

from homeport.errors import InvalidValue
from homeport.spi import ServiceList
from homeport.wire import consul as wire

from .api import ConsulAPI, quoted
from .blocking_query import answers, position_of
from .listing import follow_list

_LATELY = 120.0
"""Seconds after which a service that nobody asked for again is asked for its index no more."""
_CONNECTIONS = 8
"""So many services are asked for their index at once."""
_PAUSE_FACTOR = 2.0
"""After each round there is a pause, so many times as long: where something changes all the time, the rounds take a
third of it."""
_LETS_NOTHING_THROUGH = 'Service.ID == ""'
_CHECKS = msgspec.json.Decoder(list[wire.HealthCheck])


class Polled:
    """The services that were asked for lately."""

    def __init__(self) -> None:
        self._asked_at: dict[tuple[str, str], float] = {}  # the oldest first

    def note(self, service: str, datacenter: str) -> None:
        """Somebody asks for a service."""
        self._asked_at.pop((datacenter, service), None)
        self._asked_at[datacenter, service] = self._now()

    def names(self, datacenter: str) -> Collection[str]:
        """Those of a datacenter."""
        self._now()
        return {name for where, name in self._asked_at if where == datacenter}

    def _now(self) -> float:
        """The time, after what is too long ago was forgotten."""
        now = asyncio.get_running_loop().time()
        while self._asked_at and self._asked_at[oldest := next(iter(self._asked_at))] < now - _LATELY:
            del self._asked_at[oldest]
        return now


async def follow_hints(api: ConsulAPI, polled: Polled, *, datacenter: str) -> AsyncGenerator[ServiceList, None]:
    """The list of services, and of those that are polled the ones that changed since they were asked for.

    A service may be named that did not change.

    Raises:
        BackendError: the agent cannot be asked.
    """
    loop = asyncio.get_running_loop()
    async with _News(api, datacenter) as news:
        known, rests_until = 0, 0.0
        while True:
            waits_for_round = known not in (0, news.position) and bool(polled.names(datacenter))
            changed = await news.next(until=rests_until if waits_for_round else None)
            # Who asks from here on sees what is at this position at least.
            position, asked = news.position, polled.names(datacenter)
            yield ServiceList(names=news.names, changed=changed.intersection(asked))
            if not known or not asked:
                known = position
            elif known != position and (began := loop.time()) >= rests_until:
                # An index that went back is one of other data: everything may have changed.
                moved = await _beyond(api, asked, known if known < position else 0, datacenter=datacenter)
                known, rests_until = position, loop.time() + _PAUSE_FACTOR * (loop.time() - began)
                if moved:
                    yield ServiceList(names=news.names, changed=moved)
            if asked:
                news.follow_checks()


async def _beyond(api: ConsulAPI, services: Collection[str], position: int, *, datacenter: str) -> frozenset[str]:
    """The services whose index is above a position."""
    waiting = iter(services)
    moved: set[str] = set()

    async def some() -> None:
        for service in waiting:
            try:
                path = f"/v1/health/service/{quoted(service)}"
            except InvalidValue:  # it cannot be asked for at all
                continue
            params = {**api.reading(datacenter, cached=False), "filter": _LETS_NOTHING_THROUGH}
            answer = await api.request("GET", path, params=params, purpose=f'read "{service}"')
            if position_of(api, answer) > position:
                moved.add(service)

    asking = [asyncio.ensure_future(some()) for _ in range(min(_CONNECTIONS, len(services)))]
    try:
        await asyncio.gather(*asking)
    finally:
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return frozenset(moved)


class _News:
    """Both waiting queries, as ``async with``: the second one once somebody needs it."""

    def __init__(self, api: ConsulAPI, datacenter: str) -> None:
        self.names = frozenset[str]()
        self.position = 0
        """The highest index that was heard of, in the data that are there now."""
        self._api = api
        self._datacenter = datacenter
        self._failing: dict[tuple[str, str], wire.HealthCheck] | None = None
        self._changed: set[str] = set()
        self._happened = asyncio.Event()
        self._asking: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._begin(self._follow_list())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._asking:
            one.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    def follow_checks(self) -> None:
        """Listen to checks too."""
        if len(self._asking) == 1:
            self._begin(self._follow_failing())

    async def next(self, *, until: float | None) -> frozenset[str]:
        """Wait for news, at most until a time of the loop, and return the services whose checks failed or recovered.

        Raises:
            BackendError: there will be no more.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._happened.wait()
        self._happened.clear()
        for one in self._asking:
            if one.done():
                one.result()
        changed, self._changed = frozenset(self._changed), set()
        return changed

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        asking = asyncio.get_running_loop().create_task(work, name="homeport hints")
        asking.add_done_callback(lambda _: self._happened.set())
        self._asking.append(asking)

    async def _follow_list(self) -> None:
        before = 0
        async with contextlib.aclosing(follow_list(self._api, datacenter=self._datacenter)) as lists:
            async for listed in lists:
                self.names = listed.names
                before = self._heard(listed.position, before)

    async def _follow_failing(self) -> None:
        before = 0
        path, purpose = "/v1/health/state/critical", "list failing checks"
        asking = answers(self._api, path, datacenter=self._datacenter, purpose=purpose)
        async with contextlib.aclosing(asking) as failing:
            async for answer, position in failing:
                rows = self._api.decode(_CHECKS, answer)
                self._compare({(row.node, row.check_id): row for row in rows})
                before = self._heard(position, before)

    def _compare(self, failing: dict[tuple[str, str], wire.HealthCheck]) -> None:
        known, self._failing = self._failing, failing
        if known is None:
            return
        for key in known.keys() | failing.keys():
            one, other = known.get(key), failing.get(key)
            if one != other:
                self._changed |= {row.service_name for row in (one, other) if row is not None and row.service_name}

    def _heard(self, position: int, before: int) -> int:
        self.position = max(self.position, position) if position >= before else position
        self._happened.set()
        return position
