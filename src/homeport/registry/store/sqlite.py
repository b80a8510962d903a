"""The default store: one SQLite file in a folder of its own, in WAL mode with ``synchronous=FULL``.

A commit is durable when it returns: the write-ahead log has been synchronised (`SQLite, Write-Ahead Logging
<https://www.sqlite.org/wal.html>`_). All SQL runs on one thread. The folder belongs to one process, by a lock on
``registry.lock``, and SQLite is told so (``locking_mode=EXCLUSIVE``): no shared memory file, which a full disk could
refuse.

What a failure leaves behind
    An error before COMMIT leaves at most pages without a commit mark in the log; nobody ever reads these. The mark is
    on the last page that COMMIT writes, so "disk full" while writing means that it is not there: nothing was written
    either. Any other error of COMMIT, above all that of fsync, may come when the mark is written. This connection
    will not see the group then, but a later one, after a crash, would. So the file is closed and opened again, which
    shows what is there, and then *fenced*: everything in the log is copied into the database, the log is emptied, and
    a small commit is synchronised into it. After that the group cannot appear any more if it was not seen, and pages
    that a failed fsync may have dropped have been written again. Until the fence stands, the outcome is unknown,
    nothing else is written, and reads go on.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from homeport.registry.own_thread import OwnThread

from .contract import (
    Commit,
    CommitConflict,
    Effect,
    Image,
    Limits,
    OutcomeUnknown,
    ReadOnly,
    StoreBusy,
    Stored,
    StoreDamaged,
    StoreError,
    StoreFull,
    Subscriber,
    first_revision,
)

T = TypeVar("T")
_FORMAT = 1
_RECORD = """
CREATE TABLE record (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL
) WITHOUT ROWID
"""
_STATE = """
CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 1), format INTEGER NOT NULL, revision INTEGER NOT NULL)
"""
_UPSERT = (
    "INSERT INTO record VALUES (?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified"
)
_MODIFIED = "SELECT key, modified FROM record WHERE key IN (SELECT value FROM json_each(?))"
_LOG_BYTES = 8 << 20  # what the log is cut down to, when a large group has made it longer
_SMALLEST = 512  # bytes of a database with one page
_BUSY_TIMEOUT = 1.0


class SqliteStore:
    """Records in ``registry.db`` inside ``folder``, which is made if it is missing.

    ``max_bytes`` bounds the size of the database file (not of the log); beyond it writes fail with `StoreFull`.
    On a full disk an existing store still opens, and refuses writes until there is space.
    """

    limits = Limits()

    def __init__(self, folder: Path, *, max_bytes: int | None = None) -> None:
        self._folder = folder
        self._path = folder / "registry.db"
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        self._lock_file: int | None = None
        self._identity: tuple[int, int] | None = None
        self._subscriber: Subscriber | None = None
        self._revision = 0
        self._in_doubt = False  # whether the file may hold something else than the subscriber was told
        self._thread: OwnThread | None = None

    @property
    def description(self) -> str:
        """The path of the database file."""
        return str(self._path)

    async def open(self, subscriber: Subscriber) -> None:
        """Lock the folder, open or create the file, and give the subscriber its content.

        Raises:
            StoreBusy: another process holds the folder.
            StoreDamaged: the file is not a registry's, or cannot be read. It was not changed.
            ReadOnly, StoreFull, StoreError: the folder or file cannot be made or written to.
        """
        self._thread = OwnThread("homeport-store")
        self._subscriber = subscriber
        try:
            image, crashed = await self._in_thread(self._open)
            await subscriber.reset(image)
        except BaseException:
            await self.aclose()
            raise
        self._revision = image.revision
        if crashed:
            # What is left in the log can be read, but may never have reached the disk: see the top of this file.
            with suppress(StoreError):  # on a full disk reads go on, and the next commit tries again
                await self._settle()

    async def commit(self, effects: Sequence[Effect]) -> Sequence[int]:
        """Write all effects in one SQLite transaction; see `contract.Store.commit`."""
        assert self._subscriber is not None, "open() comes first"
        if self._in_doubt:
            await self._settle()
        revisions = self._number(effects)
        self._in_doubt = True
        try:
            await self._in_thread(lambda: self._write(effects, revisions))
        except CommitConflict:
            # Nobody else writes, so it is the subscriber's memory that is wrong; it would conflict for ever.
            await self._subscriber.reset(await self._in_thread(self._image))
            self._in_doubt = False
            raise
        except _CommitFailed as failed:
            await self._decide(revisions[-1], failed)
        except StoreError:
            self._in_doubt = self._connection is None
            raise
        self._in_doubt = False
        for effect, revision in zip(effects, revisions, strict=True):
            if not effect.empty:
                self._revision = revision
                self._subscriber.committed(Commit(revision, effect))
        return revisions

    async def aclose(self) -> None:
        """Close the file, give the folder back, end the thread."""
        if self._thread is not None:
            await self._in_thread(self._release)
            self._thread.close()
            self._thread = self._subscriber = None

    def _number(self, effects: Sequence[Effect]) -> list[int]:
        revisions, revision = [], self._revision
        for effect in effects:
            revision += not effect.empty
            revisions.append(revision)
        return revisions

    async def _decide(self, revision: int, failed: _CommitFailed) -> NoReturn:
        """After a failed COMMIT of a group up to ``revision``: find out what became of it, and raise accordingly."""
        try:
            found = await self._settle()
        except StoreError as error:
            raise OutcomeUnknown(
                f"the write failed while it was confirmed, and what became of it is unknown: {error}"
            ) from failed
        if found < revision:
            raise failed.error from failed.__cause__
        raise OutcomeUnknown("the write failed while it was confirmed; it is there now") from failed.__cause__

    async def _settle(self) -> int:
        """Bring file and subscriber to agree, and return the revision that was found.

        Until this succeeds nothing is written.
        """
        assert self._subscriber is not None
        self._in_doubt = True
        found, fenced, image = await self._in_thread(lambda: self._reopen(self._revision))
        if image is not None:
            await self._subscriber.reset(image)
        self._revision = fenced
        self._in_doubt = False
        return found

    async def _in_thread(self, work: Callable[[], T]) -> T:
        assert self._thread is not None, "open() comes first"
        return await self._thread.do(work)

    # On the store's thread

    def _open(self) -> tuple[Image, bool]:
        self._lock()
        with _translated(self._path):
            crashed = _size_bytes(self._path.with_name("registry.db-wal")) > 0
            self._connect()
        return self._image(), crashed

    def _reopen(self, known: int) -> tuple[int, int, Image | None]:
        """The revision in the file, that after the fence, and everything if the file is not at ``known``."""
        self._disconnect()
        with _translated(self._path):
            self._must_be_in_place()
            found = self._connect()
            fenced = self._fence(found)
        return found, fenced, None if found == known else self._image()

    def _connect(self) -> int:
        """Open the file, or make it, and return its revision."""
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=64, timeout=_BUSY_TIMEOUT
        )
        self._connection = connection
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        revision = self._recognise(connection)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(f"{self._path} cannot be put into WAL mode (it stays in {mode} mode)")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        if self._max_bytes is not None:
            page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {max(1, self._max_bytes // page_bytes)}")
        return self._create(connection) if revision is None else revision

    def _recognise(self, connection: sqlite3.Connection) -> int | None:
        """The revision of the registry in the file, None for an empty file. Changes nothing, whatever the file is."""
        if 0 < _size_bytes(self._path) < _SMALLEST:  # SQLite would take it for an empty one and write over it
            raise StoreDamaged(f"{self._path} is not a registry's database")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return None
        rows = list(connection.execute("SELECT format, revision FROM state")) if {"record", "state"} <= tables else []
        if len(rows) != 1:
            raise StoreDamaged(f"{self._path} is not a registry's database")
        written, revision = rows[0]
        if written != _FORMAT:
            raise StoreDamaged(
                f"{self._path} was written by another version of Homeport (format {written}, this one reads {_FORMAT})"
            )
        if not isinstance(revision, int):
            raise StoreDamaged(f"{self._path} is damaged (its revision is {revision!r})")
        return revision

    @staticmethod
    def _create(connection: sqlite3.Connection) -> int:
        revision = first_revision()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_RECORD)
        connection.execute(_STATE)
        connection.execute("INSERT INTO state VALUES (1, ?, ?)", (_FORMAT, revision))
        connection.execute("COMMIT")
        return revision

    def _image(self) -> Image:
        assert self._connection is not None
        with _translated(self._path):
            (revision,) = self._connection.execute("SELECT revision FROM state").fetchone()
            rows = self._connection.execute("SELECT key, value, created, modified FROM record").fetchall()
            return Image(revision, _emptied(rows))

    def _fence(self, revision: int) -> int:
        """Make final what was found in the file (see the top), and return the revision that it is at then."""
        connection = self._connection
        assert connection is not None
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreBusy(f"another process is using {self._path}")
        connection.execute("UPDATE state SET revision = ?", (revision + 1,))
        return revision + 1

    def _write(self, effects: Sequence[Effect], revisions: Sequence[int]) -> None:
        connection = self._connection
        assert connection is not None
        try:
            with _translated(self._path):
                self._check_reads(connection, effects)
                if all(effect.empty for effect in effects):
                    return
                self._must_be_in_place()
                connection.execute("BEGIN IMMEDIATE")
                self._apply(connection, effects, revisions)
                connection.execute("UPDATE state SET revision = ?", (revisions[-1],))
                self._confirm(connection)
        except _CommitFailed:
            raise
        except BaseException:
            self._roll_back(connection)
            raise

    def _confirm(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if _primary_code(error) == sqlite3.SQLITE_FULL:
                raise
            raise _CommitFailed(_sqlite_error(error, self._path)) from error

    def _check_reads(self, connection: sqlite3.Connection, effects: Sequence[Effect]) -> None:
        expected: dict[str, int] = {}
        for effect in effects:
            for key, revision in effect.reads.items():
                if expected.setdefault(key, revision) != revision:
                    raise CommitConflict(self._revision)
        found = dict(connection.execute(_MODIFIED, (msgspec.json.encode(list(expected)).decode(),)))
        if any(found.get(key, 0) != revision for key, revision in expected.items()):
            raise CommitConflict(self._revision)

    @staticmethod
    def _apply(connection: sqlite3.Connection, effects: Sequence[Effect], revisions: Sequence[int]) -> None:
        """Write the net of the group, one operation a key; a key made anew within the group gets a new ``created``."""
        gone: dict[str, None] = {}
        rows: dict[str, tuple[str, bytes, int, int]] = {}
        for effect, revision in zip(effects, revisions, strict=True):
            for prefix in effect.cleared:
                kept = sorted(key for key in effect.puts if key.startswith(prefix))
                connection.executemany("DELETE FROM record WHERE key >= ? AND key < ?", _between(prefix, kept))
                for key in [key for key in rows if key.startswith(prefix) and key not in effect.puts]:
                    del rows[key]
            for key in effect.deletes:
                rows.pop(key, None)
                gone[key] = None
            for key, put in effect.puts.items():
                before = rows.get(key)
                rows[key] = (key, put.raw, revision if before is None else before[2], revision)
        connection.executemany("DELETE FROM record WHERE key = ?", [(key,) for key in gone])
        connection.executemany(_UPSERT, rows.values())

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        """End the transaction if SQLite has not done so itself (SQLITE_FULL and some I/O errors do)."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()  # the next commit opens the file anew

    def _lock(self) -> None:
        with _translated(self._folder):
            _make_folder(self._folder)
            self._lock_file = os.open(self._folder / "registry.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreBusy(f"another process is using the data folder {self._folder}") from None
        with _translated(self._path):  # SQLite would open a file that it may only read, and fail later with less to say
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._identity = _identity(self._path)

    def _must_be_in_place(self) -> None:
        """SQLite would go on to write into a file that nobody can find again."""
        if _identity(self._path) != self._identity:
            raise StoreError(f"{self._path} was removed or replaced while in use, so nothing is written; start anew")

    def _release(self) -> None:
        self._disconnect()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:  # a file that cannot even be closed is given up; what it holds is read anew
                return


class _CommitFailed(Exception):
    """COMMIT itself failed, so what was written is not known from the error alone."""

    def __init__(self, error: StoreError) -> None:
        super().__init__(str(error))
        self.error = error


def _emptied(rows: list[tuple[str, bytes, int, int]]) -> Iterator[Stored]:
    """The records in ``rows``, each let go of as it is read: a large store would stand in memory twice otherwise."""
    rows.reverse()
    while rows:
        yield Stored(*rows.pop())


def _between(prefix: str, kept: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The ranges of keys under ``prefix`` that leave out the sorted keys in ``kept``."""
    low = prefix
    for key in kept:
        yield low, key
        low = key + "\0"
    yield low, prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _make_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it; where that can be had, it is there after a power failure, too."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in made:
        with suppress(OSError):  # not every file system can do that, and not every folder can be read
            parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from any other that may stand in its place; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into the store's."""
    try:
        yield
    except sqlite3.Error as error:
        raise _sqlite_error(error, path) from error
    except OSError as error:
        raise _os_error(error, path) from error


def _primary_code(error: sqlite3.Error) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _sqlite_error(error: sqlite3.Error, path: Path) -> StoreError:
    primary = _primary_code(error)
    if primary == sqlite3.SQLITE_FULL:
        return StoreFull(f"no space left for {path}; free some, writes go on by themselves")
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH):
        return ReadOnly(f"{path} cannot be written ({error})")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"another process is using {path}")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):  # the last: another schema
        return StoreDamaged(f"{path} is not a registry's database or is damaged ({error})")
    return StoreError(f"the disk did not do its part for {path} ({error})")


def _os_error(error: OSError, path: Path) -> StoreError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"no space left for {path}; free some, writes go on by themselves")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ReadOnly(f"{path} cannot be written ({reason.lower()})")
    return StoreError(f"{path} cannot be used ({reason.lower()})")
