"""The TLS contexts of all checks, made once and in a thread: reading the system's certificates takes milliseconds."""

from __future__ import annotations

import asyncio
import ssl

import msgspec

from homeport.connections.tls import TLS


class Trust:
    """What TLS checks trust, and the certificate they show."""

    def __init__(self, tls: TLS) -> None:
        self._tls = tls
        self._contexts: dict[tuple[bool, tuple[str, ...]], ssl.SSLContext] = {}

    async def context(self, *, verify: bool, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
        """The context for a check that verifies the certificate or not.

        It offers ``protocols`` of the application (ALPN, RFC 7301).

        Raises:
            SettingsError: a file of the settings cannot be used.
        """
        key = (verify and self._tls.verify, protocols)
        found = self._contexts.get(key)
        if found is None:
            found = await asyncio.to_thread(self._make, *key)
            self._contexts[key] = found
        return found

    def server_name(self, asked: str, host: str) -> str:
        """The name that the certificate must carry: the check's own, else that of the settings, else the host."""
        return asked or self._tls.server_name or host

    def _make(self, verify: bool, protocols: tuple[str, ...]) -> ssl.SSLContext:  # noqa: FBT001  # called by position
        context = msgspec.structs.replace(self._tls, verify=verify).context()
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context
