"""A client that speaks HTTP in bytes over a real connection. It blocks, and gives up after a time."""

import socket
from types import TracebackType
from typing import Self

from tests.unit.server.answered import Answered, parse_answer

TIMEOUT = 60.0


class Talk:
    """One connection to `address` (HOST:PORT)."""

    def __init__(self, address: str, *, receive_bytes: int | None = None) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect((host, int(port)))
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def get(self, target: str) -> None:
        """Send a GET."""
        self.send(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def ask(self, target: str) -> Answered:
        """Send a GET, and its answer."""
        self.get(target)
        return self.answer()

    def put(self, target: str, body: bytes = b"") -> Answered:
        """Send a PUT, and its answer."""
        head = f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        self.send(head.encode() + body)
        return self.answer()

    def answer(self, *, to_head: bool = False) -> Answered:
        """The next answer; `EOFError` when the connection ends without one."""
        while True:
            found = parse_answer(self._received, to_head=to_head)
            if found is not None:
                self._received = self._received[found[1] :]
                return found[0]
            more = self.socket.recv(1 << 16)
            if not more:
                raise EOFError(f"the connection ended after {self._received!r}")
            self._received += more

    def ended(self) -> bool:
        """Wait for the end of the connection; whether nothing came before it."""
        try:
            return not (self._received or self.socket.recv(1))
        except ConnectionResetError:
            return not self._received
