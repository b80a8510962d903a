"""The output of a check within its bounds, in the forms that Consul's agent gives it. Pure."""

from __future__ import annotations


def head(text: str, most_bytes: int) -> str:
    """The beginning of a text in at most ``most_bytes`` of UTF-8, with a note when something was cut (TTL checks)."""
    if len(text) * 4 <= most_bytes:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most_bytes:
        return text
    return f"{encoded[:most_bytes].decode('utf-8', 'ignore')} ... (captured {most_bytes} of {len(encoded)} bytes)"


class Tail:
    """The last ``most_bytes`` of everything that was added."""

    __slots__ = ("_kept", "most_bytes", "total_bytes")

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.total_bytes = 0
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        """Add to the end."""
        self.total_bytes += len(data)
        self._kept += data
        if len(self._kept) > 2 * self.most_bytes:
            del self._kept[: -self.most_bytes]

    def text(self) -> str:
        """What is kept; bytes that are no UTF-8 appear as the replacement character."""
        return bytes(self._kept[-self.most_bytes :]).decode("utf-8", "replace")

    def captured(self) -> str:
        """What is kept, after a line that says how much was cut, if anything was (scripts)."""
        if self.total_bytes <= self.most_bytes:
            return self.text()
        return f"Captured {self.most_bytes} of {self.total_bytes} bytes\n...\n{self.text()}"
