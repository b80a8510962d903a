"""Which files of definitions there are now, and which of them changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from homeport.errors import SettingsError

from .definition import Definition
from .files import definition_files, is_settings, read_definitions

_Stamp: TypeAlias = tuple[int, int, int]

Found: TypeAlias = "list[Definition] | SettingsError | None"
"""What is in a file now, what is wrong with it, or None when it is gone.

A folder that cannot be read is told as a file that is wrong, and as an empty one when it can be read again.
"""


class FollowedFiles:
    """Files, and the files in folders. A file counts as changed when its time, size or identity is another."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._stamps: dict[Path, _Stamp] = {}
        self._unreadable: set[Path] = set()

    def look(self, *, again: bool = False) -> list[tuple[Path, Found]]:
        """What changed since the last time, in the order of the paths; with ``again`` everything. Reads files."""
        present, changes = self._present()
        for path in [path for path in self._stamps if path not in present]:
            del self._stamps[path]
            changes.append((path, None))
        for path, stamp in present.items():
            if again or self._stamps.get(path) != stamp:
                self._stamps[path] = stamp
                changes.append((path, _read(path, named=path in self._paths)))
        return changes

    def forget(self, path: Path) -> None:
        """Look at a file again the next time, whether it changed or not."""
        if path in self._stamps:
            self._stamps[path] = (0, 0, 0)

    def _present(self) -> tuple[dict[Path, _Stamp], list[tuple[Path, Found]]]:
        """The files that there are, and what is new about folders. Files of unreadable ones count as being there."""
        present: dict[Path, _Stamp] = {}
        changes: list[tuple[Path, Found]] = []
        for path in self._paths:
            try:
                files = definition_files(path) if path.is_dir() else [path]
            except SettingsError as error:
                if path not in self._unreadable:
                    self._unreadable.add(path)
                    changes.append((path, error))
                present |= {one: stamp for one, stamp in self._stamps.items() if one.parent == path}
                continue
            if path in self._unreadable:
                self._unreadable.discard(path)
                changes.append((path, []))
            for one in files:
                stamp = _stamp(one)
                if stamp is not None:
                    present[one] = stamp
        return present, changes


def _read(path: Path, *, named: bool) -> Found:
    """What is in a file; one of settings, whose other sections are read elsewhere, has to be named."""
    try:
        return read_definitions(path, in_settings=named and is_settings(path))
    except SettingsError as error:
        return error


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
