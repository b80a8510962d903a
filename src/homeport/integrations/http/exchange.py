"""One request to a service: its attempts, and the outcome of each."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import TypeAlias

from homeport.client.call import Call
from homeport.client.resilience.attempts import Attempts
from homeport.errors import DeadlineExceeded, NoInstances

Abandoned: TypeAlias = deque[Call]
"""Calls whose response was thrown away without being closed; ended by whoever makes the next one."""


class Exchange:
    """Makes the calls for one request and ends each exactly once; the last one ends with the body of its response.

    The library sends and waits in between: `begin`, then `failed` or `answered` (which say how long to wait before the
    next `begin`, or None if that is what the program gets), then `complete`, `broke` or `closed`. ``bounded`` says
    whether there is a deadline.
    """

    __slots__ = ("_abandoned", "_attempts", "_call", "_hedge", "_last", "bounded")

    def __init__(self, attempts: Attempts, abandoned: Abandoned, *, hedge: Call | None = None) -> None:
        self._attempts = attempts
        self._abandoned = abandoned
        self._hedge = hedge
        self._call: Call | None = None
        self._last: Exception | None = None
        self.bounded = attempts.remaining is not None

    @property
    def remaining(self) -> float | None:
        """The seconds left until the deadline, 0 when it is over; None without one."""
        return self._attempts.remaining

    @property
    def patience(self) -> float | None:
        """After how many seconds without an answer a `second` exchange may help; None if never."""
        return self._attempts.settings.hedge_after if self._attempts.idempotent else None

    def second(self) -> Exchange | None:
        """One for a single attempt beside the one under way, or None if that may not be."""
        hedge = self._attempts.hedge()
        return None if hedge is None else Exchange(self._attempts, self._abandoned, hedge=hedge)

    def adopt(self, second: Exchange) -> None:
        """The call of the second one is the one that counts; that of this one has ended."""
        self._call, second._call = second._call, None

    def is_retriable(self, status: int) -> bool:
        """Whether a response with that status is worth another attempt."""
        return status in self._attempts.settings.statuses

    def begin(self) -> Call:
        """The next attempt.

        Raises:
            NoInstances: there is nothing to call.
            DeadlineExceeded: the time is over.
            Exception: the attempt before this one failed with it, and now there is nothing left to call.
        """
        while self._abandoned:
            call = self._abandoned.popleft()
            call.disregard()
            call.__exit__(None, None, None)
        try:
            self._call = call = (self._hedge or self._attempts.next()).__enter__()
        except NoInstances as error:
            if self._last is None:
                raise
            raise self._last from error
        except DeadlineExceeded as error:
            raise error from self._last
        return call

    def failed(self, error: Exception, *, sent: bool | None = None) -> float | None:
        """There was no response; the pause before the next attempt, or None if the error is to stand.

        ``sent`` says whether the request may have arrived; None finds out from the error.
        """
        self.broke(error)
        self._last = error
        return self._attempts.pause(error=error, sent=sent)

    def exceeded(self, cause: Exception | None = None) -> DeadlineExceeded:
        """The deadline ended the attempt, which is a failure of the instance; the error that says so."""
        error = self._attempts.exceeded()
        error.__cause__ = cause
        self.broke(error)
        return error

    def answered(self, status: int) -> float | None:
        """A response began; the pause before the next attempt, or None if this is the one that counts."""
        self.observe(status)
        pause = self._attempts.pause(status=status)
        if pause is not None:
            self.complete()
        return pause

    def observe(self, status: int) -> None:
        """A response began."""
        if self._call is not None:
            self._call.observe(status=status)

    def overtaken(self) -> None:
        """It is given up because a second one was faster."""
        if self._call is not None:
            self._call.overtaken()

    def complete(self) -> None:
        """The body is there to its end: a success, unless its status says otherwise."""
        call, self._call = self._call, None
        if call is not None:
            call.__exit__(None, None, None)

    def broke(self, error: BaseException) -> None:
        """It ended in an error: a failure, or neither if it was cancelled."""
        call, self._call = self._call, None
        if call is not None:
            call.__exit__(type(error), error, None)

    def disregard(self) -> None:
        """It ended for a reason that says nothing about the instance."""
        if self._call is not None:
            self._call.disregard()
            self.complete()

    def closed(self) -> None:
        """The program closed the response before the end of its body.

        It had what it wanted, a success; unless it is on its way out of an error: a failure if time ran out, neither
        if it was cancelled.
        """
        error = sys.exception()
        if isinstance(error, TimeoutError | asyncio.CancelledError):
            self.broke(error)
        else:
            self.complete()

    def __del__(self) -> None:
        # The garbage collector may come while this very thread holds the lock that an end would take.
        if self._call is not None:
            self._abandoned.append(self._call)
