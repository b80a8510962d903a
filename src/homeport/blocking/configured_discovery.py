"""A `Discovery` as the settings file and the environment want it, for programs without an event loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Self

from homeport.balancing.balancer import Balancer
from homeport.client.clock import awake_or_not
from homeport.client.configuration.backend_choice import BackendChoice
from homeport.client.configuration.configuration import Configuration, read_configuration
from homeport.client.configured import ConfiguredDiscovery as AsyncConfiguredDiscovery
from homeport.client.registration import Registration as AsyncRegistration
from homeport.spi import Observer

from .discovery import Discovery, refuse_coroutine_function
from .registration import OnStanding, Registration


class ConfiguredDiscovery(Discovery):
    """What `configured` makes: a `Discovery` with all its methods, which obeys a `Configuration`.

    ``with`` registers what the file defines, with retries as it says, and is entered when all of it is registered;
    when something cannot be, it raises and leaves nothing behind. Tags and metadata that the file gives to all
    registrations are given to those that the program makes itself too. In a forked process what the file defines stays
    the parent's.
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
        refuse_coroutine_function(on_change)
        self._configuration = configuration
        self._on_change = on_change
        self._twins: dict[AsyncRegistration, Registration] = {}
        make = partial(
            AsyncConfiguredDiscovery,
            configuration,
            balancer=balancer,
            values=values,
            ttl=ttl,
            register=register,
            observer=observer,
            handle_signals=False,
            random=random,
            clock=clock,
            on_change=self._stood,
        )
        self._set_up(make, configuration.backend, settings=configuration.client, handle_signals=handle_signals)

    def __enter__(self) -> Self:
        super().__enter__()
        discovery = self._asynchronous()
        assert isinstance(discovery, AsyncConfiguredDiscovery)
        try:
            self.loop_thread.run(discovery.__aenter__)
            for registration in discovery.registrations:
                self._keep(self._twin_of(registration))
        except BaseException:
            self.close()
            raise
        return self

    @property
    def configuration(self) -> Configuration:
        """What was said."""
        return self._configuration

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """The registrations of what the file defines, in its order."""
        discovery = self._asynchronous()
        assert isinstance(discovery, AsyncConfiguredDiscovery)
        return tuple(self._twin_of(registration) for registration in discovery.registrations)

    def _twin_of(self, registration: AsyncRegistration) -> Registration:
        twin = Registration(self, registration, on_change=self._on_change)
        return self._twins.setdefault(registration, twin)

    async def _stood(self, registration: AsyncRegistration) -> None:
        await self._twin_of(registration).stood(registration)

    async def _leave(self) -> None:
        """Deregister everything, unless the file says otherwise: then the leases run out."""
        if self._configuration.policy.deregister_on_exit:
            await super()._leave()


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

    >>> from homeport import blocking
    >>> def main() -> None:
    ...     with blocking.configured("homeport.yaml", values={"version": "2.1.0"}) as discovery:
    ...         instance = discovery.resolve("billing")

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
