"""The SSL context of a connection, made anew when its certificates change on disk."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from homeport.errors import SettingsError

from .tls import TLS

_log = logging.getLogger(__name__)

_Stamps = tuple[tuple[int, int, int], ...]


class RotatingContext:
    """What the certificate files of ``tls`` hold now, looked at once in ``look_interval`` seconds at most.

    What is under way goes on with the old certificates; connections that are made later have the new ones. Files that
    are missing or cannot be used together leave the old ones in use, so that a rotation which is not atomic does no
    harm.
    """

    def __init__(
        self, tls: TLS, *, backend: str, look_interval: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tls = tls
        self._backend = backend
        self._look_interval = look_interval
        self._clock = clock
        # Those in ``ca_path`` are looked up by OpenSSL when they are needed.
        self._files = tuple(Path(name) for name in (tls.ca_file, tls.cert_file, tls.key_file) if name)
        self._stamps: _Stamps | None = None
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._context: ssl.SSLContext | None = None

    async def current(self) -> ssl.SSLContext:
        """The context for a new connection; the same object as long as nothing changed.

        Raises:
            SettingsError: the files could never be used.
        """
        if (context := self._known()) is not None:
            return context
        async with self._looking:
            return self._known() or await self._look()

    async def reread(self) -> ssl.SSLContext:
        """The context after the one before was refused: the files are looked at, whenever that was done last.

        Raises:
            SettingsError: see `current`.
        """
        async with self._looking:
            return await self._look()

    def _known(self) -> ssl.SSLContext | None:
        """The context that was made last, unless it is time to look at its files."""
        due = self._files and self._clock() - self._looked_at >= self._look_interval
        return None if due else self._context

    async def _look(self) -> ssl.SSLContext:
        before = self._context
        stamps = await asyncio.to_thread(_stamps_of, self._files)
        self._looked_at = self._clock()
        if before is not None and (stamps is None or stamps == self._stamps):
            return before
        try:
            context = await asyncio.to_thread(self._tls.context)
        except SettingsError:
            if before is None:
                raise
            return before
        if before is not None:
            _log.info("the certificate files changed; what they hold now is used", extra={"backend": self._backend})
        self._context, self._stamps = context, stamps
        return context


def _stamps_of(files: tuple[Path, ...]) -> _Stamps | None:
    """What changes when a file does; None when one is missing."""
    try:
        states = [file.stat() for file in files]
    except OSError:
        return None
    return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)
