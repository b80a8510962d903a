"""A view of one service that keeps itself current."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Generator, Mapping
from typing import Any, Self, TypeAlias, TypeVar

import msgspec

from homeport.balancing.balancer import Balancer, Picker
from homeport.balancing.ejection import admitted
from homeport.balancing.loads import Load, Loads
from homeport.errors import InvalidValue, NotReady
from homeport.model import Instance, Query, Snapshot

from .absence import no_instances
from .call import Call
from .ledger import Belief
from .resilience.attempts import Attempts
from .resilience.performing import perform
from .resilience.traffic import Traffic
from .subject import Source, Subject
from .tasks import Tasks
from .view import View

_log = logging.getLogger(__name__)

T = TypeVar("T")

OnChange: TypeAlias = Callable[[Snapshot], Awaitable[None] | None]


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
        self._view = View(query)
        self._source = source
        self._balancer = balancer
        self._tasks = tasks
        self._on_change = on_change
        self._on_begin = on_begin
        self._on_close = on_close
        self._cursor_start = cursor_start
        self._upstream: Subject | None = None
        self._loads: Loads | None = None
        self._traffic: Traffic | None = None
        self._offered = Snapshot(service=query.service)
        self._load_of: Mapping[int, Load] = {}
        self._verdicts = 0
        self._look_again_at: float | None = None
        self._choosing = threading.Lock()
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
            self._traffic = upstream.traffic
            self._loads = Loads(upstream.traffic.table, start=self._cursor_start)
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
        """End the watch: iterations end, nothing is chosen any more, `current` keeps the last snapshot.

        Calling it twice is harmless.
        """
        if self._closed:
            return
        self._closed = True
        self._picker = self._over
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
        return self._chosen(key)[0]

    def call(self, key: str | None = None) -> Call:
        """A call of the instance that the balancer chooses when the block begins.

        >>> async def main(billing: Watch) -> None:
        ...     async with billing.call() as call:
        ...         print(call.url("/v1/invoices"))
        """
        return Call(self._chosen, self._traffic or self.traffic, key)

    async def perform(
        self,
        work: Callable[[Call], Awaitable[T]],
        *,
        key: str | None = None,
        idempotent: bool = False,
        deadline: float | None = None,
        hedge_after: float | None = None,
    ) -> T:
        """Make a call with ``work``, again on another instance if that failed and may be repeated.

        >>> async def main(billing: Watch, http: "ClientSession") -> None:
        ...     async def invoices(call: Call) -> bytes:
        ...         async with http.get(call.url("/v1/invoices")) as response:
        ...             call.observe(status=response.status)
        ...             return await response.read()
        ...
        ...     body = await billing.perform(invoices, idempotent=True, deadline=2.0)

        A call that is not ``idempotent`` is repeated only if it was never sent (nobody listened at the address).
        ``deadline`` bounds everything together, in seconds; ``hedge_after`` makes an idempotent call a second time
        elsewhere when there is no answer after so many seconds. Both come from the settings when they are None, and so
        do the number of attempts and the budget for them.

        Raises:
            NoInstances: there is nothing to call.
            CircuitOpen: nearly all calls of the service failed lately.
            DeadlineExceeded: the time is over.
            Exception: what ``work`` raised, at the last attempt.
        """
        attempts = self.attempts(key=key, idempotent=idempotent, deadline=deadline)
        return await perform(attempts, work, hedge_after=hedge_after)

    def attempts(self, *, key: str | None = None, idempotent: bool = False, deadline: float | None = None) -> Attempts:
        """The attempts to make one call, for who drives them himself; see `perform`."""
        return Attempts(self._chosen, self.traffic, key=key, idempotent=idempotent, deadline=deadline)

    def observe(
        self,
        instance: Instance,
        *,
        status: int | None = None,
        error: BaseException | None = None,
        duration: float | None = None,
    ) -> None:
        """Tell how a call of an instance that was picked ended: an HTTP status, an error, or neither for a success.

        ``duration`` is how long it took, in seconds. It is for calls that `call` cannot wrap, and decides with those
        about who is left out.
        """
        traffic = self.traffic
        succeeded = error is None and (status is None or status < 500)
        traffic.table.observe(traffic.table.of(instance.endpoint), succeeded=succeeded, duration=duration)
        traffic.ended(traffic.clock(), succeeded=succeeded, trial=False)

    @property
    def traffic(self) -> Traffic:
        """The loads, circuit and budget of the service.

        Raises:
            NotReady: the watch has not begun.
        """
        if self._traffic is None:
            raise self._unbegun()
        return self._traffic

    def _chosen(self, key: str | None, avoid: Collection[str] = ()) -> tuple[Instance, Load]:
        """The balancer's choice and its load; if possible none of the ``host:port`` to avoid.

        Raises:
            NoInstances: see `pick`.
            NotReady: see `pick`.
        """
        traffic = self._traffic
        if traffic is None:
            raise self._unbegun()
        table = traffic.table
        if table.verdicts != self._verdicts or (
            self._look_again_at is not None and table.clock() >= self._look_again_at
        ):
            self._offer()
        instance = self._picker(key)
        if instance is None:
            raise no_instances(
                self.query,
                backend=self.current.backend,
                known=self._known,
                matching=self.current.registered,
                passing=len(self.current.instances),
            )
        if avoid and instance.endpoint in avoid:
            instance = self._other(instance, key, avoid)
        return instance, self._load_of.get(id(instance)) or table.of(instance.endpoint)

    def _other(self, instance: Instance, key: str | None, avoid: Collection[str]) -> Instance:
        """Another instance than those to avoid, if there is one."""
        assert self._loads is not None
        others = tuple(one for one in self._offered.instances if one.endpoint not in avoid)
        if not others:
            return instance
        offered = msgspec.structs.replace(self._offered, instances=others)
        # What the balancer keeps is lent to it (a ring is dear to make), but what it makes of it here is not kept.
        loads = Loads(self._loads.table, start=next(self._loads.cursor))
        loads.kept.update(self._loads.kept)
        return self._balancer.picker(offered, loads)(key) or instance

    def _offer(self) -> None:
        """Let the balancer choose among the instances of the newest snapshot that are not ejected."""
        assert self._loads is not None
        assert self._traffic is not None
        loads = self._loads
        with self._choosing:
            snapshot = self._snapshot
            if snapshot is None or self._closed:
                return
            table = self._traffic.table
            self._verdicts = table.verdicts  # read first: what changes from here on is looked at next time
            instances, self._look_again_at = admitted(
                snapshot.instances, table, table.clock(), most_ejected=self._traffic.ejection.most_ejected
            )
            if len(instances) != len(snapshot.instances):
                snapshot = msgspec.structs.replace(snapshot, instances=instances)
            self._offered = snapshot
            # What is offered lives as long as this is asked, so an identity is none of another instance.
            self._load_of = table.by_identity
            try:
                self._picker = self._balancer.picker(snapshot, loads)
            except Exception:  # noqa: BLE001 - the error of somebody's policy is for who picks, not for who brings news

                def again(key: str | None) -> Instance | None:
                    return self._balancer.picker(snapshot, loads)(key)

                self._picker = again

    @property
    def up_to_date(self) -> bool:
        """Whether `settle` would answer from memory."""
        return self._snapshot is not None and self._upstream is not None and self._upstream.up_to_date

    @property
    def known(self) -> int:
        """How many instances the service has, whether or not they answer the query."""
        return self._known

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
        snapshot = self._view.of(belief)
        self._known = len(belief.instances)
        previous = self._snapshot
        if previous is not None and _same(previous, snapshot):
            return
        assert self._loads is not None
        revision = 1 if previous is None else previous.revision + 1
        snapshot = _with_revision(snapshot, revision)
        self._snapshot = snapshot
        if previous is None or previous.instances != snapshot.instances:
            self._offer()
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

    def _over(self, _key: str | None) -> Instance | None:
        raise NotReady(f'the watch of "{self.query.service}" was closed; begin a new one')

    def _unbegun(self) -> NotReady:
        return NotReady(
            f'the watch of "{self.query.service}" has not begun: '
            "write `async with discovery.watch(…) as watch`, or await it first"
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
