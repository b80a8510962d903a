"""Whether this process serves: it does as soon as it listens."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

_OPEN_FILES = tuple(map(Path, ("/proc/self/fd", "/dev/fd")))


def listening_ports() -> frozenset[int] | None:
    """The TCP ports on which this process listens, inherited sockets too; 0 stands for a listening Unix socket.

    None where the system does not tell (Windows).
    """
    folder = next((folder for folder in _OPEN_FILES if folder.is_dir()), None)
    if folder is None:
        return None
    return frozenset(port for entry in folder.iterdir() if (port := _port_of(int(entry.name))) is not None)


def _port_of(number: int) -> int | None:
    """The port of a listening socket, None for whatever else is open under that number."""
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return None
        copy = os.dup(number)
    except OSError:  # closed meanwhile
        return None
    try:
        opened = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None
    with opened:
        if not opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        return int(opened.getsockname()[1]) if opened.family in (socket.AF_INET, socket.AF_INET6) else 0
