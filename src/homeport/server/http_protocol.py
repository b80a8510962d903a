"""The HTTP connection: uvicorn's, with a short way for reads whose answers are kept, and with limits.

A plain GET that arrives whole on an idle connection is answered here, before a task exists, when `Fast` knows its
target: from kept bytes, or, for a blocking query, by parking the connection in the topics it waits for. Everything else
takes uvicorn's way through the ASGI application, which gives the same answers. Framing follows RFC 9112; the parser is
strict, and so is what is added here.

This subclasses a class of uvicorn that is not promised to stay as it is, hence the pinned versions. Of it remain the
parser and its callbacks, the flow control, the queue of requests that were sent ahead, and the tasks of the
application; see also `Exchange`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from homeport.registry.answers import Answer

from .connection_limit import ConnectionLimit
from .exchange import Exchange
from .fast import HOST, Fast, Question
from .parked import Parked

_log = logging.getLogger(__name__)
_SLICE = 4096
"""Bytes that are parsed before a look at what they led to: bounds how many requests are begun ahead of their turn."""
_MOST_HELD_BYTES = 64 << 10
_LINGER = 1.0
"""Seconds for which a client that was refused amid its request may still send, so that the refusal reaches it."""
_FRAMING = 8
"""How many times the largest body may be spent on sending it in chunks."""
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_REFUSAL = b"\r\n".join((
    b"HTTP/1.1 %d %s", b"Content-Type: text/plain; charset=utf-8", b"%s%sConnection: close", b"Content-Length: %d", b"",
    b"%s",
))  # fmt: skip


class _Refused(Exception):
    """Ends the parser's work on a request that was refused."""


class HomeportProtocol(HttpToolsProtocol):
    """One HTTP connection.

    Answers go out in the order of their requests. What arrives while an answer is due is held, not parsed, up to a
    bound; beyond it the client is not read any more. After a refusal nothing more is listened to.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None, *, fast: Fast, clients: ConnectionLimit,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self._fast = fast
        self._limits = fast.limits
        self._clients = clients
        self._counted = ""
        self._midway = False  # a request has begun and is not complete
        self._in_head = False
        self._head_bytes = 0  # what the parser has given of it
        self._raw_bytes = 0  # what was fed of the request, without the slice that it began in
        self._body_framing = b""  # the header that says how long the body is that another parser is to read
        self._pretending = False
        self._running: Exchange | None = None
        self._parked: Parked | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._input_ended = False
        self._ending = False  # the server is
        self._deaf = False
        self._lingering = False
        self._refusal = b""  # waits for the answers before it
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._active = 0.0
        self._unsent = 0
        self._unsent_since = 0.0

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        """Admit the client, or tell it that it has too many connections."""
        super().connection_made(transport)
        self._active = self.loop.time()
        self._idle_timer = self.loop.call_later(self._limits.idle_timeout, self._look)
        host = self.client[0] if self.client else ""
        self._counted = self._clients.count(host)
        if self._clients.exceeded(self._counted):
            self._refuse(429, f"{host} has more than {self._clients.most} connections open; close some")

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no waiter, task, timer or count behind."""
        self._deaf = True
        if self._parked is not None:
            self._parked.leave()
            self._parked = None
        self._held.clear()
        self._stop_head_timer()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._clients.forget(self._counted)
        self._counted = ""
        if self._running is not None:
            self._drop(self._running)
        self.pipeline.clear()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # the base class always closes
        """The client sends nothing more: answer what it asked for; one that waits for a change is answered now."""
        if self._deaf:
            return bool(self._refusal)
        self._input_ended = True
        if self._parked is not None:
            self.unpark()
        if self._running is not None:
            self._running.input_ended = True
            self._running.message_event.set()
        return not self._idle()

    def shutdown(self) -> None:
        """The server ends: answer who waits, and end the connection when nothing is in flight."""
        self._ending = True
        if self._parked is not None:
            self.unpark()
        elif self._midway and not self._in_head:
            self._refuse(503, "the registry ends before this request was complete; send it to the next one")
        elif self._idle():
            self.transport.close()
        else:
            newest = self.pipeline[0][0] if self.pipeline else self._running
            if newest is not None:
                newest.keep_alive = False

    # What arrives

    def data_received(self, data: bytes) -> None:
        """Answer a hot read at once, or feed the bytes to the parser, or hold them until it is their turn."""
        if self._deaf:
            return
        if self._owing():
            self._hold(data)
            return
        if not self._midway and not self.flow.write_paused:
            match = self._fast.match(data)
            if match is not None and self._ask(*match):
                self._active = self.loop.time()
                return
        self._feed(data)

    def _ask(self, question: Question, gzip: bool) -> bool:  # noqa: FBT001  # on the hottest path; a keyword costs
        """Answer a question, or let it wait; False when it is for the ordinary way."""
        fast = self._fast
        if fast.waits(question) and not self._input_ended:
            if question.read.large:
                return False
            self._parked = Parked(
                question, gzip=gzip, timeout=fast.timeout(question), loop=self.loop, on_end=self.unpark
            )
            return True
        answer = fast.answer(question, gzip=gzip)
        if answer is None:
            return False
        self._write(answer, last=False)
        return True

    def unpark(self) -> None:
        """Answer the waiting question as things stand now, then go on with what arrived behind it."""
        parked, self._parked = self._parked, None
        if parked is None:
            return
        parked.leave()
        self._active = self.loop.time()
        self._write(
            self._fast.make(parked.question, gzip=parked.gzip),
            last=self._ending or (self._input_ended and not self._held),
        )
        self._go_on()

    def _write(self, answer: Answer, *, last: bool) -> None:
        self.server_state.total_requests += 1
        close = b"Connection: close\r\n\r\n" if last else b"\r\n"
        self.transport.write(b"".join((answer.head, self._fast.date.line(), close, answer.body)))

    def _idle(self) -> bool:
        """Whether no answer is due."""
        return self._running is None and self._parked is None and not self.pipeline

    def _owing(self) -> bool:
        """Whether an answer is due that must go out before another request is looked at."""
        if self._midway and not self._in_head:
            return False  # the rest of a body is awaited
        return self._running is not None or self._parked is not None

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _MOST_HELD_BYTES:
            self.flow.pause_reading()

    def _drop_held(self) -> bytes:
        held = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        return held

    def _go_on(self) -> None:
        """What comes after an answer."""
        if self._lingering or self.transport.is_closing():
            return
        if self._refusal:
            self._say_no()
            return
        if self._ending:
            self._close()
            return
        self.flow.resume_reading()
        held = self._drop_held()
        if held:
            self.data_received(held)
        if self._input_ended and self._idle() and not self._lingering:
            self.transport.close()
        self._watch_head()

    # The ordinary way

    def _feed(self, data: bytes) -> None:
        self._active = self.loop.time()
        for start in range(0, len(data), _SLICE):
            if start and self._owing():
                self._hold(data[start:])
                break
            self._parse(data[start : start + _SLICE])
            if self._deaf:
                return
        self._watch_head()

    def _parse(self, piece: bytes) -> None:
        if self._midway:
            self._raw_bytes += len(piece)
        while piece:
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as stop:
                # None is offered, so it is ignored (RFC 9110, 7.8).
                piece = piece[stop.args[0] :]
                if self._body_framing:
                    self._read_body_apart()
            except httptools.HttpParserCallbackError as error:
                if not self._deaf:
                    _log.exception("a request could not be begun", exc_info=error)
                    self._refuse(500, "an internal error happened; the server's log has its cause")
                return
            except httptools.HttpParserError as error:
                # The parser's own words, which name a rule and repeat nothing of the request.
                self._refuse(400, f"this is not a request of HTTP/1.1: {error}")
                return
            else:
                break
        if self._in_head and self._raw_bytes > self._limits.header_bytes:
            self._refuse_head()
        elif self._midway and not self._in_head and self._raw_bytes > self._most_raw_bytes():
            self._refuse(413, f"the request's body takes more than {_FRAMING} times the bytes that it may have")

    def _read_body_apart(self) -> None:
        """Go on with the body of a request that asks for an upgrade, by a parser that knows nothing of that.

        The one that does takes all that follows the head for the other protocol. Java's own client asks with every
        first request.
        """
        framing, self._body_framing = self._body_framing, b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._pretending = True
        self.parser.feed_data(b"PUT / HTTP/1.1\r\n%s\r\n\r\n" % framing)
        self._pretending = False

    def _most_raw_bytes(self) -> int:
        return _FRAMING * self._limits.body_bytes + self._limits.header_bytes

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._pretending:
            return
        self._midway = self._in_head = True
        self._head_bytes = self._raw_bytes = 0
        self._stop_head_timer()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        if not self._pretending:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is complete; trailers come here too, and must not be taken for headers (RFC 9110, 6.5.1)."""
        if not self._in_head:
            return  # also where there is but a pretended head
        self._head_bytes += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request's head is complete: begin with it, or let it wait for those before it."""
        if self._pretending:
            return
        self._in_head = False
        self._check_head()
        self._fill_scope()
        version = self.scope["http_version"]
        self.cycle = exchange = Exchange(
            on_close=self._close, scope=self.scope, transport=self.transport, flow=self.flow, logger=self.logger,
            access_logger=self.access_logger, access_log=False, default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(), expect_100_continue=self.expect_100_continue and version == "1.1",
            keep_alive=self.parser.should_keep_alive(), on_response=self.on_response_complete,
        )  # fmt: skip
        if self.parser.should_upgrade():
            self._body_framing = _framing(self.headers)
        if self._running is None and not self.pipeline:
            self._start(exchange)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))

    def on_message_complete(self) -> None:
        """A request is complete."""
        if self._body_framing:
            return  # only its head is
        self._midway = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is on its way: begin with the next request."""
        self.server_state.total_requests += 1
        self._active = self.loop.time()
        self._running = None
        if self.transport.is_closing() or self._lingering:
            return
        if self.pipeline:
            exchange = self.pipeline.pop()[0]
            assert isinstance(exchange, Exchange)
            self._start(exchange)
        else:
            self._go_on()

    def _start(self, exchange: Exchange) -> None:
        self._running = exchange
        exchange.input_ended = self._input_ended
        self._start_asgi_task(exchange, self.app)

    def _check_head(self) -> None:
        """Refuse what RFC 9112 wants to be refused and the parser lets pass."""
        version = self.parser.get_http_version()
        headers = self.headers
        hosts = [value for name, value in headers if name == b"host"]
        codings = [value for name, value in headers if name == b"transfer-encoding"]
        if len(self.url) + 16 + self._head_bytes > self._limits.header_bytes:
            self._refuse_head()
        elif version == "0.9":
            self._refuse(400, "this is not a request of HTTP/1.1")
        elif version not in ("1.0", "1.1"):
            self._refuse(505, f"HTTP/{version} is not spoken here; use HTTP/1.1")
        elif len(hosts) > 1 or (not hosts and version == "1.1") or not all(map(HOST.fullmatch, hosts)):
            self._refuse(400, "a request has one header Host, with the name or address that it was sent to")
        elif codings and (version == "1.0" or [coding.lower() for coding in codings] != [b"chunked"]):
            status = 400 if version == "1.0" else 501
            self._refuse(status, "the only transfer coding that is understood is chunked, in HTTP/1.1")
        elif any(name == b"expect" and value.lower() != b"100-continue" for name, value in headers):
            self._refuse(417, "the only expectation that is understood is 100-continue")
        else:
            return
        raise _Refused

    def _fill_scope(self) -> None:
        scope: Any = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = self.parser.get_http_version()
        target = _target(self.url, scope["method"])
        if target is None:
            self._refuse(400, "the target of the request is not a path, or has a % that begins no escape")
            raise _Refused
        raw_path, query = target
        path = raw_path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = query

    # Refusing and closing

    def _refuse_head(self) -> None:
        self._refuse(431, f"the request's line and headers are larger than {self._limits.header_bytes} bytes")

    def _refuse(self, status: int, message: str) -> None:
        """Listen to nothing more, and say why when the answers that are due have gone out."""
        if self._deaf:
            return
        self._deaf = True
        self._stop_head_timer()
        self._drop_held()
        body, reason = message.encode(), HTTPStatus(status).phrase.encode()
        fast = self._fast
        self._refusal = _REFUSAL % (status, reason, fast.common, fast.date.line(), len(body), body)
        if self._midway and not self._in_head:
            self._withdraw()
        if self._idle():
            self._say_no()

    def _withdraw(self) -> None:
        """Take back the request whose body is being read."""
        if self.pipeline:
            self.pipeline.popleft()
        elif self._running is not None:
            if self._running.response_started:
                self._refusal = b""
            self._drop(self._running)
            self._running = None

    def _say_no(self) -> None:
        refusal, self._refusal = self._refusal, b""
        if refusal:
            self.server_state.total_requests += 1
            self.transport.write(refusal)
        self._linger()

    def _close(self) -> None:
        """Close, but give a client time to read its answer when it may still be sending (RFC 9112, 9.6)."""
        if self._midway or self._held or self.flow.read_paused:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        self._deaf = self._lingering = True
        self._stop_head_timer()
        self._drop_held()
        if self._input_ended or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.flow.resume_reading()
        self.transport.write_eof()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = self.loop.call_later(_LINGER, self._look)

    @staticmethod
    def _drop(exchange: Exchange) -> None:
        """Nobody is there for its answer any more."""
        if not exchange.response_complete:
            exchange.disconnected = True
        exchange.message_event.set()

    # Timers

    def _look(self) -> None:
        """Close a connection that is silent for too long; cut one whose client does not take what it is sent."""
        now = self.loop.time()
        longest = self._limits.idle_timeout
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        if unsent:
            rest = self._unsent_since + longest - now
            if self._lingering:
                rest = min(rest, _LINGER)
        elif self._lingering:
            rest = 0.0
        elif not self._idle() or self._midway:
            rest = longest
        else:
            rest = self._active + longest - now
        if rest > 0:
            self._idle_timer = self.loop.call_later(rest, self._look)
        elif unsent:
            self.transport.abort()
        else:
            self.transport.close()

    def _watch_head(self) -> None:
        """Count the time of a head that is being sent, unless it is us for whom it waits."""
        if not self._in_head or self._deaf or self._running is not None:
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.header_timeout, self._head_too_slow)

    def _head_too_slow(self) -> None:
        self._head_timer = None
        self._refuse(408, f"the request's head did not arrive within {self._limits.header_timeout:g} s")

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _target(url: bytes, method: str) -> tuple[bytes, bytes] | None:
    """Path and query of a request target (RFC 9112, 3.2), None for one that cannot be."""
    if url == b"*":
        return (url, b"") if method == "OPTIONS" else None
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        return None
    path = parsed.path or b"/"
    return None if _BAD_ESCAPE.search(path) else (path, parsed.query or b"")


def _framing(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The header by which a request has a body; b"" when it has none."""
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")):
            return name + b": " + value
    return b""
