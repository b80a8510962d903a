"""A secret that may change while the program runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from homeport.errors import SettingsError

_log = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


class Token(Protocol):
    """Where a token comes from."""

    async def current(self) -> str:
        """The token to send now, "" for none.

        Raises:
            SettingsError: there should be one, and it cannot be read.
        """
        ...

    async def reread(self) -> str:
        """The token after the one before was refused: looked up where it comes from, whenever that was done last.

        Raises:
            SettingsError: see `current`.
        """
        ...


def source_of(token: Token) -> str:
    """Where a token comes from, in words that do not show it; "" where there is none, or it does not say."""
    return token.source if isinstance(token, FixedToken | VariableToken | FileToken) else ""


class FixedToken:
    """A token given by value; ``source`` says by what it was given."""

    __slots__ = ("_value", "source")

    def __init__(self, value: str = "", *, source: str = "") -> None:
        self._value = value
        self.source = (source or "a value") if value else ""

    async def current(self) -> str:
        """The value."""
        return self._value

    async def reread(self) -> str:
        """The value."""
        return self._value


class VariableToken:
    """A token held by an environment variable, read anew each time."""

    __slots__ = ("_environ", "_name", "source")

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._name = name
        self._environ = environ
        self.source = f"the variable {name}"

    async def current(self) -> str:
        """The variable's value.

        Raises:
            SettingsError: the variable is not set.
        """
        value = self._environ.get(self._name, "").strip()
        if not value:
            raise SettingsError(
                f"the token is to be taken from the environment variable {self._name}, which is not set"
            )
        return value

    async def reread(self) -> str:
        """See `current`."""
        return await self.current()


class FileToken:
    """A token held by a file, read again when the file changes; looked at once in ``look_interval`` seconds at most.

    A file that vanishes or turns empty after it was read once leaves the last token in use, so that a rotation which
    is not atomic does no harm; the server's refusal tells when it is really gone.
    """

    __slots__ = ("_clock", "_lock", "_look_interval", "_looked_at", "_path", "_stamp", "_value", "source")

    def __init__(self, path: Path, *, look_interval: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self.source = f"the file {path}"
        self._look_interval = look_interval
        self._clock = clock
        self._lock = asyncio.Lock()
        self._looked_at = float("-inf")
        self._stamp: _Stamp | None = None
        self._value = ""

    async def current(self) -> str:
        """The file's content without the white space around it.

        Raises:
            SettingsError: it could never be read, or was always empty.
        """
        if self._clock() - self._looked_at < self._look_interval:
            return self._value
        async with self._lock:
            if self._clock() - self._looked_at >= self._look_interval:
                await self._look()
                self._looked_at = self._clock()
        return self._value

    async def reread(self) -> str:
        """The file's content as it is now; it is read even if the file looks unchanged.

        Raises:
            SettingsError: see `current`.
        """
        async with self._lock:
            self._stamp = None
            await self._look()
            self._looked_at = self._clock()
        return self._value

    async def _look(self) -> None:
        try:
            stamp, value = await asyncio.to_thread(_read, self._path, self._stamp)
        except (OSError, UnicodeDecodeError) as error:
            if self._value:
                return
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
            raise SettingsError(f"the token file {self._path} cannot be read: {reason}") from error
        if value:
            if self._value and value != self._value:
                _log.info("the token file changed; its new content is used", extra={"token_file": str(self._path)})
            self._value = value
            self._stamp = stamp
        elif not self._value:
            raise SettingsError(f"the token file {self._path} is empty")


def _read(path: Path, known: _Stamp | None) -> tuple[_Stamp, str]:
    """The stamp and content of a file; the content is "" when the stamp is still the ``known`` one."""
    status = path.stat()
    stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
    return stamp, "" if stamp == known else path.read_text(encoding="utf-8").strip()
