"""TCP checks: a connection that opens passes."""

from __future__ import annotations

import asyncio

from homeport.wire.durations import format_duration

from ...records import CheckDefinition
from .connecting import connect, failure
from .host_and_port import host_and_port
from .prober import Result
from .resolver import Resolver
from .trust import Trust


class TCPProber:
    """Opens a connection to ``host:port``, with TLS if asked, and closes it at once."""

    def __init__(self, resolver: Resolver, trust: Trust) -> None:
        self._resolver = resolver
        self._trust = trust

    async def probe(self, definition: CheckDefinition) -> Result:
        """Passing once connected; see `Prober.probe`."""
        subject = _subject(definition)
        try:
            host, port = host_and_port(definition.tcp)
        except ValueError as error:
            return Result("critical", f"{subject}: {error}", "error")
        try:
            tls = await self._trust.context(verify=not definition.tls_skip_verify) if definition.tcp_use_tls else None
            addresses = await self._resolver.addresses(host)
            server_name = self._trust.server_name(definition.tls_server_name, host)
            transport = await connect(asyncio.Protocol, addresses, port, tls=tls, server_name=server_name)
        except OSError as error:
            return failure(subject, error)
        transport.abort()
        return Result("passing", f"{subject}: Success")

    def timed_out(self, definition: CheckDefinition, so_far: str) -> str:  # noqa: ARG002  # the end is all
        """See `SpeakingProber.timed_out`."""
        return f"{_subject(definition)}: timed out after {format_duration(definition.timeout)}"


def _subject(definition: CheckDefinition) -> str:
    """What is being done, as Consul's output names it."""
    return f"TCP connect {definition.tcp}"
