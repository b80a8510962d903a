"""HTTP checks, judged as Consul's agent judges them: 2xx passes, 429 warns, anything else is critical."""

from __future__ import annotations

from typing import cast

from homeport.model import Status
from homeport.wire.durations import format_duration

from ...records import CheckDefinition
from ..output import Tail
from .connecting import connect, failure
from .http_exchange import BadAnswer, Exchange
from .http_request import Hop, is_redirect, request_bytes, shown, target_of
from .prober import Result
from .resolver import Resolver
from .trust import Trust

MOST_BODY_BYTES = 1 << 20
"""How much of a body is read; what is looked for must stand in that."""
_MOST_REDIRECTS = 10


class HTTPProber:
    """Asks URLs, each over a connection of its own that is closed afterwards."""

    def __init__(self, resolver: Resolver, trust: Trust) -> None:
        self._resolver = resolver
        self._trust = trust

    async def probe(self, definition: CheckDefinition) -> Result:
        """Ask once; see `Prober.probe`."""
        subject = _subject(definition)
        hop = Hop(definition.http, definition.method or "GET", definition.header, definition.body.encode())
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                body = _Body(definition)
                answer = await self._ask(hop, definition, body)
                if definition.disable_redirects or not (answer.location and is_redirect(answer.status)):
                    return body.judge(subject, answer.status, answer.words)
                hop = hop.redirected(answer.status, answer.location)
        except BadAnswer as error:
            return Result("critical", f"{subject}: {error}", "answer")
        except OSError as error:
            return failure(subject, error)
        except ValueError as error:
            return Result("critical", f"{subject}: {error}", "error")
        return Result("critical", f"{subject}: stopped after {_MOST_REDIRECTS} redirects", "status")

    def timed_out(self, definition: CheckDefinition, so_far: str) -> str:  # noqa: ARG002  # the end is all
        """See `SpeakingProber.timed_out`."""
        return f"{_subject(definition)}: timed out after {format_duration(definition.timeout)}"

    async def _ask(self, hop: Hop, definition: CheckDefinition, body: _Body) -> Exchange:
        target = target_of(hop.url)
        request = request_bytes(target, method=hop.method, headers=hop.headers, body=hop.body)
        tls = await self._trust.context(verify=not definition.tls_skip_verify) if target.scheme == "https" else None
        addresses = await self._resolver.addresses(target.host)
        server_name = self._trust.server_name(definition.tls_server_name, target.host)
        transport = await connect(lambda: Exchange(body), addresses, target.port, tls=tls, server_name=server_name)
        exchange = cast("Exchange", transport.get_protocol())
        try:
            await exchange.ask(request, has_body=hop.method != "HEAD")
        finally:
            transport.abort()
        return exchange


class _Body:
    """What is kept of a body: its end, and whether the text that is looked for was in it."""

    def __init__(self, definition: CheckDefinition) -> None:
        self._definition = definition
        self._tail = Tail(definition.output_max_bytes)
        self._wanted = definition.expected_body.encode()
        self._overlap = b""
        self._found = not self._wanted

    def add(self, data: bytes) -> bool:
        """Take the next part; False when `MOST_BODY_BYTES` have been read."""
        self._tail.add(data)
        if not self._found:
            looked_at = self._overlap + data
            self._found = self._wanted in looked_at
            self._overlap = looked_at[-(len(self._wanted) - 1) :] if len(self._wanted) > 1 else b""
        return self._tail.total_bytes < MOST_BODY_BYTES

    def judge(self, subject: str, status: int, words: str) -> Result:
        """The result, after the status code and what was read."""
        definition = self._definition
        verdict, reason, remark = _status_of(status, definition.expected_status)
        if verdict != "critical" and not self._found:
            verdict, reason = "critical", "body"
            remark = f" (the body does not contain {definition.expected_body!r})"
        said = f"{status} {words}" if words else str(status)
        return Result(verdict, f"{subject}: {said}{remark} Output: {self._tail.text()}", reason)


def _status_of(status: int, expected: int) -> tuple[Status, str, str]:
    if expected:
        return ("passing", "", "") if status == expected else ("critical", "status", f" (expected {expected})")
    if 200 <= status <= 299:
        return "passing", "", ""
    return ("warning" if status == 429 else "critical"), "status", ""


def _subject(definition: CheckDefinition) -> str:
    """What is being done, as Consul's output names it."""
    return f"HTTP {definition.method or 'GET'} {shown(definition.http)}"
