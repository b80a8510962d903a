"""Registering step by step, to see where it fails."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence

import msgspec

from homeport.client.discovery import Discovery
from homeport.errors import BackendUnavailable, HomeportError, PermissionDenied, Unsupported
from homeport.model import Service, TTLCheck
from homeport.spi import Backend, Discoverer, HealthReporter, Registrar

from .choosing import registrar
from .connection import chosen, who
from .network import NetworkDiagnosis, access_of
from .steps import STEP_TIMEOUT, Details, Step, Warned, Work, failed, tried

_TTL = 30.0


class RegistrationDiagnosis:
    """Tries, one after the other, all that a registration of ``service`` needs; the first failure ends it.

    The registration at its end is a real one, under an id of its own. It has a check that is critical from the start,
    so that nobody who asks for healthy instances is sent to it; where the backend has no checks, it is under a name of
    its own too. It has a lease, so that it goes by itself if this program is killed.
    """

    def __init__(self, discovery: Discovery, service: Service, *, reason: str, variables: Sequence[str] = ()) -> None:
        self._discovery = discovery
        self._backend: Backend = discovery.backend
        test = msgspec.structs.replace(service, id=f"{service.name}-homeport-debug-{secrets.token_hex(4)}")
        if isinstance(self._backend, HealthReporter):
            check = TTLCheck(id="debug", name="Homeport debug", ttl=3600.0, status="critical")
            self._service = msgspec.structs.replace(test, checks=(check,))
        else:
            self._service = msgspec.structs.replace(test, name=f"{service.name}-homeport-debug")
        self._reason = reason
        self._variables = variables
        self._incarnation = secrets.token_hex(6)
        self._sent = False

    async def steps(self) -> AsyncIterator[Step]:
        """Each step when it is done. What was registered is removed at the end, whatever happens."""
        try:
            yield chosen(self._backend, self._reason, self._variables)
            try:
                self._registrar()
            except Unsupported as error:
                yield failed("register", error)
                return
            try:
                access = await asyncio.to_thread(access_of, self._backend)
            except HomeportError as error:
                yield failed("settings", error)
                return
            step = None
            async for step in NetworkDiagnosis(access, url=self._backend.url).steps():
                yield step
            if step is not None and step.error is not None:
                return
            for name, work in self._plan():
                step = await tried(name, work, backend=self._backend.url)
                yield step
                if step.error is not None:
                    return
        finally:
            if self._sent:
                with contextlib.suppress(HomeportError, TimeoutError):
                    async with asyncio.timeout(STEP_TIMEOUT):
                        await self._registrar().deregister(self._service.id, incarnation=self._incarnation)

    def _plan(self) -> list[tuple[str, Work]]:
        return [
            ("version", self._version),
            ("address", self._address),
            ("register", self._register),
            ("seen", self._seen),
            ("removed", self._removed),
        ]

    async def _version(self) -> tuple[str, Details]:
        try:
            facts = dict(await self._backend.ping())
        except PermissionDenied as error:  # whether this program may register is another right
            raise Warned(f"it answers, but does not say who it is: {error}") from error
        return who(facts), facts

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
