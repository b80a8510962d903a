"""One service as the backends tell it, the first of them or one that stands in for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from homeport.errors import HomeportError, NotReady

from .fallback import Reach, decide
from .joined_error import joined
from .ledger import Belief
from .origin import Origin
from .reports import Reports
from .resilience.traffic import Traffic
from .settings import ClientSettings
from .subject import Listener
from .tasks import Tasks
from .upstream import Upstream

_log = logging.getLogger(__name__)


class Chain:
    """The belief about one service, from the backend that `homeport.client.fallback` says is to answer.

    It tells its listeners about every new belief, in order. ``writer`` is the place of the backend that takes the
    registrations of this process, None if none does. The loads of the instances are the same whoever answers.
    """

    def __init__(
        self,
        origins: Sequence[Origin],
        service: str,
        *,
        datacenter: str,
        writer: int | None,
        traffic: Traffic,
        settings: ClientSettings,
        tasks: Tasks,
        random: Callable[[], float],
        reports: Reports,
    ) -> None:
        self.service = service
        self.traffic = traffic
        self._origins = origins
        self._datacenter = datacenter
        self._writer = writer
        self._settings = settings
        self._tasks = tasks
        self._random = random
        self._reports = reports
        self._upstreams: list[Upstream] = []
        self._answering: int | None = None
        self._belief: Belief | None = None
        self._listeners: list[Listener] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def belief(self) -> Belief | None:
        """What is believed now, None before the first answer."""
        return self._belief

    @property
    def used(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    @property
    def up_to_date(self) -> bool:
        """Whether `settle` would return without asking a backend."""
        return all(upstream.up_to_date for upstream in self._concerned())

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` about every new belief from now on."""
        self._listeners.append(listener)
        if not self._upstreams:
            self._follow_one_more()
            self._look()

    def leave(self, listener: Listener) -> None:
        """Tell ``listener`` nothing more."""
        with contextlib.suppress(ValueError):
            self._listeners.remove(listener)

    async def first(self) -> Belief:
        """The belief, as soon as there is one.

        Raises:
            HomeportError: the next attempt to get one failed, with every backend.
        """
        while self._belief is None:
            answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(answered)
            try:
                await answered
            finally:
                self._waiting.discard(answered)
        return self._belief

    def written(self) -> None:
        """Somebody in this process changed the service: what is believed may be outdated."""
        for upstream in self._written_through():
            upstream.written()

    def lag(self) -> None:
        """Mark the belief as stale if it may lack what this process wrote."""
        for upstream in self._written_through():
            upstream.lag()

    async def settle(self) -> None:
        """Return when the belief contains every write told by `written` before, or is marked stale.

        It is asked for anew only after such a write, or if it is polled and too old. A write that can be read back
        from a backend before the one that answers hands back to it at once.
        """
        for upstream in self._written_through():
            if upstream.up_to_date:
                continue
            await upstream.settle()
            if upstream.reach.sound and self._answering != self._writer and upstream in self._upstreams:
                self._answer_from(self._upstreams.index(upstream))
                self._look()
        for upstream in self._concerned():
            await upstream.settle()

    async def aclose(self) -> None:
        """Stop following; who still waits for the first answer gets NotReady."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for upstream in self._upstreams:
            await upstream.aclose()
        self._refuse(NotReady(f'the watch of "{self.service}" was closed'))

    def _written_through(self) -> list[Upstream]:
        """The upstream that shows what this process writes, unless it stands behind the one that answers."""
        if self._writer is None or self._writer >= len(self._upstreams) or self._writer > (self._answering or 0):
            return []
        return [self._upstreams[self._writer]]

    def _concerned(self) -> list[Upstream]:
        """The upstreams whose state decides whether the belief is up to date."""
        answering = [] if self._answering is None else [self._upstreams[self._answering]]
        return [*(one for one in self._written_through() if one not in answering), *answering]

    def _look(self) -> None:
        """Decide anew who answers and who is followed, and tell what came of it."""
        if self._closed:
            return
        now = asyncio.get_running_loop().time()
        while True:
            decision = decide(self._reaches(), answering=self._answering, now=now, settings=self._settings.fallback)
            if decision.answering is not None:
                self._answer_from(decision.answering)
            if decision.followed == len(self._upstreams):
                break
            self._follow(decision.followed)
        self._look_again_at(decision.look_again_at if len(self._origins) > 1 else None)
        self._publish()

    def _reaches(self) -> list[Reach]:
        followed = [upstream.reach for upstream in self._upstreams]
        return followed + [Reach()] * (len(self._origins) - len(followed))

    def _look_again_at(self, due: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if due is None else asyncio.get_running_loop().call_at(due, self._look)

    def _follow(self, number: int) -> None:
        """Follow the first so many backends."""
        while len(self._upstreams) < number:
            self._follow_one_more()
        while len(self._upstreams) > number:
            self._tasks.launch(self._upstreams.pop().aclose(), name=f"homeport leaves {self.service}")

    def _follow_one_more(self) -> None:
        upstream = Upstream(
            self._origins[len(self._upstreams)],
            self.service,
            datacenter=self._datacenter,
            settings=self._settings,
            tasks=self._tasks,
            random=self._random,
            reports=self._reports,
            on_change=self._look,
        )
        self._upstreams.append(upstream)
        upstream.begin()

    def _answer_from(self, place: int) -> None:
        before, self._answering = self._answering, place
        if before == place or (before is None and place == 0):
            return
        fields = {"service": self.service, "backend": self._origins[place].url}
        if before is None or place > before:
            _log.warning("a fallback answers for a service", extra=fields)
        else:
            _log.info("a former backend answers for a service again", extra=fields)

    def _publish(self) -> None:
        """Tell what is believed now, or why nothing is."""
        belief = None if self._answering is None else self._upstreams[self._answering].belief
        if belief is None:
            errors = [upstream.error for upstream in self._upstreams if upstream.error is not None]
            if len(errors) == len(self._origins):
                self._refuse(joined(errors))
            return
        if belief is self._belief:
            return
        self._belief = belief
        idle_timeout = self._settings.idle_timeout
        self.traffic.table.retain(belief.instances, unused_for=idle_timeout, change=belief.change)
        for listener in tuple(self._listeners):
            listener.believe(belief)
        for answered in self._waiting:
            if not answered.done():
                answered.set_result(None)

    def _refuse(self, error: HomeportError) -> None:
        """Tell everybody who waits for the first answer that there is none."""
        for answered in self._waiting:
            if not answered.done():
                answered.set_exception(error.copied())
