"""Transitions of checks in a SQLite file of their own. Everything here blocks, and belongs to one thread.

Losing the last moments in a power cut is accepted (``synchronous = NORMAL``); the newest transitions stand in the store
too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from homeport.model import Status

_log = logging.getLogger(__name__)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS transition (
    number INTEGER PRIMARY KEY, node TEXT NOT NULL COLLATE NOCASE, check_id TEXT NOT NULL COLLATE NOCASE,
    service TEXT NOT NULL COLLATE NOCASE, service_id TEXT NOT NULL, at REAL NOT NULL, status TEXT NOT NULL, output TEXT
    NOT NULL);
CREATE INDEX IF NOT EXISTS by_check ON transition (node, check_id, number);
CREATE INDEX IF NOT EXISTS by_service ON transition (service, at);
CREATE INDEX IF NOT EXISTS by_time ON transition (at);
"""
_COLUMNS = "node, check_id, service, service_id, at, status, output"
_INSERT = f"INSERT INTO transition ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  # a constant
_SELECT = (
    f"SELECT {_COLUMNS} FROM transition"  # noqa: S608  # a constant
    " WHERE at >= :since AND (:service = '' OR service = :service) ORDER BY at, number"
)
_TRIM = """
DELETE FROM transition WHERE node = :node AND check_id = :check AND number <= (
    SELECT number FROM transition WHERE node = :node AND check_id = :check ORDER BY number DESC LIMIT 1 OFFSET :most)
"""
_MAKE_ROOM = """
DELETE FROM transition WHERE number <= (SELECT min(number) + (max(number) - min(number)) / 4 FROM transition)
"""


class PastTransition(msgspec.Struct, frozen=True):
    """One change of a check's status at a Unix time, and the service it belonged to then (empty: none)."""

    node: str
    check_id: str
    service: str
    service_id: str
    at: float
    status: Status
    output: str = ""


class HistoryFile:
    """The file at ``path`` (None: in memory), made when it is first used.

    It takes at most ``max_bytes``, beyond that the oldest go; of a check at most ``most_per_check`` are kept. Methods
    raise `sqlite3.Error` or `OSError` for what the disk does; after that the file is opened anew.
    """

    def __init__(self, path: Path | None, *, most_per_check: int, max_bytes: int) -> None:
        self._path = path
        self._most_per_check = most_per_check
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None

    def write(self, transitions: Sequence[PastTransition]) -> None:
        """Add transitions, all or none."""
        try:
            self._write(transitions)
        except sqlite3.Error as error:
            if _primary(error) != sqlite3.SQLITE_FULL or self._connection is None:
                self._give_up()
                raise
            self._make_room_and_write(transitions)

    def read(self, since: float, service: str) -> list[PastTransition]:
        """The transitions since a Unix time, of one service or, when it is empty, of all; oldest first."""
        try:
            return [
                PastTransition(*row) for row in self._opened().execute(_SELECT, {"since": since, "service": service})
            ]
        except sqlite3.Error:
            self._give_up()
            raise

    def remove_before(self, at: float) -> None:
        """Remove what is older than a Unix time."""
        try:
            self._opened().execute("DELETE FROM transition WHERE at < ?", (at,))
        except sqlite3.Error:
            self._give_up()
            raise

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # what cannot be closed is given up
                connection.close()

    def _give_up(self) -> None:
        """Let the next call open the file anew; what is in memory only would be lost by that."""
        if self._path is not None:
            self.close()

    def _write(self, transitions: Sequence[PastTransition], *, make_room: bool = False) -> None:
        connection = self._opened()
        try:
            connection.execute("BEGIN")
            if make_room:
                connection.execute(_MAKE_ROOM)
            connection.executemany(_INSERT, [msgspec.structs.astuple(past) for past in transitions])
            touched = {(past.node, past.check_id) for past in transitions}
            connection.executemany(
                _TRIM, [{"node": node, "check": check, "most": self._most_per_check} for node, check in touched]
            )
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _make_room_and_write(self, transitions: Sequence[PastTransition]) -> None:
        """The file has reached its size, where this helps, or the disk is full, where nothing changes."""
        try:
            self._write(transitions, make_room=True)
        except sqlite3.Error:
            self._give_up()
            raise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = self._open()
            except sqlite3.DatabaseError as error:
                if self._path is None or _primary(error) not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                    raise
                damaged = self._path.with_suffix(".damaged")
                self._path.replace(damaged)
                _log.warning("the history of checks is damaged and begins anew", extra={"moved_to": str(damaged)})
                self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # The output of a check may say more than everybody may know; SQLite gives its side files the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path or ":memory:", isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            page_bytes: int = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {max(16, self._max_bytes // page_bytes)}")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection


def _primary(error: sqlite3.Error) -> int:
    """SQLite's primary result code (https://www.sqlite.org/rescode.html)."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
