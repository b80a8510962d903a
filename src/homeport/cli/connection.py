"""Reaching a backend step by step, to see where it fails. Nothing is changed there."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import urlsplit

from homeport.connections.access import Access
from homeport.errors import HomeportError, InvalidValue, PermissionDenied, Unsupported
from homeport.spi import Backend, Discoverer, Registrar, ServiceSummary

from .encryption import told_by
from .handshake import speaks_tls
from .network import NetworkDiagnosis, access_of
from .steps import Details, Step, Warned, failed, retold, since, skipped, tried, untried
from .stranger import who_answers

_AFTER_NETWORK = ("protocol", "credentials", "permission", "register", "round trip")
_ROUND_TRIPS = 5
_NOBODY = "homeport-test-connection"
"""A service that is asked for, to see how long an answer takes."""


class ConnectionDiagnosis:
    """Tries, one after the other, all that a program needs of a backend; ``reason`` is why it is this one.

    What cannot be tried any more, since something before it failed, is told as untried.
    """

    def __init__(self, backend: Backend, *, reason: str, variables: Sequence[str] = ()) -> None:
        self._backend = backend
        self._reason = reason
        self._variables = variables
        self._access = Access()

    async def steps(self) -> AsyncIterator[Step]:
        """Each step when it is done."""
        yield chosen(self._backend, self._reason, self._variables)
        try:
            self._access = await asyncio.to_thread(access_of, self._backend)
        except HomeportError as error:
            yield failed("settings", error)
            for name in _AFTER_NETWORK:
                yield untried(name, "settings")
            return
        network = NetworkDiagnosis(self._access, url=self._backend.url)
        last = None
        async for last in network.steps():
            yield last
        if last is not None and last.error is not None:
            tls = () if self._access.tls is None or last.name == "tls" else ("tls",)
            for name in (*tls, *_AFTER_NETWORK):
                yield untried(name, last.name)
            return
        for step in self._unencrypted():
            yield step
        async for step in self._with(network):
            yield step

    def _unencrypted(self) -> Sequence[Step]:
        """What is to be said where there was no handshake."""
        access = self._access
        if not access.addresses:
            return [skipped("connect", "its URL names no host to connect to")]
        if access.transport == "dns":
            return [skipped("connect", "DNS is asked without connecting beforehand")]
        if access.tls is not None:
            return []
        if access.credentials and not all(_is_here(one.host) for one in access.addresses):
            text = f"no TLS: whoever is on the way can read {access.credentials}"
            return [Step(name="tls", text=text, state="warning")]
        return [skipped("tls", "none is wanted")]

    async def _with(self, network: NetworkDiagnosis) -> AsyncIterator[Step]:
        """The steps above the network."""
        protocol = await tried("protocol", self._protocol, backend=self._backend.url)
        if protocol.error is not None and not isinstance(protocol.error, PermissionDenied):
            yield await self._explained(protocol, protocol.error, network)
            for name in _AFTER_NETWORK[1:]:
                yield untried(name, "protocol")
            return
        if protocol.error is not None:
            text = f"it answers, but does not say who it is: {protocol.text}"
            protocol = Step(name="protocol", text=text, state="warning", milliseconds=protocol.milliseconds)
        yield protocol
        failure = ""
        async for step in self._permitted():
            failure = step.name if step.error is not None else failure
            yield step
        if failure:
            yield untried("round trip", failure)
        else:
            yield await tried("round trip", self._round_trip, backend=self._backend.url)

    async def _protocol(self) -> tuple[str, Details]:
        facts = dict(await self._backend.ping())
        return who(facts), {**facts}

    async def _explained(self, step: Step, error: HomeportError, network: NetworkDiagnosis) -> Step:
        """The step that failed, with who it is that answers there; what does not speak TLS was told before."""
        for address in network.open:
            if self._access.tls is None and await speaks_tls(address):
                how = told_by(self._backend.url, "https")
                return retold(step, error, f"{address} speaks TLS, and is asked in plain text; {how}")
            stranger = await who_answers(address, tls=self._access.tls)
            if stranger and not _meant(self._backend.url, stranger):
                text = f"{str(error).rstrip('.')}; {stranger}"
                return retold(step, error, text)
        return step

    async def _permitted(self) -> AsyncIterator[Step]:
        """Whether the credentials are refused, and what they allow, as far as reading tells."""
        backend = self._backend
        if not isinstance(backend, Discoverer):
            yield skipped("credentials", "it finds no services, so there is nothing to read")
            yield skipped("permission", "it finds no services, so there is nothing to read")
            return
        summaries: list[ServiceSummary] = []

        async def listing() -> tuple[str, Details]:
            try:
                summaries.extend(await backend.services())
            except Unsupported as error:
                raise Warned(str(error)) from error
            if not summaries:
                return "services may be listed: there are none, or none that may be seen", {"services": 0}
            read = await _first_read(backend, summaries)
            return f"services may be listed ({len(summaries)}) {read}".rstrip(), {"services": len(summaries)}

        step = await tried("permission", listing, backend=backend.url)
        given = self._access.credentials
        if given and isinstance(step.error, PermissionDenied) and step.error.unauthenticated:
            yield failed("credentials", step.error, milliseconds=step.milliseconds)
            yield untried("permission", "credentials")
        else:
            yield _credentials(given, step)
            yield skipped("permission", step.text) if step.state == "warning" else step
        if isinstance(backend, Registrar):
            yield skipped("register", 'not tried; "homeport debug register NAME" does, and takes it away again')
        else:
            yield skipped("register", f"{backend.url.partition('://')[0]} takes no registrations")

    async def _round_trip(self) -> tuple[str, Details]:
        taken = []
        for _ in range(_ROUND_TRIPS):
            begun = time.perf_counter()
            # A backend may remember who answers; it never remembers what is registered.
            with contextlib.suppress(PermissionDenied):  # "no" is an answer too
                await (self._backend.fetch(_NOBODY) if isinstance(self._backend, Discoverer) else self._backend.ping())
            taken.append(since(begun))
        text = f"{statistics.median(taken):g} ms, the median of {_ROUND_TRIPS} ({min(taken):g} to {max(taken):g} ms)"
        return text, {"median": statistics.median(taken), "least": min(taken), "most": max(taken)}


def _credentials(given: str, read: Step) -> Step:
    """What is known of the credentials after something was read, or was not."""
    if not given:
        return skipped("credentials", "none are given")
    if read.state == "ok":
        return Step(name="credentials", text=f"{given} is not refused")
    return Step(name="credentials", text=f"{given} is sent, and was not refused as such")


async def _first_read(backend: Discoverer, summaries: Sequence[ServiceSummary]) -> str:
    """What reading the first service told; a name that cannot be asked for is passed over."""
    for name in sorted(one.name for one in summaries):
        with contextlib.suppress(InvalidValue):
            count = len((await backend.fetch(name)).instances)
            return f'and read ("{name}" has {count} instance{"" if count == 1 else "s"})'
    return ""


def chosen(backend: Backend, reason: str, variables: Sequence[str]) -> Step:
    """The step that tells which backend is meant, and why."""
    others = [one for one in variables if not reason.startswith(one)]
    completed = f" (set too: {', '.join(others)})" if others else ""
    return Step(
        name="backend",
        text=f"the backend is {backend.url}: {reason}{completed}",
        details={"backend": backend.url, "variables": list(variables)},
    )


def who(facts: Mapping[str, str]) -> str:
    """Who answers, in a few words."""
    named = " ".join(facts[key] for key in ("product", "version") if facts.get(key)) or "the backend"
    rest = ", ".join(f"{key} {value}" for key, value in facts.items() if value and key not in ("product", "version"))
    return f"{named} answers{f' ({rest})' if rest else ''}"


def _meant(url: str, stranger: str) -> bool:
    """Whether who answers is the one that the URL means, so that there is nothing to add to the error."""
    offered = urlsplit(stranger.rpartition(" use ")[2])
    given = urlsplit(url)
    return offered.scheme == given.scheme and given.path.startswith(offered.path)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
