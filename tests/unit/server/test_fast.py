"""What is recognised from the bytes of a request, and how often an answer is made."""

import asyncio

import msgspec
import pytest

from homeport.registry.answers import AnswerShelf, Read
from homeport.registry.topics import Topic, Wakeups
from homeport.server.fast import Fast, acceptance
from homeport.server.http_date import HTTPDate
from homeport.server.parked import Parked
from homeport.server.settings import Limits


@pytest.mark.parametrize(
    ("headers", "gzip"),
    [
        (b"Host: a\r\n", False),
        (b"hOST:a:8500\r\n", False),
        (b"Host: [::1]:8500\r\nAccept-Encoding: gzip\r\n", True),
        (b"Host: a\r\naccept-encoding: identity\r\n", False),
        (b"Host: a\r\nX-Anything: \xe4\r\nConnection: Keep-Alive\r\n", False),
        (b"Host:\r\n", False),
    ],
)
def test_plain_headers(headers: bytes, gzip: bool) -> None:
    assert acceptance(headers) is gzip


@pytest.mark.parametrize(
    "headers",
    [
        b"X: y\r\n",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
        b"Host: a\r\nAccept-Encoding: gzip\r\nAccept-Encoding: gzip;q=0\r\n",
        b"Host: a\r\nContent-Length: 0\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked\r\n",
        b"Host: a\r\nCache-Control: no-cache\r\n",
        b"Host: a\r\nExpect: 100-continue\r\n",
        b"Host: a\r\nUpgrade: h2c\r\n",
        b"Host: a\r\nConnection: close\r\n",
        b"Host: a\r\nX-Consul-Namespace: x\r\n",
        b"Host: a\r\nX-Consul-Partition: x\r\n",
    ],
)
def test_headers_that_are_for_the_ordinary_way(headers: bytes) -> None:
    assert acceptance(headers) is None


class Counting(Read):
    """A read that counts how often its answer is made."""

    def __init__(self) -> None:
        self.topic = Topic(7)
        self.made = 0

    @property
    def topics(self) -> tuple[Topic, ...]:
        return (self.topic,)

    def index(self) -> int:
        return self.topic.revision

    def render(self) -> bytes:
        self.made += 1
        return b"x" * 2000


class Asked(msgspec.Struct, frozen=True):
    """A question about it."""

    read: Counting
    after: int = 0
    key: tuple[object, ...] = ("counting",)
    wait: float = 160.0
    reusable: bool = True

    def head(self, index: int) -> list[tuple[bytes, bytes]]:
        return [(b"X-Index", str(index).encode())]


class Hot:
    """Knows one target, and counts how often it is asked for."""

    def __init__(self, question: Asked) -> None:
        self.asked = 0
        self._question = question

    def question(self, target: bytes) -> Asked | None:
        self.asked += 1
        return self._question if target == b"/v1/known" else None


def fast(question: Asked, *, kept: int = 1 << 20) -> tuple[Fast, Hot]:
    hot = Hot(question)
    return Fast(hot, AnswerShelf(kept), (), HTTPDate(), Limits(), random=lambda: 0.25), hot


def test_the_same_bytes_are_looked_at_once() -> None:
    question = Asked(Counting())
    ours, hot = fast(question)
    data = b"GET /v1/known HTTP/1.1\r\nHost: a\r\n\r\n"
    assert [ours.match(data) for _ in range(5)] == [(question, False)] * 5
    assert hot.asked == 1
    for other in (
        data + b"x", data[:-1], data.replace(b"known", b"unknown"), data.replace(b"GET", b"PUT"), b"\r\n" + data,
        data.replace(b"1.1", b"1.0"), data + data, data.replace(b"/v1/known", b"http://a/v1/known"), b"",
    ):  # fmt: skip
        assert ours.match(other) is None


def test_what_asks_for_a_change_is_not_remembered() -> None:
    ours, hot = fast(Asked(Counting(), after=7, reusable=False))
    data = b"GET /v1/known HTTP/1.1\r\nHost: a\r\n\r\n"
    for _ in range(3):
        assert ours.match(data) is not None
    assert hot.asked == 3


def test_an_answer_is_made_once_for_each_index_and_form() -> None:
    read = Counting()
    ours, _ = fast(Asked(read))
    for _ in range(3):
        for gzip in (False, True):
            answer = ours.answer(Asked(read), gzip=gzip)
            assert answer is not None
            assert (b"Content-Encoding: gzip" in answer.head) is gzip
            assert len(answer.body) < 100 if gzip else answer.body == b"x" * 2000
            assert answer is ours.make(Asked(read, after=3), gzip=gzip)
    assert read.made == 2
    read.topic.revision += 1
    answer = ours.answer(Asked(read), gzip=False)
    assert answer is not None
    assert b"X-Index: 8" in answer.head
    assert read.made == 3


def test_without_a_shelf_it_is_made_each_time() -> None:
    read = Counting()
    ours, _ = fast(Asked(read), kept=0)
    for _ in range(3):
        assert ours.answer(Asked(read), gzip=False) is not None
    assert read.made == 3


def test_the_jitter_is_a_share_of_a_sixteenth() -> None:
    ours, _ = fast(Asked(Counting()))
    assert ours.timeout(Asked(Counting())) == 160.0 + 0.25 * 10.0


def test_a_wave_of_watchers_makes_one_answer() -> None:
    async def scenario() -> None:
        read, wakeups = Counting(), Wakeups()
        question = Asked(read, after=7, reusable=False)
        ours, _ = fast(question)
        answered = []
        parked = [
            Parked(
                question, gzip=False, timeout=60, loop=asyncio.get_running_loop(),
                on_end=lambda: answered.append(ours.make(question, gzip=False)),
            )
            for _ in range(250)
        ]  # fmt: skip
        wakeups.move(read.topic, 8)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(answered) == len(parked)
        for one in parked:
            one.leave()
        assert read.made == 1

    asyncio.run(scenario())
