"""One call of an instance: chosen, counted and timed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from homeport.balancing.loads import Load
from homeport.errors import NotReady
from homeport.model import Instance

from .reports import FailedOutcome
from .resilience.traffic import Traffic

Choose = Callable[[str | None, Collection[str]], tuple[Instance, Load]]
"""The balancer's choice for a key and its load, if possible none of these ``host:port``."""


class Call:
    """A call that begins with ``with`` (or ``async with``) and ends with the block.

    A block that ends normally is a success, one that raises a failure; one that is cancelled is neither. It may be
    used once.
    """

    # Defaults stand in the class, since a call is made in two microseconds, of which each store here is a twentieth.
    status: int | None = None
    _avoid: Collection[str] = ()
    _deadline_at: float | None = None
    _instance: Instance | None = None
    _trial = False
    _outcome: bool | None = True
    _load: Load
    _began_at: float
    _report: AbstractContextManager[None]

    def __init__(
        self,
        choose: Choose,
        traffic: Traffic,
        key: str | None,
        avoid: Collection[str] | None = None,
        deadline_at: float | None = None,
    ) -> None:
        self._choose = choose
        self._traffic = traffic
        self._key = key
        if avoid is not None:
            self._avoid = avoid
            self._deadline_at = deadline_at

    @property
    def instance(self) -> Instance:
        """The instance to call.

        Raises:
            NotReady: the block has not begun.
        """
        if self._instance is None:
            raise NotReady("a call has an instance only inside its block: write `with watch.call() as call`")
        return self._instance

    @property
    def remaining(self) -> float | None:
        """The seconds that are left until the deadline, 0 when it is over; None without a deadline.

        What makes the call should bound itself by it.
        """
        return None if self._deadline_at is None else max(0.0, self._deadline_at - self._traffic.clock())

    def url(self, path: str = "/", *, scheme: str | None = None) -> str:
        """The URL of ``path`` on the chosen instance."""
        return self.instance.url(path, scheme=scheme)

    def observe(self, *, status: int | None = None, succeeded: bool | None = None) -> None:
        """Tell how the call went: an HTTP status (500 and above is a failure), or plainly whether it succeeded."""
        if status is not None:
            self.status = status
            self._outcome = status < 500
        if succeeded is not None:
            self._outcome = succeeded

    @property
    def failed(self) -> bool:
        """Whether what was observed makes it a failure."""
        return self._outcome is False

    def disregard(self) -> None:
        """Count the call neither as success nor as failure, however the block ends."""
        self._outcome = None

    def overtaken(self) -> None:
        """It is given up because the same call was faster elsewhere: no failure, but a sign of slowness."""
        self.disregard()
        if self._instance is not None:
            self._traffic.table.overtaken(self._load, self._began_at)

    def __enter__(self) -> Self:
        """Choose.

        Raises:
            NoInstances: there is nothing to call.
            CircuitOpen: nearly all calls of the service failed lately.
        """
        if self._instance is not None:
            raise NotReady("a call may be used once; ask for a new one")
        traffic = self._traffic
        if not traffic.circuit.closed:
            self._trial = traffic.enter()
        try:
            self._instance, self._load = self._choose(self._key, self._avoid)
        except BaseException:  # also a foreign balancer's: the trial of a half-open circuit is for somebody else then
            traffic.ended(traffic.clock(), succeeded=None, trial=self._trial)
            raise
        self._began_at = traffic.table.begin(self._load)
        if traffic.observed:
            self._report = traffic.reports.calling(traffic.service, self._load.endpoint)
            self._report.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        succeeded = self._outcome
        if kind is not None and succeeded is not None:
            succeeded = False if issubclass(kind, Exception) else None
        traffic = self._traffic
        now = traffic.table.end(self._load, self._began_at, succeeded=succeeded)
        if not succeeded or self._trial or now >= traffic.circuit.due_at:
            traffic.ended(now, succeeded=succeeded, trial=self._trial)
        if traffic.observed:
            if kind is None and succeeded is False:
                kind, error = FailedOutcome, FailedOutcome("" if self.status is None else f"HTTP {self.status}")
            self._report.__exit__(kind, error, traceback)

    async def __aenter__(self) -> Self:
        """As ``__enter__``; nothing is waited for."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
