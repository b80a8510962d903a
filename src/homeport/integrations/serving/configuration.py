"""What the configuration of a web application says about its place in the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from homeport.blocking import Discovery
from homeport.connections.near_miss import did_you_mean
from homeport.errors import SettingsError

from .advertisement import Advertisement, RegistrationOptions
from .announcer import Announcer

_OPTIONS = frozenset(RegistrationOptions.__optional_keys__)


class ServingConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """The keys. ``service`` is the name to be registered under; without one, the application only finds others.

    ``backend`` and ``balancer`` are those of `homeport.blocking.Discovery`, ``port`` is the one to call (0: the
    variable ``PORT``, else where the process listens), ``drain_time`` says for how many seconds the application goes on
    answering after it was deregistered (None: signals are left alone). The others are those of
    `homeport.blocking.Discovery.register`.
    """

    service: str = ""
    backend: str | None = None
    balancer: str = "round_robin"
    port: int = 0
    drain_time: float | None = 0.0
    id: str = ""
    address: str = ""
    tags: tuple[str, ...] = ()
    meta: dict[str, str | int | float | bool] = {}
    weight: int = 1
    version: str = ""
    environment: str = ""
    checks: tuple[Any, ...] = ()
    health_check: Any = None
    ttl: float = 15.0
    given: frozenset[str] = frozenset()

    def discovery(self) -> Discovery:
        """A `Discovery` as configured, that leaves signals alone."""
        return Discovery(self.backend, balancer=self.balancer, handle_signals=False)

    def announcer(
        self, discovery: Discovery, *, environ: Mapping[str, str], serves: Callable[[], bool]
    ) -> Announcer | None:
        """What registers the application once it serves; None if it is not to be registered.

        Raises:
            InvalidValue: a value cannot be right.
        """
        if not self.service:
            return None
        options = cast("RegistrationOptions", {name: getattr(self, name) for name in self.given & _OPTIONS})
        advertisement = Advertisement(self.service, port=self.port or None, environ=environ, **options)
        return Announcer(discovery, advertisement, drain_time=self.drain_time, serves=serves)


def configuration(values: Mapping[str, object], *, spelled: Callable[[str], str]) -> ServingConfiguration:
    """The configuration in ``values``; ``spelled`` says how a key is written where the values come from.

    Raises:
        SettingsError: a key is unknown, or a value is of the wrong kind.
    """
    known = frozenset(ServingConfiguration.__struct_fields__) - {"given"}
    for key in values:
        if key not in known:
            raise SettingsError(f"{spelled(key)} is not a setting{did_you_mean(spelled(key), map(spelled, known))}")
    for key, value in values.items():
        try:
            msgspec.convert({key: value}, ServingConfiguration)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{spelled(key)} is {value!r}: {str(error).partition(' - at ')[0]}") from None
    converted = msgspec.convert(dict(values), ServingConfiguration)
    if converted.drain_time is not None and not converted.drain_time >= 0:
        raise SettingsError(f"{spelled('drain_time')} is {converted.drain_time}; it must not be below 0")
    return msgspec.structs.replace(converted, given=frozenset(values))
