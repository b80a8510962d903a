"""One service as one backend tells it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from homeport.errors import BackendUnavailable, HomeportError, InvalidAnswer, Unsupported
from homeport.spi import Observed

from .backoff import Backoff
from .fallback import Reach
from .ledger import Belief, Ledger, continued
from .origin import Origin
from .polling import fresh_until, next_poll
from .reports import Reports
from .selection import Selection
from .settings import ClientSettings
from .tasks import Tasks

_log = logging.getLogger(__name__)

NOT_ITS_TURN = "not asked for at the moment: more services are followed than the backend answers for at once"
OWN_WRITE_UNSEEN = "what this program wrote itself is not seen yet"
_TURN_PATIENCE = 5.0
# A registry that answers every poll at once, for whatever reason, must not be asked in a busy loop.
_BURST = 20
_SUSTAINED_INTERVAL = 0.05


class Upstream:
    """Follows one service of one backend and datacenter, and keeps the belief about it; never ends by itself.

    It watches, or polls where the backend cannot watch or the settings say so. It calls ``on_change`` after every new
    belief and every failure, in order. After a failure it marks the belief stale and tries again, with growing pauses,
    from where it stood.
    """

    def __init__(
        self,
        origin: Origin,
        service: str,
        *,
        datacenter: str,
        settings: ClientSettings,
        tasks: Tasks,
        random: Callable[[], float],
        reports: Reports,
        on_change: Callable[[], None],
    ) -> None:
        self.service = service
        self.error: HomeportError | None = None
        self._origin = origin
        self._datacenter = datacenter
        self._settings = settings
        self._tasks = tasks
        self._random = random
        self._reports = reports
        self._on_change = on_change
        self._healthy = Selection(lambda instance: instance.healthy)
        self._ledger = Ledger(reset_grace=settings.reset_grace, backend=origin.url)
        self._backoff = Backoff(
            first=settings.first_retry_interval, longest=settings.longest_retry_interval, random=random
        )
        self._polled = not settings.cache.watch
        self._grace: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._began_at: float | None = None
        self._trouble_since: float | None = None
        self._sound_since: float | None = None
        self._asked_at = 0.0
        self._writes = 0
        self._writes_seen = 0
        self._refetching = asyncio.Lock()
        self._in_vain = asyncio.Event()
        self._budget = float(_BURST)
        self._budget_at = 0.0

    @property
    def belief(self) -> Belief | None:
        """What is believed now, None before the first answer."""
        return self._ledger.belief

    @property
    def reach(self) -> Reach:
        """How the backend stands, as far as this service tells."""
        return Reach(
            followed_since=self._began_at,
            known=self._ledger.belief is not None,
            trouble_since=self._trouble_since,
            sound_since=self._sound_since,
        )

    @property
    def up_to_date(self) -> bool:
        """Whether the belief contains every write told by `written`, and is not too old for what is only polled."""
        return self._writes_seen >= self._writes and not self._expired()

    def begin(self) -> None:
        """Follow from now on."""
        self._began_at = asyncio.get_running_loop().time()
        self._task = self._tasks.start(self._follow(), name=f"homeport watch {self.service}")

    def written(self) -> None:
        """Somebody in this process changed the service: what is believed may be outdated."""
        self._writes += 1

    def lag(self) -> None:
        """Mark the belief as stale if it may lack what this process wrote."""
        if self._writes_seen < self._writes:
            self._stale(OWN_WRITE_UNSEEN)

    async def settle(self) -> None:
        """Return when the belief is `up_to_date` as of now, or is marked stale; asks the backend only if it must."""
        wanted = self._writes
        if self._writes_seen >= wanted and not self._expired():
            return
        async with self._refetching:
            if self._writes_seen >= wanted and not self._expired():
                return
            try:
                await self._ask()
            except HomeportError as error:
                self._failed(error)
                self._in_vain.set()

    async def aclose(self) -> None:
        """Stop following."""
        if self._grace is not None:
            self._grace.cancel()
        if self._task is not None:
            await self._tasks.cancel(self._task)
        self._reports.forgotten(self.service, backend=self._origin.url)

    async def _follow(self) -> None:
        hurried = False
        while True:
            try:
                await (self._poll() if self._polled else self._watch())
            except HomeportError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - a foreign backend's defect must not end the watch silently
                _log.exception("the backend failed in a way it should not", extra={"service": self.service})
                self._failed(
                    InvalidAnswer(f"the backend {self._origin.url} failed: {error!r}", backend=self._origin.url)
                )
            else:
                continue
            pause = self._backoff.next_pause()
            if hurried:  # once is enough: a service that fails alone must not be asked whenever another is answered
                await asyncio.sleep(pause)
                hurried = False
            else:
                hurried = await self._origin.pause(pause)
            self._reports.reconnecting(self.service, backend=self._origin.url)

    async def _watch(self) -> None:
        """Watch until something fails; returns without an error only when the backend cannot be watched.

        While the backend bears no more watches, ask now and then instead.
        """
        slots = self._origin.slots
        while not self._polled:
            if not slots.take():
                await self._ask_in_turn()
                await slots.wait(self._settings.overflow_interval)
                continue
            try:
                await self._watch_on()
            finally:
                slots.give_back()

    async def _watch_on(self) -> None:
        """Watch until something fails, or turns out to be no watch. Raises what the backend raises."""
        stream = self._origin.backend.watch(self.service, datacenter=self._datacenter, after=self._ledger.cursor)
        async with contextlib.aclosing(stream):
            while True:
                try:
                    async with asyncio.timeout(self._settings.silence_timeout):
                        observed = await anext(stream)
                except TimeoutError:
                    raise self._silent() from None
                except Unsupported:
                    self._polled = True
                    return
                except StopAsyncIteration:
                    raise InvalidAnswer(
                        f'{self._origin.url} ended the watch of "{self.service}"', backend=self._origin.url
                    ) from None
                self._observed(observed)
                await self._pace()

    async def _poll(self) -> None:
        """Ask again and again until that fails. Raises what the backend raises."""
        loop = asyncio.get_running_loop()
        while True:
            await self._ask_in_turn()
            self._in_vain.clear()
            due = next_poll(self._asked_at, self._settings.cache, chance=self._random())
            while loop.time() < due and not self._in_vain.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._in_vain.wait()
                # A question may have asked in the meantime, with success or in vain.
                due = max(due, next_poll(self._asked_at, self._settings.cache, chance=0.0))

    async def _ask_in_turn(self) -> None:
        """Ask as soon as not too many others do. Raises what the backend raises."""
        patience = asyncio.get_running_loop().call_later(_TURN_PATIENCE, self._outwaited)
        try:
            async with self._origin.slots.asking, self._refetching:
                patience.cancel()
                await self._ask()
        finally:
            patience.cancel()

    async def _ask(self) -> None:
        """Ask for the instances now; under the lock. Raises what the backend raises."""
        asked, asked_at = self._writes, asyncio.get_running_loop().time()
        known = self._ledger.cursor
        try:
            async with asyncio.timeout(self._settings.silence_timeout):
                observed = await self._origin.backend.fetch(self.service, datacenter=self._datacenter)
        except TimeoutError:
            raise self._silent() from None
        self._writes_seen = asked
        self._asked_at = asked_at
        self._observed(continued(known, observed))

    def _expired(self) -> bool:
        """Whether a polled answer is too old for a question. While the backend is in trouble, asking would not help."""
        belief = self._ledger.belief
        if not self._polled or belief is None or self._trouble_since is not None:
            return False
        until = fresh_until(self._asked_at, self._settings.cache, empty=not belief.instances)
        return asyncio.get_running_loop().time() >= until

    async def _pace(self) -> None:
        """Let many answers in a row pass, but not endlessly many."""
        now = asyncio.get_running_loop().time()
        self._budget = min(float(_BURST), self._budget + (now - self._budget_at) / _SUSTAINED_INTERVAL) - 1
        self._budget_at = now
        if self._budget < 0:
            await asyncio.sleep(-self._budget * _SUSTAINED_INTERVAL)

    def _observed(self, observed: Observed) -> None:
        self._backoff.reset()
        self._origin.answered()
        was_stale = self._ledger.belief is not None and self._ledger.belief.stale_since is not None
        changed = self._ledger.observed(observed, now=asyncio.get_running_loop().time(), wall=time.time())
        self._watch_grace()
        self._weigh()
        if changed:
            self._tell(was_stale=was_stale)

    def _failed(self, error: HomeportError) -> None:
        self._origin.failed()
        self._reports.failed("watch", error, backend=self._origin.url)
        self.error = error
        self._sound_since = None
        if self._trouble_since is None:
            self._trouble_since = asyncio.get_running_loop().time()
        self._stale(str(error))
        self._on_change()

    def _weigh(self) -> None:
        """Take in, after an answer, whether the belief is confirmed now."""
        belief = self._ledger.belief
        assert belief is not None
        now = asyncio.get_running_loop().time()
        if belief.stale_since is None:
            self.error = None
            self._trouble_since = None
            self._sound_since = now if self._sound_since is None else self._sound_since
        else:
            self._trouble_since = now if self._trouble_since is None else self._trouble_since
            self._sound_since = None

    def _outwaited(self) -> None:
        self._stale(NOT_ITS_TURN)

    def _stale(self, reason: str) -> None:
        if self._ledger.failed(reason, wall=time.time()):
            self._tell(was_stale=False)

    def _silent(self) -> BackendUnavailable:
        return BackendUnavailable(
            f'{self._origin.url} said nothing about "{self.service}" for {self._settings.silence_timeout:g} s',
            backend=self._origin.url,
        )

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
            self._weigh()
            self._tell(was_stale=True)

    def _tell(self, *, was_stale: bool) -> None:
        belief = self._ledger.belief
        assert belief is not None
        fields = {"service": self.service, "backend": self._origin.url}
        if belief.stale_since is not None and not was_stale:
            _log.warning("the instances of a service are stale", extra={**fields, "reason": belief.reason})
        elif belief.stale_since is None and was_stale:
            _log.info("the instances of a service are confirmed again", extra=fields)
        if self._reports.observed:
            healthy = len(self._healthy.of(belief))
            self._reports.believed(
                self.service, healthy=healthy, stale_since=belief.stale_since, backend=self._origin.url
            )
        self._on_change()
