"""A file that is read anew when it has changed.

Whether it has is told by its device, inode, size and time of modification, the link to it followed: a file that was
renamed into its place, one that was written in place, and a link that was turned to another file (as Kubernetes does
for ConfigMaps) are all seen.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from homeport.errors import (
    BackendError,
    BackendUnavailable,
    HomeportError,
    InvalidAnswer,
    InvalidValue,
    PermissionDenied,
    SettingsError,
)
from homeport.settings import read_documents, read_text

from . import mapping

_RECENT = 1.0
_MOMENT = 0.05
_PATIENCE = 40


class Stamp(msgspec.Struct, frozen=True):
    """What tells one state of a file from another."""

    device: int
    inode: int
    size: int
    modified_ns: int


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the file said. ``position`` counts the different contents that were read."""

    services: mapping.Services
    position: int


class _Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the file, with what it says or what is wrong with it.

    ``recent`` is whether it was written or went so lately that it may be half written, or be written once more within
    what the file system takes for the same moment.
    """

    stamp: Stamp | None
    recent: bool
    services: mapping.Services | None = None
    error: BackendError | None = None

    def agrees(self, other: _Look) -> bool:
        """Whether both found the same."""
        return self.stamp == other.stamp and self.services == other.services and str(self.error) == str(other.error)


class FollowedFile:
    """Reads a file when it has changed since; all who ask share one look. Belongs to one event loop at a time."""

    def __init__(self, path: Path, *, backend: str) -> None:
        self._path = path
        self._backend = backend
        self._last: _Look | None = None
        self._looked_at = 0.0
        self._position = 0
        self._known: mapping.Services | None = None
        self._one_at_a_time = asyncio.Lock()

    async def read(self, *, not_older_than: float = 0.0) -> Reading:
        """What the file says, as of now or of at most so many seconds ago.

        A file that was written within the last second is read until two readings agree, so that half of what is
        written in place is not taken for the whole.

        Raises:
            BackendUnavailable: there is no such file, or it cannot be read.
            PermissionDenied: this program may not read it.
            InvalidAnswer: it does not say what it should.
        """
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            if self._last is None or loop.time() >= self._looked_at + not_older_than:
                self._take(await self._look())
                self._looked_at = loop.time()
            assert self._last is not None
            if self._last.error is not None:
                raise _again(self._last.error)
            assert self._known is not None
            return Reading(services=self._known, position=self._position)

    async def _look(self) -> _Look:
        look = await asyncio.to_thread(self._look_once, self._last)
        for _ in range(_PATIENCE):
            if not look.recent:
                break
            await asyncio.sleep(_MOMENT)
            before, look = look, await asyncio.to_thread(self._look_once, None)
            if look.agrees(before):
                break
        return look

    def _take(self, look: _Look) -> None:
        self._last = look
        if look.services is not None and look.services != self._known:
            self._known = look.services
            self._position += 1

    def _look_once(self, last: _Look | None) -> _Look:
        """Look at the file; ``last`` is returned if nothing speaks for a change since."""
        now = time.time()  # before the look: a thread that stands still in between takes nothing new for old
        try:
            about = self._path.stat()
        except OSError as error:
            # Some programs remove a file before they write it anew.
            was_there = last is not None and last.stamp is not None
            return _Look(stamp=None, recent=was_there, error=self._unreadable(error))
        stamp = Stamp(about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        if last is not None and last.stamp == stamp and not last.recent:
            return last
        recent = now - about.st_mtime < _RECENT
        try:
            return _Look(stamp=stamp, recent=recent, services=self._parsed())
        except BackendError as error:
            return _Look(stamp=stamp, recent=recent, error=error)

    def _parsed(self) -> mapping.Services:
        try:
            return mapping.services(self._document(), source=str(self._path))
        except HomeportError as error:
            if isinstance(error.__cause__, OSError):
                raise self._unreadable(error.__cause__) from error
            raise InvalidAnswer(str(error), backend=self._backend) from error

    def _document(self) -> object:
        """The content as plain data.

        Raises:
            SettingsError: it cannot be read, or is neither YAML nor JSON.
        """
        if self._path.suffix.lower() != ".json":
            documents = read_documents(self._path)
            if len(documents) > 1:
                raise SettingsError(f"{self._path}: it has {len(documents)} documents; put all services into one")
            return documents[0] if documents else None
        try:
            return json.loads(read_text(self._path), object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            raise SettingsError(f"{self._path}: {place}: it is not JSON: {error.msg}") from error
        except InvalidValue as error:
            raise SettingsError(f"{self._path}: {error}") from error

    def _unreadable(self, error: OSError) -> BackendError:
        if isinstance(error, FileNotFoundError):
            return BackendUnavailable(f"{self._path}: there is no such file", backend=self._backend)
        kind = PermissionDenied if isinstance(error, PermissionError) else BackendUnavailable
        return kind(f"{self._path}: it cannot be read: {error.strerror}", backend=self._backend)


def _again(error: BackendError) -> BackendError:
    """The same error for one more raise, which adds to its traceback."""
    copy = type(error)(str(error), backend=error.backend)
    copy.__cause__ = error.__cause__
    return copy


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON whose keys are there once, as RFC 8259 (4) wants them."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidValue(f"{twice} is given twice")
    return found
