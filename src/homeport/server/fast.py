"""The short way of a read: from the bytes of a request to the bytes of its answer.

A plain GET whose target a `HotReads` knows is answered from a shelf, without headers being parsed or a task being made.
Whatever is out of the ordinary is not recognised here, and takes the way through the ASGI application, which gives the
same answers.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from homeport.registry.answers import Answer, AnswerShelf, Read, compress

from .compression import SMALLEST_COMPRESSED, accepts_gzip
from .http_date import HTTPDate
from .settings import Limits

HOST = re.compile(rb"[A-Za-z0-9.\-_~!$&'()*+,;=:\[\]%]*")
"""What may stand in the header ``Host`` (RFC 3986, 3.2.2 and 3.2.3)."""

_PLAIN_GET = re.compile(rb"GET (/v1/[!-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n)+)\r\n")
# Headers that ask for more than a plain answer, or that this way does not know how to honour.
_UNUSUAL = frozenset(
    (
        b"cache-control", b"content-length", b"expect", b"transfer-encoding", b"upgrade", b"x-consul-namespace",
        b"x-consul-partition",
    )
)  # fmt: skip
_LONGEST_REMEMBERED = 1024
_MOST_REMEMBERED = 16384
_JITTER = 16


class Question(Protocol):
    """A read that may be answered from kept bytes, and how its client wants to wait for it."""

    @property
    def read(self) -> Read:
        """What is asked."""
        ...

    @property
    def key(self) -> tuple[object, ...]:
        """What its answer is kept under: the canonical question."""
        ...

    @property
    def after(self) -> int:
        """Wait until the index is above this; 0: answer at once."""
        ...

    @property
    def wait(self) -> float:
        """The longest wait in seconds, before jitter."""
        ...

    @property
    def reusable(self) -> bool:
        """Whether the same bytes mean the same question later, and its answer is worth keeping."""
        ...

    def head(self, index: int) -> Sequence[tuple[bytes, bytes]]:
        """The headers that go with an answer at ``index``."""
        ...


class HotReads(Protocol):
    """Who knows which targets can be answered here."""

    def question(self, target: bytes) -> Question | None:
        """The question in a request target; None when it is for the ordinary way."""
        ...


class Fast:
    """What all connections of a listener share for the short way. ``random`` draws from [0, 1)."""

    def __init__(
        self, hot: HotReads, shelf: AnswerShelf, common_headers: Sequence[tuple[bytes, bytes]], date: HTTPDate,
        limits: Limits, random: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self.date = date
        self.limits = limits
        self._random = random
        self._hot = hot
        self._shelf = shelf
        self.common = b"".join(name + b": " + value + b"\r\n" for name, value in common_headers)
        self._remembered: dict[bytes, tuple[Question, bool]] = {}

    def match(self, data: bytes) -> tuple[Question, bool] | None:
        """The question in these bytes, and whether its answer may be compressed; None: take the ordinary way."""
        known = self._remembered.get(data)
        if known is not None:
            return known
        if len(data) > self.limits.header_bytes:
            return None
        found = _PLAIN_GET.fullmatch(data)
        if found is None:
            return None
        gzip = acceptance(found[2])
        if gzip is None:
            return None
        question = self._hot.question(found[1])
        if question is None:
            return None
        if question.reusable and len(data) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[data] = (question, gzip)
        return question, gzip

    def waits(self, question: Question) -> bool:
        """Whether there is nothing newer than the client knows."""
        return bool(question.after) and question.read.index() <= question.after

    def timeout(self, question: Question) -> float:
        """How long a client waits, with jitter, so that clients that came together do not come back together."""
        return question.wait + self._random() * question.wait / _JITTER

    def answer(self, question: Question, *, gzip: bool) -> Answer | None:
        """The answer now, from the shelf if it still stands there; None when it is too large to be made at once."""
        answer = self._shelf.find((*question.key, gzip), question.read.index())
        if answer is None and not question.read.large:
            answer = self.make(question, gzip=gzip)
        return answer

    def make(self, question: Question, *, gzip: bool) -> Answer:
        """The answer now, from the shelf if it still stands there, made at once if not."""
        read = question.read
        index = read.index()
        key = (*question.key, gzip)
        kept = self._shelf.find(key, index)
        if kept is not None:
            return kept
        body = read.render()
        lines = [b"HTTP/1.1 200 OK\r\n"]
        lines.extend(name + b": " + value + b"\r\n" for name, value in question.head(index))
        lines.append(self.common)
        if gzip and len(body) >= SMALLEST_COMPRESSED:
            body = compress(body)
            lines.append(b"Content-Encoding: gzip\r\n")
        lines.append(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body))
        answer = Answer(index, b"".join(lines), body)
        if question.reusable or question.after:
            self._shelf.keep(key, answer)
        return answer


def acceptance(headers: bytes) -> bool | None:
    """Whether the header lines of a plain request accept gzip; None when they ask for anything unusual."""
    hosts = 0
    gzip: bool | None = None
    for line in headers.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name == b"host":
            hosts += 1
            if not HOST.fullmatch(value.strip()):
                return None
        elif name == b"accept-encoding":
            if gzip is not None:
                return None
            gzip = accepts_gzip(value.decode("latin-1"))
        elif name in _UNUSUAL or (name == b"connection" and value.strip().lower() != b"keep-alive"):
            return None
    return bool(gzip) if hosts == 1 else None
