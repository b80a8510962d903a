"""The token that etcd gives for a name and a password."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Login:
    """A `Token` that is asked for when it is first needed, and again once it was forgotten.

    ``authenticate`` gives a token, or "" where etcd asks for none.
    """

    def __init__(self, authenticate: Callable[[], Awaitable[str]]) -> None:
        self._authenticate = authenticate
        self._asking = asyncio.Lock()
        self._token: str | None = None

    async def current(self) -> str:
        """The token.

        Raises:
            BackendError: nobody answers, or the name and the password are not accepted.
        """
        async with self._asking:
            if self._token is None:
                self._token = await self._authenticate()
            return self._token

    async def reread(self) -> str:
        """See `current`: whether a refusal asks for a new login stands in its body, and `forget` follows from it."""
        return await self.current()

    def forget(self, token: str) -> None:
        """Ask anew next time, since this one is no longer accepted; one that was got since is kept."""
        if self._token == token:
            self._token = None
