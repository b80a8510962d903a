"""The body of an HTTP answer that goes on until somebody ends it."""

from __future__ import annotations

import asyncio

import aiohttp

from homeport.errors import BackendUnavailable

from .http_errors import NATIVE_ERRORS, failure


class StreamEnded(BackendUnavailable):
    """The other side ended the answer in the orderly way: all of it has arrived."""


class Stream:
    """An answer of status 200 whose body is read as it comes; `HTTPConnection.stream` opens it, its user closes it.

    It holds a connection of its own until then.
    """

    status = 200

    def __init__(self, response: aiohttp.ClientResponse, *, origin: str, system: str, backend: str) -> None:
        self._response = response
        self._system = system
        self._backend = backend
        self.origin = origin

    async def read(self, *, timeout: float) -> bytes:
        """The next bytes, as soon as there are any; b"" when nothing came for ``timeout`` seconds.

        Nothing is lost by such a silence, nor by a cancellation: the next reading goes on where this one stood.

        Raises:
            StreamEnded: the body ended.
            BackendUnavailable: the connection broke before.
        """
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                received = await self._response.content.readany()
        except NATIVE_ERRORS as error:
            if limit.expired():
                return b""
            raise BackendUnavailable(
                self._told(failure(error, timeout=timeout).reason), backend=self._backend
            ) from error
        if not received:
            raise StreamEnded(self._told("connection closed"), backend=self._backend)
        return received

    def close(self) -> None:
        """End the answer and its connection; calling it twice is harmless."""
        self._response.close()

    def _told(self, reason: str) -> str:
        return f"the {self._system} at {self.origin} ended an answer that was to go on ({reason}); try again."
