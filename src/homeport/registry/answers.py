"""Questions whose answers are kept as bytes until what they were read from moves.

A `Read` is one question to the catalog: it knows which topics wake whoever waits for its answer to change, at which
index its answer stands, and how to render it. An `AnswerShelf` keeps rendered answers, plain and compressed, bounded
by bytes, least recently used out first.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence

from .topics import Topic

_GZIP_WBITS = 31
_GZIP_LEVEL = 1  # four fifths of what level 6 saves on these answers, for a fifth of its time


class Read(ABC):
    """One question to the catalog. Its answer changes only when ``index`` does."""

    __slots__ = ("__weakref__",)

    @property
    @abstractmethod
    def topics(self) -> Sequence[Topic]:
        """What wakes a waiter for this answer. Whoever waits holds on to this object, which keeps its topics alive."""

    @abstractmethod
    def index(self) -> int:
        """The index at which the answer stands now; never goes back."""

    @property
    def large(self) -> bool:
        """Whether making the answer at once would keep the event loop from other work for too long."""
        return False

    @abstractmethod
    def render(self) -> bytes:
        """The answer's body."""


class Answer:
    """A rendered answer: its head (whatever the server puts before the body) and its body, at an index."""

    __slots__ = ("body", "head", "index")

    def __init__(self, index: int, head: bytes, body: bytes) -> None:
        self.index = index
        self.head = head
        self.body = body

    @property
    def size_bytes(self) -> int:
        """What the answer occupies."""
        return len(self.head) + len(self.body)


class AnswerShelf:
    """Rendered answers by canonical question, bounded by ``most_bytes``."""

    def __init__(self, most_bytes: int = 256 << 20) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._answers: OrderedDict[tuple[object, ...], Answer] = OrderedDict()

    def find(self, key: tuple[object, ...], index: int) -> Answer | None:
        """The answer kept under ``key`` if it still stands at ``index``."""
        answer = self._answers.get(key)
        if answer is None or answer.index != index:
            return None
        self._answers.move_to_end(key)
        return answer

    def keep(self, key: tuple[object, ...], answer: Answer) -> None:
        """Keep an answer in place of the one before it; one larger than an eighth of the shelf is not kept."""
        before = self._answers.pop(key, None)
        if before is not None:
            self._size_bytes -= before.size_bytes
        if answer.size_bytes * 8 > self._most_bytes:
            return
        self._answers[key] = answer
        self._size_bytes += answer.size_bytes
        while self._size_bytes > self._most_bytes:
            _, oldest = self._answers.popitem(last=False)
            self._size_bytes -= oldest.size_bytes


def compress(body: bytes) -> bytes:
    """The body in gzip form (RFC 1952)."""
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
    return packer.compress(body) + packer.flush()
