"""The header of a user with a password that may change."""

from __future__ import annotations

import base64

from homeport.connections.token import Token


class BasicAuth:
    """A `Token` made of a user and a password (RFC 7617), which is looked up for each request."""

    __slots__ = ("_password", "_user")

    def __init__(self, user: str, password: Token) -> None:
        self._user = user
        self._password = password

    async def current(self) -> str:
        """The value of the header ``Authorization``.

        Raises:
            SettingsError: the password cannot be read.
        """
        return self._header(await self._password.current())

    async def reread(self) -> str:
        """The same, with the password looked up anew.

        Raises:
            SettingsError: see `current`.
        """
        return self._header(await self._password.reread())

    def _header(self, password: str) -> str:
        return f"Basic {base64.b64encode(f'{self._user}:{password}'.encode()).decode()}"
