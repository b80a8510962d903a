"""Keeping registered what the definitions of files and folders say, while they change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from homeport.errors import BackendUnavailable, HomeportError, SettingsError
from homeport.model import Service

from .automatic import AutomaticRegistrations, Change, stable_id
from .configured import ConfiguredDiscovery
from .definitions.definition import Definition
from .definitions.following import FollowedFiles
from .definitions.variables import Variables
from .registration import OnStanding


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at the files led to.

    ``problems`` are sentences about files, each told once while it lasts. ``pending`` says that something failed and is
    worth another look soon.
    """

    changes: tuple[Change, ...] = ()
    problems: tuple[str, ...] = ()
    pending: bool = False


class Agent:
    """The registrations of all definitions in ``paths``, through a `ConfiguredDiscovery`.

    A file that turns out to be broken keeps the registrations that it had. Of two definitions with one id the first
    counts. A definition without an id is known by the service's name, its address and its port.
    """

    def __init__(
        self,
        discovery: ConfiguredDiscovery,
        paths: Sequence[Path],
        *,
        known: Variables,
        ttl: float,
        on_change: OnStanding | None = None,
    ) -> None:
        self._discovery = discovery
        self._files = FollowedFiles(paths)
        self._known = known
        self._automatic = AutomaticRegistrations(discovery, ttl=ttl, on_change=on_change)
        self._good: dict[Path, dict[str, Service]] = {}
        self._told: dict[Path, str] = {}
        self._told_twice: set[str] = set()

    @property
    def size(self) -> int:
        """How many services are registered."""
        return len(self._automatic.registrations)

    async def look(self, *, again: bool = False) -> Report:
        """Look at the files, with ``again`` also at those that did not change, and register what they say now."""
        problems: list[str] = []
        pending = False
        for path, found in await asyncio.to_thread(self._files.look, again=again):
            if found is None:
                self._good.pop(path, None)
                self._told.pop(path, None)
                continue
            try:
                if isinstance(found, SettingsError):
                    raise found
                self._good[path] = await self._services(found)
                self._told.pop(path, None)
            except HomeportError as error:
                if isinstance(error, BackendUnavailable):  # nobody to tell the address of this host
                    self._files.forget(path)
                    pending = True
                if self._told.get(path) != str(error):
                    self._told[path] = str(error)
                    problems.append(str(error))
        wanted, doubles = self._wanted()
        problems += doubles
        changes = await self._automatic.apply(wanted)
        pending = pending or any(change.error is not None for change in changes)
        return Report(changes=tuple(changes), problems=tuple(problems), pending=pending)

    async def leave(self) -> Report:
        """Deregister everything."""
        return Report(changes=tuple(await self._automatic.apply({})))

    async def _services(self, definitions: Sequence[Definition]) -> dict[str, Service]:
        services = await self._discovery.services_of(definitions, self._known)
        return {place: await self._with_id(service) for place, service in services.items()}

    async def _with_id(self, service: Service) -> Service:
        if service.id:
            return service
        address = service.address or await self._discovery.host_ip()
        return msgspec.structs.replace(service, id=stable_id(msgspec.structs.replace(service, address=address)))

    def _wanted(self) -> tuple[dict[str, Service], list[str]]:
        """The services by id, and what there is to say about ids that are given twice."""
        wanted: dict[str, Service] = {}
        origin: dict[str, str] = {}
        doubles = []
        for path in sorted(self._good):
            for place, service in self._good[path].items():
                if service.id not in wanted:
                    wanted[service.id], origin[service.id] = service, place
                    continue
                doubles.append(
                    f'{place} has the id "{service.id}", as {origin[service.id]} has; only that is registered'
                )
        new = [text for text in doubles if text not in self._told_twice]
        self._told_twice = set(doubles)
        return wanted, new
