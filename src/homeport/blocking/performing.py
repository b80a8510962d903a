"""Makes the attempts of one call, on the thread of the caller."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import TypeAlias, TypeVar

from homeport.client.call import Call
from homeport.client.resilience.attempts import Attempts
from homeport.errors import DeadlineExceeded, InvalidValue, NoInstances

T = TypeVar("T")

Work: TypeAlias = Callable[[Call], T]

_MOST_THREADS = 64


class SpareThreads:
    """A daemon thread for each piece of work whose caller may stop waiting for it; only so many at once."""

    def __init__(self, *, name: str, most: int = _MOST_THREADS) -> None:
        self._name = name
        self._free = threading.Semaphore(most)

    def start(self, work: Callable[[], T]) -> Future[T] | None:
        """Run ``work`` in the context of the caller, or None if too many threads are busy."""
        if not self._free.acquire(blocking=False):
            return None
        outcome: Future[T] = Future()
        context = contextvars.copy_context()

        def serve() -> None:
            try:
                outcome.set_result(context.run(work))
            except BaseException as error:  # noqa: BLE001 - it is handed on
                outcome.set_exception(error)
            finally:
                self._free.release()

        try:
            threading.Thread(target=serve, name=self._name, daemon=True).start()
        except RuntimeError:  # the system has no more threads, or the interpreter is ending
            self._free.release()
            return None
        return outcome


def perform(attempts: Attempts, work: Work[T], *, hedge_after: float | None, threads: SpareThreads) -> T:
    """The result of ``work``, tried as often as ``attempts`` allows; see `homeport.blocking.Watch.perform`."""
    if not callable(work):
        raise InvalidValue(f"the work of a call is {work!r}; give a function that takes the call")
    patience = hedge_after if hedge_after is not None else attempts.settings.hedge_after
    last: Exception | None = None
    while True:
        try:
            if patience is not None and attempts.idempotent:
                call, result = _hedged(attempts, work, patience, threads)
            else:
                call, result = _once(attempts, attempts.next(), work)
        except NoInstances as error:
            if last is None:
                raise
            raise last from error
        except DeadlineExceeded as error:
            raise error from (error.__cause__ or last)
        except Exception as error:
            last = error
            pause = attempts.pause(error=error)
            if pause is None:
                raise
        else:
            pause = attempts.pause(status=call.status)
            if pause is None:
                return result
        # Outside of the handler, so that a later failure does not drag this one along.
        if pause > 0.0:
            time.sleep(pause)


def _once(attempts: Attempts, call: Call, work: Work[T]) -> tuple[Call, T]:
    with call:
        try:
            return call, work(call)
        except DeadlineExceeded:
            raise
        except Exception as error:
            # Inside the call: an instance that lets the time run out has failed.
            if attempts.remaining == 0.0:
                raise attempts.exceeded() from error
            raise


def _hedged(attempts: Attempts, work: Work[T], patience: float, threads: SpareThreads) -> tuple[Call, T]:
    """The first success of two attempts, of which the second begins when the first has no answer after ``patience``.

    Raises:
        DeadlineExceeded: neither has one in time; they are left to their threads.
        Exception: what the first attempt raised, if both failed.
    """
    calls = [attempts.next()]
    first = threads.start(partial(_once, attempts, calls[0], work))
    if first is None:
        return _once(attempts, calls[0], work)
    running = [first]
    wait(running, timeout=_sooner(patience, attempts.remaining))
    if not first.done() and attempts.remaining != 0.0:
        call = attempts.hedge()
        second = None if call is None else threads.start(partial(_once, attempts, call, work))
        if call is not None and second is not None:
            calls.append(call)
            running.append(second)
    waiting = set(running)
    while waiting:
        done, waiting = wait(waiting, timeout=attempts.remaining, return_when=FIRST_COMPLETED)
        good = next((one for one in done if one.exception() is None and not _retriable(attempts, one)), None)
        if good is not None:
            for call, one in zip(calls, running, strict=True):
                if not one.done():
                    call.overtaken()
            return good.result()
        if not done:
            raise attempts.exceeded()
    good = next((one for one in running if one.exception() is None), None)
    return (good or first).result()


def _retriable(attempts: Attempts, outcome: Future[tuple[Call, T]]) -> bool:
    """Whether an answer came that is worth another attempt, so that the other one may still do better."""
    call, _ = outcome.result()
    return call.status in attempts.settings.statuses


def _sooner(seconds: float, remaining: float | None) -> float:
    return seconds if remaining is None else min(seconds, remaining)
