"""A view of one service that keeps itself current, for programs without an event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol, Self, TypeAlias, TypeVar

import msgspec

from homeport.client.call import Call
from homeport.client.resilience.attempts import Attempts
from homeport.client.resilience.traffic import Traffic
from homeport.client.watch import Watch as AsyncWatch
from homeport.errors import NotReady
from homeport.model import Instance, Query, Snapshot

from .loop_thread import LoopThread
from .performing import SpareThreads, perform

T = TypeVar("T")

OnChange: TypeAlias = Callable[[Snapshot], object]


class Owner(Protocol):
    """What a watch needs of the `Discovery` that it belongs to."""

    @property
    def loop_thread(self) -> LoopThread:
        """The loop thread of this process."""
        ...

    @property
    def spare_threads(self) -> SpareThreads:
        """The threads for hedged calls."""
        ...


class Watch:
    """The instances that answer a query, kept current until it is closed.

    It has begun, with its first snapshot, when `Discovery.watch` returns it; ``with`` closes it at the end of the
    block. What is read (`current`, `pick`, `call`) comes from memory, never waits, and may be used from any thread.

    Revisions strictly increase; no state is delivered twice; a slow reader skips states in between, never the last one.
    Becoming stale and being confirmed again are states of their own. It ends only when it is closed.

    In a forked process it begins anew when it is first used there, and its revisions with it.
    """

    def __init__(self, owner: Owner, watch: AsyncWatch, *, begin: Callable[[], AsyncWatch]) -> None:
        self._owner = owner
        self._watch: AsyncWatch | None = watch  # None in a forked process until it is used there
        self._parents: AsyncWatch = watch  # the one before the last fork
        self._begin = begin
        self._beginning = threading.RLock()
        self._closed = False

    def __repr__(self) -> str:
        return f"<blocking Watch of {self.query.service!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def query(self) -> Query:
        """What is watched."""
        return self._parents.query

    def close(self) -> None:
        """End the watch: iterations end, `current` keeps the last snapshot. Calling it twice is harmless.

        An ``on_change`` that is running at this moment runs to its end.
        """
        watch = self._watch
        if watch is None:  # nothing to end in this process
            self._closed = True
            self._watch = self._parents
        elif not self.closed and not self._owner.loop_thread.closed:
            self._owner.loop_thread.run(watch.close)

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._closed or (self._watch is not None and self._watch.closed)

    @property
    def known(self) -> int:
        """How many instances the service has, whether or not they answer the query."""
        return (self._watch or self._begun_again()).known

    @property
    def up_to_date(self) -> bool:
        """Whether `settle` would answer from memory."""
        return (self._watch or self._begun_again()).up_to_date

    @property
    def current(self) -> Snapshot:
        """The newest snapshot."""
        return (self._watch or self._begun_again()).current

    def pick(self, key: str | None = None) -> Instance:
        """The instance to call next, chosen by the balancer; ``key`` is for balancers that keep alike calls together.

        Raises:
            NoInstances: none is registered, or none of them passes.
            InvalidValue: the balancer learns from outcomes, so that only `call` may be used.
        """
        return (self._watch or self._begun_again()).pick(key)

    def call(self, key: str | None = None) -> Call:
        """A call of the instance that the balancer chooses when the block begins.

        >>> def main(billing: Watch) -> None:
        ...     with billing.call() as call:
        ...         print(call.url("/v1/invoices"))
        """
        return (self._watch or self._begun_again()).call(key)

    def perform(
        self,
        work: Callable[[Call], T],
        *,
        key: str | None = None,
        idempotent: bool = False,
        deadline: float | None = None,
        hedge_after: float | None = None,
    ) -> T:
        """Make a call with ``work``, again on another instance if that failed and may be repeated.

        >>> def main(billing: Watch) -> None:
        ...     def invoices(call: Call) -> bytes:
        ...         with urlopen(call.url("/v1/invoices"), timeout=call.remaining) as response:
        ...             return response.read()
        ...
        ...     body = billing.perform(invoices, idempotent=True, deadline=2.0)

        A call that is not ``idempotent`` is repeated only if it was never sent (nobody listened at the address).
        ``deadline`` bounds everything together, in seconds; ``hedge_after`` makes an idempotent call a second time
        elsewhere when there is no answer after so many seconds. Both come from the settings when they are None, and so
        do the number of attempts and the budget for them.

        ``work`` runs on the calling thread, where nothing can interrupt it: it is to bound itself by
        ``call.remaining``. With ``hedge_after`` it runs on threads of its own, and one that loses runs to its end
        there.

        Raises:
            NoInstances: there is nothing to call.
            CircuitOpen: nearly all calls of the service failed lately.
            DeadlineExceeded: the time is over.
            Exception: what ``work`` raised, at the last attempt.
        """
        attempts = self.attempts(key=key, idempotent=idempotent, deadline=deadline)
        return perform(attempts, work, hedge_after=hedge_after, threads=self._owner.spare_threads)

    def attempts(self, *, key: str | None = None, idempotent: bool = False, deadline: float | None = None) -> Attempts:
        """The attempts to make one call, for who drives them himself; see `perform`."""
        return (self._watch or self._begun_again()).attempts(key=key, idempotent=idempotent, deadline=deadline)

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
        (self._watch or self._begun_again()).observe(instance, status=status, error=error, duration=duration)

    @property
    def traffic(self) -> Traffic:
        """The loads, circuit and budget of the service."""
        return (self._watch or self._begun_again()).traffic

    def settle(self) -> Snapshot:
        """The newest snapshot, with what this process wrote itself in it, or marked as stale."""
        return self._owner.loop_thread.run((self._watch or self._begun_again()).settle)

    def __iter__(self) -> Iterator[Snapshot]:
        """The current snapshot, then each newer one; every iteration of its own. Waits in between."""
        seen: Snapshot | None = None
        while (newer := self._newer(seen)) is not None:
            seen = newer
            yield newer

    def keep_in_use(self) -> bool:
        """Whether it goes on; if so, it counts as used just now."""
        watch = self._watch
        if watch is None or watch.closed:
            return False
        watch.used = True
        return True

    def left_behind(self) -> None:
        """This is a forked child: begin anew when there is a use for it."""
        self._beginning = threading.RLock()
        if self._watch is not None and not self.closed:
            self._parents, self._watch = self._watch, None

    def _newer(self, seen: Snapshot | None) -> Snapshot | None:
        watch = self._watch or self._begun_again()
        if self.closed:
            return None
        try:
            return self._owner.loop_thread.run(_newer, watch, seen)
        except NotReady:
            # Its end may be under way still: nothing else comes any more.
            if watch.closed or self._owner.loop_thread.closed:
                return None
            raise

    def _begun_again(self) -> AsyncWatch:
        """The watch of this process, a child of the one that began it."""
        with self._beginning:
            if self._watch is None:
                self._watch = self._begin()
            return self._watch


async def _newer(watch: AsyncWatch, seen: Snapshot | None) -> Snapshot | None:
    """The first snapshot that says something else than ``seen``, None when the watch is closed."""
    async for snapshot in watch:
        # A state that came back while the reader was busy is no news to it, whatever its revision.
        if seen is None or msgspec.structs.replace(snapshot, revision=seen.revision) != seen:
            return snapshot
    return None
