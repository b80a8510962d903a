"""A call that never came to be."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc


class UnmadeCall(grpc.RpcError, grpc.Call, grpc.Future):  # type: ignore[type-arg]  # it has none at run time
    """What remains of a call for which there was no instance or no time: its status. It is the error of itself."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self._code = code
        self._details = details

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> NoReturn:
        raise self

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._code

    def details(self) -> str:
        """Why, in a sentence."""
        return self._details

    def debug_error_string(self) -> str:
        """Nothing more than `details`."""
        return self._details

    def initial_metadata(self) -> tuple[()]:
        """None came."""
        return ()

    def trailing_metadata(self) -> tuple[()]:
        """None came."""
        return ()

    def add_callback(self, callback: Callable[[], None]) -> bool:  # noqa: ARG002 - it will not be called
        """It is over: False."""
        return False

    def cancel(self) -> bool:
        """It is over: there is nothing to cancel."""
        return False

    def is_active(self) -> bool:
        """It is over."""
        return False

    def time_remaining(self) -> float:
        """None."""
        return 0.0

    def cancelled(self) -> bool:
        """It ended by itself."""
        return False

    def running(self) -> bool:
        """It is over."""
        return False

    def done(self) -> bool:
        """It is over."""
        return True

    def result(self, timeout: float | None = None) -> NoReturn:  # noqa: ARG002 - nothing is waited for
        """Raise the status."""
        raise self

    def exception(self, timeout: float | None = None) -> Self:  # noqa: ARG002
        """The status."""
        return self

    def traceback(self, timeout: float | None = None) -> TracebackType | None:  # noqa: ARG002
        """Where it was raised, if it was."""
        return self.__traceback__

    def add_done_callback(self, fn: Callable[[grpc.Future[Any]], None]) -> None:
        """Call ``fn`` at once."""
        fn(self)
