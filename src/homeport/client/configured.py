"""A `Discovery` as the settings file and the environment want it, which registers what the file defines."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Self

from homeport.balancing.balancer import Balancer
from homeport.errors import SettingsError
from homeport.model import Service
from homeport.spi import Observer

from .address import advertised_address
from .automatic import AutomaticRegistrations, register_all
from .clock import awake_or_not
from .configuration.backend_choice import BackendChoice
from .configuration.configuration import Configuration, read_configuration
from .definitions.definition import Definition
from .definitions.variables import HOST_IP, Variables, variables
from .discovery import Discovery
from .registration import OnStanding, Registration


class ConfiguredDiscovery(Discovery):
    """What `configured` makes: a `Discovery` with all its methods, which obeys a `Configuration`.

    ``async with`` registers what the file defines, with retries as it says, and is entered when all of it is
    registered; when something cannot be, it raises and leaves nothing behind. Tags and metadata that the file gives to
    all registrations are given to those that the program makes itself too.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        balancer: Balancer | None = None,
        values: Mapping[str, str] | None = None,
        ttl: float | None = None,
        register: bool = True,
        observer: Observer | None = None,
        handle_signals: bool = True,
        random: Random | None = None,
        clock: Callable[[], float] = awake_or_not,
        on_change: OnStanding | None = None,
    ) -> None:
        super().__init__(
            configuration.backend,
            balancer=balancer or configuration.client.balancer,
            settings=configuration.client,
            observer=observer,
            handle_signals=handle_signals,
            environ=configuration.environ,
            random=random,
            clock=clock,
        )
        self._configuration = configuration
        self._values = dict(values or {})
        self._registers = register and configuration.policy.on_startup
        self._automatic = AutomaticRegistrations(
            self, ttl=configuration.policy.ttl if ttl is None else ttl, on_change=on_change
        )

    @property
    def configuration(self) -> Configuration:
        """What was said."""
        return self._configuration

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """The registrations of what the file defines, in its order."""
        return self._automatic.registrations

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if self._registers:
            try:
                await register_all(self._automatic, self._wanted, policy=self._configuration.policy)
            except BaseException:
                await self.aclose()
                raise
        return self

    async def completed(self, service: Service) -> Service:
        """The service with an id, an address and a start time, and what all registrations have in common."""
        return await super().completed(self._configuration.policy.applied(service))

    async def services_of(self, definitions: Sequence[Definition], known: Variables) -> dict[str, Service]:
        """The services that definitions mean here and now, by the places of the definitions.

        Raises:
            SettingsError: a definition cannot be right, or two have one id.
            BackendUnavailable: one asks for the address of this host, and no route leads to the backend.
        """
        policy, name = self._configuration.policy, self._configuration.service_name
        if HOST_IP not in known.values and any(definition.needs_host_ip for definition in definitions):
            known = known.having(host_ip=await self.host_ip())
        services = {str(definition): definition.service(known, policy, name=name) for definition in definitions}
        _refuse_twins(services)
        return services

    async def host_ip(self) -> str:
        """The address of this host that others are told: that of ``HOMEPORT_ADVERTISE``, or as the backend sees it.

        Raises:
            BackendUnavailable: no route leads to the backend.
        """
        return await advertised_address("", environ=self._environ, backend=self._registrar())

    async def _wanted(self) -> dict[str, Service]:
        known = variables(self._values, environ=self._environ, of_process=True)
        return await self.services_of(self._configuration.definitions, known)

    async def _leave(self) -> None:
        """Deregister everything, unless the file says otherwise: then the leases run out."""
        if self._configuration.policy.deregister_on_exit:
            await super()._leave()


def _refuse_twins(services: Mapping[str, Service]) -> None:
    places: dict[str, str] = {}
    for place, service in services.items():
        if service.id and places.setdefault(service.id, place) != place:
            raise SettingsError(f'{place} has the id "{service.id}", as {places[service.id]} has; change one')


def configured(
    config: str | os.PathLike[str] | None = None,
    *,
    backend: BackendChoice = None,
    balancer: str | Balancer | None = None,
    settings: Mapping[str, object] | None = None,
    values: Mapping[str, str] | None = None,
    ttl: float | None = None,
    observer: Observer | None = None,
    handle_signals: bool = True,
    environ: Mapping[str, str] | None = None,
) -> ConfiguredDiscovery:
    """A `Discovery` as arguments, environment and settings file say, in this order; see ``docs/configuration.md``.

    >>> import homeport
    >>> async def main() -> None:
    ...     async with homeport.configured("homeport.yaml", values={"version": "2.1.0"}) as discovery:
    ...         instance = await discovery.resolve("billing")

    ``config`` names the file; without it the file is that of ``HOMEPORT_CONFIG``, else the user's, if there is one.
    ``settings`` are settings of the client by their dotted names, such as ``{"cache.ttl": 5}``. ``values`` fill the
    places of service definitions, ``{{ .version }}``. What the file defines is registered with a lease of ``ttl``
    seconds; without it, of as many as the file says, else 15.

    Raises:
        SettingsError: something cannot be right; the message names the place.
    """
    arguments = {**(settings or {}), "balancer": balancer if isinstance(balancer, str) else None}
    configuration = read_configuration(
        None if config is None else os.fspath(config), backend=backend, settings=arguments, environ=environ
    )
    return ConfiguredDiscovery(
        configuration,
        balancer=None if isinstance(balancer, str) else balancer,
        values=values,
        ttl=ttl,
        observer=observer,
        handle_signals=handle_signals,
    )
