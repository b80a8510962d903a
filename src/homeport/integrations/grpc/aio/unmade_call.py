"""A call that never came to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, NoReturn, Self

import grpc
import grpc.aio


class UnmadeCall:
    """What remains of a call for which there was no instance, no time, or no patience: its status."""

    def __init__(self, code: grpc.StatusCode, details: str, *, cause: BaseException | None = None) -> None:
        self._code = code
        self._details = details
        self._cause = cause

    @classmethod
    def cancelled_by_caller(cls) -> UnmadeCall:
        """A call that was cancelled before it was sent."""
        return cls(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")

    def __await__(self) -> Generator[Any, None, NoReturn]:
        return self.read().__await__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> NoReturn:
        self._fail()

    async def read(self) -> NoReturn:
        """Raise the status."""
        self._fail()

    async def write(self, _request: object) -> NoReturn:
        """Raise the status."""
        self._fail()

    async def done_writing(self) -> None:
        """Do nothing, as after any end of a call."""

    async def wait_for_connection(self) -> NoReturn:
        """Raise the status."""
        self._fail()

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """None came."""
        return grpc.aio.Metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """None came."""
        return grpc.aio.Metadata()

    async def code(self) -> grpc.StatusCode:
        """The status."""
        return self._code

    async def details(self) -> str:
        """Why, in a sentence."""
        return self._details

    async def debug_error_string(self) -> str:
        """Nothing more than `details`."""
        return await self.details()

    def cancelled(self) -> bool:
        """Whether the caller gave it up."""
        return self._code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        """It is over."""
        return True

    def cancel(self) -> bool:
        """It is over: there is nothing to cancel."""
        return False

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call ``callback`` at once."""
        callback(self)

    def _fail(self) -> NoReturn:
        if self.cancelled():
            raise asyncio.CancelledError
        nothing = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(self._code, nothing, nothing, self._details) from self._cause
