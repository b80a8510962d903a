"""Sockets that notice when the other side is gone without a word."""

from __future__ import annotations

import contextlib
import socket

IDLE = 10
INTERVAL = 5
PROBES = 3


def watch_over(opened: socket.socket) -> None:
    """Have the kernel ask for a sign of life on a silent connection, and end it when none comes (RFC 9293, 3.8.4).

    A half-open connection, whose other side lost its power, its address or its cable, is then known after
    ``IDLE + INTERVAL * PROBES`` seconds, however long the answer to a blocking query may take. Where the system does
    not let the times be chosen, its own apply.
    """
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", IDLE), ("TCP_KEEPINTVL", INTERVAL), ("TCP_KEEPCNT", PROBES)):
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.IPPROTO_TCP, option, value)
