"""A view of one service that keeps itself current."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Protocol, Self, TypeAlias

from homeport.balancing.balancer import Balancer, Picker
from homeport.balancing.loads import Loads
from homeport.errors import InvalidValue, NotReady
from homeport.model import Instance, Query, Snapshot

from .absence import no_instances
from .call import Call
from .ledger import Belief
from .tasks import Tasks
from .upstream import Upstream

_log = logging.getLogger(__name__)

OnChange: TypeAlias = Callable[[Snapshot], Awaitable[None] | None]


class Source(Protocol):
    """Where watches get their upstreams from."""

    @property
    def url(self) -> str:
        """The backend's URL."""
        ...

    def share(self, service: str, datacenter: str) -> Upstream:
        """The upstream of a service, begun if there is none."""
        ...

    async def give_back(self, upstream: Upstream) -> None:
        """End an upstream if nobody listens to it any more."""
        ...


class Watch:
    """The instances that answer a query, kept current until it is closed.

    Use it as ``async with discovery.watch("billing") as billing:``, or ``await`` it and `close` it yourself; either
    begins it with its first snapshot, or raises. What is read (`current`, `pick`, `call`) comes from memory, never
    waits, and may be used from any thread.

    Revisions strictly increase; no state is delivered twice; a slow reader skips states in between, never the last one.
    Becoming stale and being confirmed again are states of their own. It ends only when it is closed.
    """

    def __init__(
        self,
        query: Query,
        *,
        source: Source,
        balancer: Balancer,
        tasks: Tasks,
        cursor_start: int,
        on_change: OnChange | None = None,
        on_begin: Callable[[Watch], None] | None = None,
        on_close: Callable[[Watch], None] | None = None,
    ) -> None:
        self.query = query
        self.used = True
        self._source = source
        self._balancer = balancer
        self._tasks = tasks
        self._on_change = on_change
        self._on_begin = on_begin
        self._on_close = on_close
        self._cursor_start = cursor_start
        self._upstream: Upstream | None = None
        self._loads: Loads | None = None
        self._snapshot: Snapshot | None = None
        self._known = 0
        self._picker: Picker = self._not_begun
        self._changed = asyncio.Event()
        self._closed = False
        self._beginning = 0
        self._callback: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Watch of {self.query.service!r} on {self._source.url}>"

    def __await__(self) -> Generator[Any, None, Watch]:
        return self._begun().__await__()

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def begin(self) -> None:
        """Get the first snapshot; calling it again changes nothing.

        Raises:
            HomeportError: the backend cannot be asked, or refuses.
        """
        if self._closed:
            raise NotReady(f'the watch of "{self.query.service}" was closed')
        if self._snapshot is not None:
            return
        upstream = self._upstream
        if upstream is None:
            if self._on_begin is not None:
                self._on_begin(self)
            upstream = self._upstream = self._source.share(self.query.service, self.query.datacenter)
            self._loads = Loads(upstream.loads, start=self._cursor_start)
            upstream.listen(self)
        self._beginning += 1
        try:
            belief = await upstream.first()
        finally:
            self._beginning -= 1
            # One of several who wait may be cancelled without harm to the others.
            if upstream.belief is None and self._beginning == 0:
                await self.close()
        if self._closed:
            raise NotReady(f'the watch of "{self.query.service}" was closed')
        self.believe(belief)
        if self._on_change is not None and self._callback is None:
            self._callback = self._tasks.start(
                self._call_back(self._on_change), name=f"homeport callback {self.query.service}"
            )

    async def close(self) -> None:
        """End the watch: iterations end, `current` keeps the last snapshot. Calling it twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._announce()
        if self._on_close is not None:
            self._on_close(self)
        upstream = self._upstream
        if upstream is not None:
            upstream.leave(self)
        if self._callback is not None:
            await self._tasks.cancel(self._callback)
        if upstream is not None:
            await self._source.give_back(upstream)

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._closed

    @property
    def current(self) -> Snapshot:
        """The newest snapshot.

        Raises:
            NotReady: the watch has not begun.
        """
        if self._snapshot is None:
            raise self._unbegun()
        return self._snapshot

    def pick(self, key: str | None = None) -> Instance:
        """The instance to call next, chosen by the balancer; ``key`` is for balancers that keep alike calls together.

        Raises:
            NoInstances: none is registered, or none of them passes.
            NotReady: the watch has not begun.
            InvalidValue: the balancer learns from outcomes, so that only `call` may be used.
        """
        if self._balancer.needs_outcomes:
            raise InvalidValue(
                f"the balancer {type(self._balancer).__name__} learns from how calls end; use call() instead of pick()"
            )
        return self.choose(key)

    def call(self, key: str | None = None) -> Call:
        """A call of the instance that the balancer chooses when the block begins.

        >>> async def main(billing: Watch) -> None:
        ...     async with billing.call() as call:
        ...         print(call.url("/v1/invoices"))
        """
        if self._loads is None:
            raise self._unbegun()
        return Call(self.choose, self._loads.table, key)

    def choose(self, key: str | None) -> Instance:
        """The balancer's choice, also if it learns from outcomes.

        Raises:
            NoInstances: see `pick`.
            NotReady: see `pick`.
        """
        instance = self._picker(key)
        if instance is None:
            raise no_instances(
                self.query, backend=self._source.url, known=self._known, matching=self.current.registered
            )
        return instance

    async def settle(self) -> Snapshot:
        """The newest snapshot, with what this process wrote itself in it, or marked as stale."""
        await self.begin()
        assert self._upstream is not None
        await self._upstream.settle()
        return self.current

    async def __aiter__(self) -> AsyncIterator[Snapshot]:
        """The current snapshot, then each newer one; every iteration of its own."""
        seen: Snapshot | None = None
        while not self._closed:
            snapshot = self.current
            # A state that came back while the reader was busy is no news to it, whatever its revision.
            if seen is None or not _same(seen, snapshot):
                seen = snapshot
                yield snapshot
            else:
                await self._changed.wait()

    def believe(self, belief: Belief) -> None:
        """Take in a new belief of the upstream."""
        if self._closed:
            return
        snapshot = snapshot_of(self.query, belief, backend=self._source.url)
        self._known = len(belief.instances)
        previous = self._snapshot
        if previous is not None and _same(previous, snapshot):
            return
        assert self._loads is not None
        revision = 1 if previous is None else previous.revision + 1
        snapshot = _with_revision(snapshot, revision)
        if previous is None or previous.instances != snapshot.instances:
            self._picker = self._balancer.picker(snapshot, self._loads)
        self._snapshot = snapshot
        self._announce()

    def _announce(self) -> None:
        """Wake everybody who waits for a change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _call_back(self, on_change: OnChange) -> None:
        async for snapshot in self:
            try:
                outcome = on_change(snapshot)
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception:  # noqa: BLE001 - a callback's defect is its owner's; the watch goes on
                _log.exception("a callback of a watch failed", extra={"service": self.query.service})

    async def _begun(self) -> Watch:
        await self.begin()
        return self

    def _not_begun(self, _key: str | None) -> Instance | None:
        raise self._unbegun()

    def _unbegun(self) -> NotReady:
        return NotReady(
            f'the watch of "{self.query.service}" has not begun: '
            "write `async with discovery.watch(…) as watch`, or await it first"
        )


def snapshot_of(query: Query, belief: Belief, *, backend: str) -> Snapshot:
    """What a belief answers to a query. Under mass-failure protection, failing instances answer too."""
    matching = tuple(instance for instance in belief.instances if query.selects(instance))
    wants_all = belief.protected or not query.healthy
    return Snapshot(
        service=query.service,
        instances=matching if wants_all else tuple(instance for instance in matching if instance.healthy),
        registered=len(matching),
        backend=backend,
        stale_since=belief.stale_since,
        reason=belief.reason,
        protected=belief.protected,
    )


def _same(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots differ in nothing but their revision."""
    return _with_revision(other, one.revision) == one


def _with_revision(snapshot: Snapshot, revision: int) -> Snapshot:
    return Snapshot(
        service=snapshot.service,
        instances=snapshot.instances,
        registered=snapshot.registered,
        revision=revision,
        backend=snapshot.backend,
        stale_since=snapshot.stale_since,
        reason=snapshot.reason,
        protected=snapshot.protected,
    )
