"""One operation from its begin to its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal["success", "failure", "cancelled"]


class TimedOperation(AbstractContextManager[None]):
    """A block that tells ``ended`` its duration in seconds and its outcome."""

    __slots__ = ("_began_at", "_clock", "_ended")

    def __init__(self, ended: Callable[[float, Outcome], None], *, clock: Callable[[], float]) -> None:
        self._ended = ended
        self._clock = clock

    def __enter__(self) -> None:
        self._began_at = self._clock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended(max(0.0, self._clock() - self._began_at), outcome_of(kind))


def outcome_of(kind: type[BaseException] | None) -> Outcome:
    """How a block ended that raised an exception of that kind, or none."""
    if kind is None:
        return "success"
    return "failure" if issubclass(kind, Exception) else "cancelled"
