"""Registering step by step, to see where it fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from homeport.client.discovery import Discovery
from homeport.connections.backend_url import HostPort, parse_backend_url
from homeport.errors import BackendUnavailable, HomeportError, SettingsError
from homeport.model import Service, TTLCheck
from homeport.spi import Backend, Discoverer, Registrar

from .choosing import registrar

_STEP_TIMEOUT = 5.0
_TTL = 30.0
_DEFAULT_PORT = 8500

Details: TypeAlias = dict[str, Any]
Work: TypeAlias = "Callable[[], Awaitable[tuple[str, Details]]]"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried. ``error`` is why it failed; None for one that went well."""

    name: str
    text: str
    milliseconds: float
    details: Details = {}
    error: HomeportError | None = None


class RegistrationDiagnosis:
    """Tries, one after the other, all that a registration of ``service`` needs; the first failure ends it.

    The registration at its end is a real one, under an id of its own. It has a check that is critical from the start,
    so that nobody who asks for healthy instances is sent to it, and a lease, so that it goes by itself if this program
    is killed.
    """

    def __init__(self, discovery: Discovery, service: Service, *, reason: str) -> None:
        self._discovery = discovery
        self._backend: Backend = discovery.backend
        self._service = msgspec.structs.replace(
            service, id=f"{service.name}-homeport-debug-{secrets.token_hex(4)}",
            checks=(TTLCheck(id="debug", name="Homeport debug", ttl=3600.0, status="critical"),),
        )  # fmt: skip
        self._reason = reason
        self._incarnation = secrets.token_hex(6)
        self._sent = False

    async def steps(self) -> AsyncIterator[Step]:
        """Each step when it is done. What was registered is removed at the end, whatever happens."""
        try:
            for name, work in self._plan():
                step = await _timed(name, work, backend=self._backend)
                yield step
                if step.error is not None:
                    return
        finally:
            if self._sent:
                with contextlib.suppress(HomeportError, TimeoutError):
                    async with asyncio.timeout(_STEP_TIMEOUT):
                        await self._registrar().deregister(self._service.id, incarnation=self._incarnation)

    def _plan(self) -> list[tuple[str, Work]]:
        addresses = _addresses(self._backend.url)
        network: list[tuple[str, Work]] = [
            ("resolve", lambda: _any_of(addresses, _resolve)),
            ("connect", lambda: _any_of(addresses, _connect)),
        ]
        return [
            ("backend", self._chosen),
            *(network if addresses else ()),
            ("version", self._version),
            ("address", self._address),
            ("register", self._register),
            ("seen", self._seen),
            ("removed", self._removed),
        ]

    async def _chosen(self) -> tuple[str, Details]:
        return f"the backend is {self._backend.url}: {self._reason}", {"backend": self._backend.url}

    async def _version(self) -> tuple[str, Details]:
        facts = dict(await self._backend.ping())
        who = " ".join(facts[key] for key in ("product", "version") if facts.get(key)) or "a registry"
        return f"{who} answers", facts

    async def _address(self) -> tuple[str, Details]:
        self._service = await self._discovery.completed(self._service)
        return f"the instance is announced at {self._service.address}", {"address": self._service.address}

    async def _register(self) -> tuple[str, Details]:
        self._sent = True
        await self._registrar().register(self._service, ttl=_TTL, incarnation=self._incarnation)
        return f'"{self._service.name}" may be registered: a test instance was', {
            "id": self._service.id, "port": self._service.port, "tags": list(self._service.tags), "ttl": _TTL,
        }  # fmt: skip

    async def _seen(self) -> tuple[str, Details]:
        if not isinstance(self._backend, Discoverer):
            return "the backend lists nothing, so that cannot be looked at", {}
        looked = 0
        async with contextlib.aclosing(self._backend.watch(self._service.name)) as states:
            async for observed in states:
                looked += 1
                for instance in observed.instances:
                    if instance.id == self._service.id:
                        return "the registry lists it", {"status": instance.status, "looked": looked}
        raise BackendUnavailable("the registry ended the watch", backend=self._backend.url)

    async def _removed(self) -> tuple[str, Details]:
        removed = await self._registrar().deregister(self._service.id, incarnation=self._incarnation)
        self._sent = False
        if not removed:
            raise BackendUnavailable(
                f'"{self._service.id}" was gone already: somebody else removed it', backend=self._backend.url
            )
        return "it was removed again", {}

    def _registrar(self) -> Registrar:
        return registrar(self._backend)


async def _timed(name: str, work: Work, *, backend: Backend) -> Step:
    begun = time.perf_counter()
    text, details = "", Details()
    failure: HomeportError | None = None
    try:
        async with asyncio.timeout(_STEP_TIMEOUT):
            text, details = await work()
    except TimeoutError:
        failure = BackendUnavailable(f"that took longer than {_STEP_TIMEOUT:g} s", backend=backend.url)
    except HomeportError as error:
        failure = error
    milliseconds = round((time.perf_counter() - begun) * 1000, 1)
    return Step(
        name=name, text=text if failure is None else str(failure), milliseconds=milliseconds, details=details,
        error=failure,
    )  # fmt: skip


def _addresses(url: str) -> tuple[HostPort, ...]:
    """The addresses in the URL of a backend that is reached over HTTP; none of another kind."""
    if url.partition("://")[0] not in ("homeport", "consul"):
        return ()
    try:
        return parse_backend_url(url, default_port=_DEFAULT_PORT).addresses
    except SettingsError:
        return ()


async def _any_of(addresses: Sequence[HostPort], work: Callable[[HostPort], Awaitable[str]]) -> tuple[str, Details]:
    """Try every address; one that works is enough.

    Raises:
        BackendUnavailable: none does.
    """
    outcomes: Details = {}
    failures = []
    for address in addresses:
        try:
            outcomes[str(address)] = await work(address)
        except BackendUnavailable as error:
            outcomes[str(address)] = str(error)
            failures.append(error)
    if len(failures) == len(addresses):
        raise failures[0]
    return "; ".join(outcomes.values()), outcomes


async def _resolve(address: HostPort) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BackendUnavailable(
            f'the name "{address.host}" cannot be resolved ({error.strerror}); check its spelling and DNS'
        ) from error
    return f"{address.host} is {', '.join(dict.fromkeys(str(one[4][0]) for one in found))}"


async def _connect(address: HostPort) -> str:
    try:
        _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise BackendUnavailable(
            f"no connection to {address} ({reason}); is it running, and is the port open?"
        ) from error
    local = writer.get_extra_info("sockname")[0]
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return f"{address} takes connections from {local}"


def step_view(step: Step) -> Mapping[str, Any]:
    """A step for programs."""
    return {
        "step": step.name,
        "ok": step.error is None,
        "text": step.text,
        "milliseconds": step.milliseconds,
        "details": step.details,
    }
