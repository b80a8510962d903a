"""A disk that fails when it is told to: a virtual file system of SQLite's own kind, in front of the real one.

SQLite is made to be tested so (https://www.sqlite.org/vfs.html, https://www.sqlite.org/testing.html section 3.2).
While a `FaultyDisk` is installed, every file that SQLite opens goes through it. It counts writes, syncs, truncations
and deletions, lets a chosen one fail, and knows what would be left after a power failure: what was not synchronised
may be lost, and what was written before a *failed* sync is lost though a later sync succeeds
(https://lwn.net/Articles/752063/).
"""

import _sqlite3
import ctypes
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import msgspec
import pytest

SQLITE_OK = 0
Handle = ctypes.c_void_p
# A connection that a failed test left open still calls its disk when it is closed at last.
_INSTALLED: list["FaultyDisk"] = []
# SQLite keeps the pointer to the path, and what stands behind it: it must be handed on as it came.
Open = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, Handle, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
)
Delete = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
Close = ctypes.CFUNCTYPE(ctypes.c_int, Handle)
Write = ctypes.CFUNCTYPE(ctypes.c_int, Handle, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
Truncate = ctypes.CFUNCTYPE(ctypes.c_int, Handle, ctypes.c_int64)
Sync = ctypes.CFUNCTYPE(ctypes.c_int, Handle, ctypes.c_int)


class Methods(ctypes.Structure):
    """``sqlite3_io_methods``."""

    _fields_: ClassVar[Sequence[Any]] = [
        ("version", ctypes.c_int),
        ("close", Close),
        ("read", ctypes.c_void_p),
        ("write", Write),
        ("truncate", Truncate),
        ("sync", Sync),
        *((f"other{number}", ctypes.c_void_p) for number in range(13)),
    ]


class File(ctypes.Structure):
    """``sqlite3_file``."""

    _fields_: ClassVar[Sequence[Any]] = [("methods", ctypes.POINTER(Methods))]


class System(ctypes.Structure):
    """``sqlite3_vfs``."""

    _fields_: ClassVar[Sequence[Any]] = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", Open),
        ("delete", Delete),
        *((f"other{number}", ctypes.c_void_p) for number in range(14)),
    ]


class Fault(msgspec.Struct, frozen=True):
    """Operations ``first`` (counted from 1 when the fault is set) to ``last`` fail.

    ``full``: it is writes alone that fail, for want of space; otherwise whatever is asked of the disk. ``done``:
    failure is reported, but what was asked has been done; otherwise a write was done by half, and anything else not
    at all.
    """

    first: int
    last: int
    full: bool = False
    done: bool = False


class _Contents:
    """What a file holds after a power failure, and what waits to be synchronised."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.waiting: list[Callable[[bytearray], None]] = []


class FaultyDisk:
    """Install with ``with``. One at a time, and only for a database in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fault: Fault | None = None
        self._count = 0
        self.failed = 0
        """How many operations have failed since the fault was set."""
        self._paths: dict[int, str] = {}
        self._contents: dict[str, _Contents] = {}
        self._library = ctypes.CDLL(_sqlite3.__file__)
        if not hasattr(self._library, "sqlite3_vfs_find"):
            pytest.skip("this Python's SQLite hides its C interface, so no disk can be put in front of it")
        self._library.sqlite3_vfs_find.restype = ctypes.POINTER(System)
        self._methods: dict[int, Methods] = {}  # the real ones, by open file
        self._given: list[Methods] = []  # ours; SQLite knows their addresses

    def __enter__(self) -> Self:
        self._real = self._library.sqlite3_vfs_find(None)
        self._system = System.from_buffer_copy(self._real.contents)
        self._system.name = b"faulty"
        self._system.next = None
        self._system.open = self._kept_open = Open(self._open)
        self._system.delete = self._kept_delete = Delete(self._delete)
        self._write_method, self._sync_method = Write(self._write), Sync(self._sync)
        self._truncate_method, self._close_method = Truncate(self._truncate), Close(self._close)
        assert self._library.sqlite3_vfs_register(ctypes.byref(self._system), 1) == SQLITE_OK
        _INSTALLED.append(self)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._library.sqlite3_vfs_register(self._real, 1) == SQLITE_OK
        assert self._library.sqlite3_vfs_unregister(ctypes.byref(self._system)) == SQLITE_OK

    def set(self, fault: Fault | None) -> None:
        """Let operations fail from now on (None: no more)."""
        self._fault, self._count, self.failed = fault, 0, 0

    def after_power_failure(self) -> list[dict[str, bytes]]:
        """What a power failure may leave, as contents by file name, each different.

        Each file may hold all that was written, or only what was synchronised.
        """
        left: list[dict[str, bytes]] = []
        for durable in ((), ("registry.db",), ("registry.db-wal",), ("registry.db", "registry.db-wal")):
            files: dict[str, bytes] = {}
            for name in ("registry.db", "registry.db-wal"):
                if name in durable and name in self._contents:
                    files[name] = bytes(self._contents[name].durable)
                elif (self._folder / name).exists():
                    files[name] = (self._folder / name).read_bytes()
            if files not in left:
                left.append(files)
        return left

    # What SQLite calls, on any thread

    def _failing(self, operation: str) -> Fault | None:
        """Count one operation; the fault, if this is one that fails."""
        fault = self._fault
        if fault is None or (fault.full and operation != "write"):
            return None
        self._count += 1
        if fault.first <= self._count <= fault.last:
            self.failed += 1
            return fault
        return None

    def _is_ours(self, path: bytes) -> bool:
        return Path(path.decode()).parent == self._folder

    def _open(self, _system: int, pointer: int | None, handle: int, flags: int, out: Any) -> int:
        code: int = self._real.contents.open(ctypes.cast(self._real, ctypes.c_void_p), pointer, handle, flags, out)
        path = b"" if pointer is None else ctypes.string_at(pointer)
        if code != SQLITE_OK or not self._is_ours(path):
            return code
        file = ctypes.cast(handle, ctypes.POINTER(File)).contents
        real = Methods.from_buffer_copy(file.methods.contents)
        ours = Methods.from_buffer_copy(real)
        ours.write, ours.sync = self._write_method, self._sync_method
        ours.truncate, ours.close = self._truncate_method, self._close_method
        self._methods[handle] = real
        self._paths[handle] = Path(path.decode()).name
        self._given.append(ours)
        file.methods = ctypes.pointer(ours)
        return code

    def _close(self, handle: int) -> int:
        real = self._methods.pop(handle)
        del self._paths[handle]
        code: int = real.close(handle)
        return code

    def _waiting(self, handle: int) -> list[Callable[[bytearray], None]]:
        return self._contents.setdefault(self._paths[handle], _Contents()).waiting

    def _write(self, handle: int, data: int, size: int, offset: int) -> int:
        fault = self._failing("write")
        amount = size // 2 if fault is not None and not fault.done else size  # a full disk takes what it can
        code: int = self._methods[handle].write(handle, data, amount, offset)
        written = ctypes.string_at(data, amount)
        self._waiting(handle).append(lambda contents: _lay(contents, offset, written))
        return code if fault is None else sqlite3.SQLITE_FULL if fault.full else sqlite3.SQLITE_IOERR_WRITE

    def _truncate(self, handle: int, size: int) -> int:
        fault, code = self._failing("truncate"), SQLITE_OK
        if fault is None or fault.done:
            code = self._methods[handle].truncate(handle, size)
            self._waiting(handle).append(lambda contents: _cut(contents, size))
        return code if fault is None else sqlite3.SQLITE_IOERR_TRUNCATE

    def _sync(self, handle: int, flags: int) -> int:
        fault, code = self._failing("sync"), SQLITE_OK
        contents = self._contents.setdefault(self._paths[handle], _Contents())
        if fault is None or fault.done:
            code = self._methods[handle].sync(handle, flags)
            for change in contents.waiting:
                change(contents.durable)
        # The system reports a page that it could not write once, and takes it for written from then on.
        contents.waiting.clear()
        return code if fault is None else sqlite3.SQLITE_IOERR_FSYNC

    def _delete(self, _system: int, path: bytes, sync: int) -> int:
        ours = self._is_ours(path)
        fault, code = self._failing("delete") if ours else None, SQLITE_OK
        if fault is None or fault.done:
            code = self._real.contents.delete(ctypes.cast(self._real, ctypes.c_void_p), path, sync)
            contents = self._contents.get(Path(path.decode()).name)
            if ours and contents is not None:
                # The name is gone, but until its folder is synchronised it may come back, with what was durable.
                contents.waiting[:] = [lambda durable: _cut(durable, 0)]
        return code if fault is None else sqlite3.SQLITE_IOERR_DELETE


def _lay(contents: bytearray, offset: int, data: bytes) -> None:
    if len(contents) < offset:
        contents.extend(bytes(offset - len(contents)))
    contents[offset : offset + len(data)] = data


def _cut(contents: bytearray, size: int) -> None:
    del contents[size:]
    contents.extend(bytes(size - len(contents)))
