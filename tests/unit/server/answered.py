"""An HTTP answer, parsed strictly from what a server sent."""

import zlib
from typing import Any

import msgspec


class Answered(msgspec.Struct, frozen=True):
    """An answer; header names as they were spelled."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The one value of a header, by its name in any case."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else None

    @property
    def index(self) -> int:
        """The index that it stands at."""
        return int(self.header("X-Consul-Index") or 0)

    @property
    def text(self) -> str:
        """The body, decompressed."""
        plain = self.body
        if self.header("Content-Encoding") == "gzip":
            plain = zlib.decompress(plain, wbits=31)
        return plain.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.text)


def parse_answer(data: bytes, *, to_head: bool = False) -> tuple[Answered, int] | None:
    """The first whole answer in `data` and how many bytes it takes; None when it is not complete."""
    head, found, _ = data.partition(b"\r\n\r\n")
    if not found:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = first.split(" ", 2)
    assert version == "HTTP/1.1", first
    headers = []
    for line in lines:
        name, colon, value = line.partition(": ")
        assert colon, line
        headers.append((name, value))
    answer = Answered(int(status), tuple(headers), b"")
    start = len(head) + 4
    if to_head or answer.status < 200:
        return answer, start
    length = answer.header("Content-Length")
    assert length is not None, f"{answer} does not say how long it is"
    end = start + int(length)
    if len(data) < end:
        return None
    return Answered(answer.status, answer.headers, data[start:end]), end
