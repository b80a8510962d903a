"""The attempts of one logical call: which instance next, whether again, and for how long."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Collection
from random import random as shared_random
from types import TracebackType

from homeport.balancing.loads import Load
from homeport.client.call import Call, Choose
from homeport.errors import DeadlineExceeded, InvalidValue, NoInstances, NotReady
from homeport.model import Instance

from .traffic import Traffic

_NEVER_SENT = {errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
_DEEPEST_CAUSE = 8


class NoTimeLeft(DeadlineExceeded):
    """The time was over before the first attempt, so that it says nothing about any instance."""


class RepeatedCall(Call):
    """A second or later attempt."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if kind is None or issubclass(kind, Exception):
            failed = kind is not None or self.failed
            self._traffic.reports.retried(self._traffic.service, "failure" if failed else "success")


class Attempts:
    """Decides about the attempts of one call. It waits for nothing and sends nothing: its owner does.

    >>> attempts = watch.attempts(idempotent=True)
    >>> while True:
    ...     with attempts.next() as call:
    ...         ...                                            # make the call, call.observe(status=…)
    ...     pause = attempts.pause(status=call.status)          # None: this is the answer

    ``deadline`` is the number of seconds from now for everything together; None takes that of the settings. Each next
    attempt goes to an instance that was not tried yet, as long as there is one.
    """

    def __init__(
        self,
        choose: Choose,
        traffic: Traffic,
        *,
        key: str | None = None,
        idempotent: bool = False,
        deadline: float | None = None,
        random: Callable[[], float] = shared_random,
    ) -> None:
        if deadline is not None and not isinstance(deadline, int | float):
            raise InvalidValue(f"the deadline of a call is {deadline!r}; give a number of seconds")
        self.idempotent = idempotent
        self.settings = traffic.retry
        self._choose = choose
        self._traffic = traffic
        self._key = key
        self._random = random
        self._limit = deadline if deadline is not None else traffic.retry.deadline
        self._deadline_at = None if self._limit is None else traffic.clock() + self._limit
        self._tried: list[str] = []
        self._made = 0
        self._chosen_before: tuple[Instance, Load] | None = None

    @property
    def remaining(self) -> float | None:
        """The seconds left until the deadline, 0 when it is over; None without one."""
        return None if self._deadline_at is None else max(0.0, self._deadline_at - self._traffic.clock())

    def next(self) -> Call:
        """The next attempt, for a ``with`` block.

        Raises:
            DeadlineExceeded: the time is over; `NoTimeLeft` if no attempt was made.
        """
        if self.remaining == 0.0:
            raise self.exceeded()
        if self._made == 0:
            self._traffic.budget.paid()
        kind = Call if self._made == 0 else RepeatedCall
        self._made += 1
        return kind(self._chosen, self._traffic, self._key, self._tried, self._deadline_at)

    def pause(
        self, *, error: BaseException | None = None, status: int | None = None, sent: bool | None = None
    ) -> float | None:
        """The seconds to wait before the next attempt after one that ended so; None if its outcome is to stand.

        ``sent`` says whether the request may have reached the instance; None finds out from the error.
        """
        if error is None and status not in self.settings.statuses:
            return None
        if error is not None and not isinstance(error, Exception):
            return None  # a cancellation, or an interrupt
        if not self.idempotent and (error is None or (not never_sent(error) if sent is None else sent)):
            return None
        if not self._may_go_on():
            return None
        try:
            chosen = self._choose(self._key, self._tried)
        except (NoInstances, NotReady):  # all are gone, or the watch has ended
            return None
        if chosen[1].endpoint not in self._tried:
            self._chosen_before = chosen
            return 0.0
        # Everybody was tried: give them a moment.
        pause = self._random() * self.settings.first_pause * 2.0 ** (self._made - 1)
        remaining = self.remaining
        return None if remaining is not None and pause >= remaining else pause

    def hedge(self) -> Call | None:
        """One more attempt beside those under way, or None if that may not be."""
        if not self.idempotent or not self._may_go_on():
            return None
        self._made += 1
        self._traffic.reports.hedged(self._traffic.service)
        return Call(self._chosen, self._traffic, self._key, self._tried, self._deadline_at)

    def exceeded(self) -> DeadlineExceeded:
        """The error for a call whose time is over."""
        tries = "1 attempt" if self._made == 1 else f"{self._made} attempts"
        kind = DeadlineExceeded if self._made else NoTimeLeft
        return kind(f'the call of "{self._traffic.service}" was not answered within {self._limit or 0.0:g} s ({tries})')

    def _may_go_on(self) -> bool:
        if self._made >= self.settings.attempts or self.remaining == 0.0:
            return False
        allowed = self._traffic.budget.take(self._traffic.clock())
        if not allowed:
            self._traffic.reports.retried(self._traffic.service, "refused")
        return allowed

    def _chosen(self, key: str | None, avoid: Collection[str]) -> tuple[Instance, Load]:
        chosen, self._chosen_before = self._chosen_before or self._choose(key, avoid), None
        self._tried.append(chosen[1].endpoint)
        return chosen


def never_sent(error: BaseException) -> bool:
    """Whether an error says that the connection was never made, by itself or by what caused it."""
    cause: BaseException | None = error
    for _ in range(_DEEPEST_CAUSE):
        if cause is None:
            return False
        if isinstance(cause, ConnectionRefusedError | socket.gaierror):
            return True
        if isinstance(cause, OSError) and cause.errno in _NEVER_SENT:
            return True
        cause = cause.__cause__  # the context may be an address that was tried before one that was reached
    return False
