"""Free ports that stay ours: leased across every test process of this machine.

Asking the kernel for a free port and closing it again is a race, and a port of the ephemeral range may be taken by any
outgoing connection while its server is down, even by a client that tries to reach that very server. So ports are taken
outside of the ephemeral range, and each is held by a lock on a small file until it is released or its process ends.
"""

import errno
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

ENOUGH = 1_000
LOOPBACK = "127.0.0.1"


def ephemeral_range() -> tuple[int, int]:
    """The first and the last port that the kernel may give to an outgoing connection."""
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    except FileNotFoundError:
        return 32_768, 60_999
    first, last = map(int, text.split())
    return first, last


def candidates() -> range:
    """The ports to choose from; of the ephemeral ones only where these leave too few."""
    first, last = ephemeral_range()
    for ports in (range(20_000, first), range(last + 1, 65_536), range(10_000, first)):
        if len(ports) >= ENOUGH:
            return ports
    return range(20_000, 32_768)


def is_free(port: int) -> bool:
    """Whether nobody uses the port on loopback, neither by TCP nor by UDP."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind is socket.SOCK_STREAM:
                # As servers do: what lingers in TIME_WAIT is no obstacle.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                    return False
                raise
    return True


class PortLease:
    """Some free loopback ports, for TCP and UDP, that no other test takes until `release()`."""

    def __init__(self, count: int = 1) -> None:
        self._locks: list[int] = []
        folder = Path(tempfile.gettempdir()) / f"homeport-test-ports-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        chosen: list[int] = []
        ports = candidates()
        for port in random.SystemRandom().sample(ports, len(ports)):
            if len(chosen) == count:
                break
            lock = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            if is_free(port):
                self._locks.append(lock)
                chosen.append(port)
            else:
                os.close(lock)
        if len(chosen) < count:
            self.release()
            raise RuntimeError(f"no {count} free loopback ports from {ports.start} to {ports.stop - 1}")
        self.ports: tuple[int, ...] = tuple(chosen)

    def release(self) -> None:
        """Let others take the ports; may be called twice."""
        while self._locks:
            os.close(self._locks.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
