"""The one watch of a service that everybody who asks for it shares."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Protocol

from homeport.balancing.loads import LoadTable
from homeport.errors import BackendUnavailable, HomeportError, InvalidAnswer, NotReady
from homeport.spi import Discoverer, Observed

from .backoff import Backoff
from .ledger import Belief, Ledger
from .settings import ClientSettings
from .tasks import Tasks
from .turns import Turn, Turns

_log = logging.getLogger(__name__)

NOT_ITS_TURN = "not followed at the moment: more services are watched than the backend bears at once"
OWN_WRITE_UNSEEN = "what this program wrote itself is not seen yet"
_TURN_PATIENCE = 5.0
# A registry that answers every poll at once, for whatever reason, must not be asked in a busy loop.
_BURST = 20
_SUSTAINED_INTERVAL = 0.05


class Listener(Protocol):
    """Who is told about a new belief."""

    def believe(self, belief: Belief) -> None:
        """Take in the new belief; called in the event loop, must not raise."""
        ...


class Upstream:
    """Follows one service of one backend and datacenter, and keeps the belief about it; never ends by itself.

    It tells its listeners about every new belief, in order. After a failure it marks the belief stale and tries
    again, with growing pauses, from where it stood.
    """

    def __init__(
        self,
        backend: Discoverer,
        service: str,
        *,
        datacenter: str,
        settings: ClientSettings,
        turns: Turns,
        tasks: Tasks,
        random: Callable[[], float],
    ) -> None:
        self.service = service
        self.loads = LoadTable()
        self._backend = backend
        self._datacenter = datacenter
        self._settings = settings
        self._turns = turns
        self._tasks = tasks
        self._ledger = Ledger(reset_grace=settings.reset_grace)
        self._backoff = Backoff(
            first=settings.first_retry_interval, longest=settings.longest_retry_interval, random=random
        )
        self._listeners: list[Listener] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._grace: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._writes = 0
        self._writes_seen = 0
        self._refetching = asyncio.Lock()
        self._budget = float(_BURST)
        self._budget_at = 0.0

    @property
    def belief(self) -> Belief | None:
        """What is believed now, None before the first answer."""
        return self._ledger.belief

    @property
    def used(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` about every new belief from now on."""
        self._listeners.append(listener)
        if self._task is None:
            self._task = self._tasks.start(self._follow(), name=f"homeport watch {self.service}")

    def leave(self, listener: Listener) -> None:
        """Tell ``listener`` nothing more."""
        with contextlib.suppress(ValueError):
            self._listeners.remove(listener)

    async def first(self) -> Belief:
        """The belief, as soon as there is one.

        Raises:
            HomeportError: the next attempt to get one failed.
        """
        while self._ledger.belief is None:
            answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(answered)
            try:
                await answered
            finally:
                self._waiting.discard(answered)
        return self._ledger.belief

    def written(self) -> None:
        """Somebody in this process changed the service: what is believed may be outdated."""
        self._writes += 1

    def lag(self) -> None:
        """Mark the belief as stale if it may lack what this process wrote."""
        if self._writes_seen < self._writes:
            self._stale(OWN_WRITE_UNSEEN)

    async def settle(self) -> None:
        """Return when the belief contains every write told by `written` before, or is marked stale.

        Asks the backend only if there was such a write since it was last asked.
        """
        wanted = self._writes
        if self._writes_seen >= wanted:
            return
        async with self._refetching:
            if self._writes_seen >= wanted:
                return
            asked = self._writes
            known = self._ledger.cursor
            try:
                observed = await self._backend.fetch(self.service, datacenter=self._datacenter)
            except HomeportError as error:
                self._failed(error)
                return
            if known is not None and known.store == observed.cursor.store and observed.cursor.position < known.position:
                observed = Observed(
                    instances=observed.instances, cursor=observed.cursor, reset=True, protected=observed.protected
                )
            self._writes_seen = asked
            self._observed(observed)

    async def aclose(self) -> None:
        """Stop following; who still waits for the first answer gets NotReady."""
        if self._grace is not None:
            self._grace.cancel()
        if self._task is not None:
            await self._tasks.cancel(self._task)
        self._refuse(NotReady(f'the watch of "{self.service}" was closed'))

    async def _follow(self) -> None:
        while True:
            try:
                await self._follow_once()
            except HomeportError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - a foreign backend's defect must not end the watch silently
                _log.exception("the backend failed in a way it should not", extra={"service": self.service})
                self._failed(
                    InvalidAnswer(f"the backend {self._backend.url} failed: {error!r}", backend=self._backend.url)
                )
            await asyncio.sleep(self._backoff.next_pause())

    async def _follow_once(self) -> None:
        """Watch until something fails; returns without an error never."""
        while True:
            patience = asyncio.get_running_loop().call_later(_TURN_PATIENCE, self._outwaited)
            try:
                async with self._turns.turn() as turn:
                    patience.cancel()
                    await self._follow_for(turn)
            finally:
                patience.cancel()

    async def _follow_for(self, turn: Turn) -> None:
        """Watch until the turn is over. Raises what the backend raises."""
        stream = self._backend.watch(self.service, datacenter=self._datacenter, after=self._ledger.cursor)
        async with contextlib.aclosing(stream):
            while True:
                try:
                    async with turn.bounded(self._settings.silence_timeout):
                        observed = await anext(stream)
                except TimeoutError:
                    if turn.over:
                        return
                    raise BackendUnavailable(
                        f'{self._backend.url} said nothing about "{self.service}" '
                        f"for {self._settings.silence_timeout:g} s",
                        backend=self._backend.url,
                    ) from None
                except StopAsyncIteration:
                    raise InvalidAnswer(
                        f'{self._backend.url} ended the watch of "{self.service}"', backend=self._backend.url
                    ) from None
                self._backoff.reset()
                self._observed(observed)
                if turn.over:
                    return
                await self._pace()

    async def _pace(self) -> None:
        """Let many answers in a row pass, but not endlessly many."""
        now = asyncio.get_running_loop().time()
        self._budget = min(float(_BURST), self._budget + (now - self._budget_at) / _SUSTAINED_INTERVAL) - 1
        self._budget_at = now
        if self._budget < 0:
            await asyncio.sleep(-self._budget * _SUSTAINED_INTERVAL)

    def _observed(self, observed: Observed) -> None:
        was_stale = self._ledger.belief is not None and self._ledger.belief.stale_since is not None
        changed = self._ledger.observed(observed, now=asyncio.get_running_loop().time(), wall=time.time())
        self._watch_grace()
        if changed:
            self._tell(was_stale=was_stale)
        for answered in self._waiting:
            if not answered.done():
                answered.set_result(None)

    def _failed(self, error: HomeportError) -> None:
        self._stale(str(error))
        self._refuse(error)

    def _refuse(self, error: HomeportError) -> None:
        """Tell everybody who waits for the first answer that there is none."""
        for answered in self._waiting:
            if not answered.done():
                answered.set_exception(_copy(error))

    def _outwaited(self) -> None:
        self._stale(NOT_ITS_TURN)

    def _stale(self, reason: str) -> None:
        if self._ledger.failed(reason, wall=time.time()):
            self._tell(was_stale=False)

    def _watch_grace(self) -> None:
        """See to it that the end of the grace after a reset is not missed."""
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        if self._ledger.grace_ends_at is not None:
            self._grace = asyncio.get_running_loop().call_at(self._ledger.grace_ends_at, self._grace_passed)

    def _grace_passed(self) -> None:
        self._grace = None
        if self._ledger.grace_passed(now=asyncio.get_running_loop().time(), wall=time.time()):
            self._tell(was_stale=True)

    def _tell(self, *, was_stale: bool) -> None:
        belief = self._ledger.belief
        assert belief is not None
        fields = {"service": self.service, "backend": self._backend.url}
        if belief.stale_since is not None and not was_stale:
            _log.warning("the instances of a service are stale", extra={**fields, "reason": belief.reason})
        elif belief.stale_since is None and was_stale:
            _log.info("the instances of a service are confirmed again", extra=fields)
        self.loads.retain({one.endpoint for one in belief.instances}, unused_for=self._settings.idle_timeout)
        for listener in tuple(self._listeners):
            listener.believe(belief)


def _copy(error: HomeportError) -> HomeportError:
    """The same error for one more waiter: a traceback belongs to one raise only."""
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error.__cause__
    return copy
