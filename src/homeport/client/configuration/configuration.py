"""The settings file and the environment, as one answer: which backend, which client, what to register and how."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from homeport.balancing.balancer import open_balancer
from homeport.errors import SettingsError
from homeport.model import frozen_meta
from homeport.settings import SettingsFile, find_file, load, read_file
from homeport.settings.shapes import Place, convert, struct_fields

from ..definitions.definition import Definition
from ..definitions.files import definitions_in
from ..settings import ClientSettings
from .backend_choice import BackendChoice, choose_backend
from .backend_sections import BackendSections, scheme_of, section
from .consul_section import ConsulSection
from .high_availability import SECTION as HIGH_AVAILABILITY
from .high_availability import HighAvailability
from .policy import CheckDefaults, RegistrationPolicy

CLIENT_VARIABLES = {"balancer": "DISCOVERY_BALANCER", "cache.ttl": "DISCOVERY_CACHE_TTL"}
"""Variables beside those that every setting of the client has (``HOMEPORT_CLIENT_…``)."""
SERVICE_NAME = "DISCOVERY_SERVICE_NAME"
HEALTH_CHECK = "DISCOVERY_HEALTH_CHECK"


class ClientSection(ClientSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section ``client``: the settings of a `Discovery`, and its balancer."""

    balancer: str = "round_robin"

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            open_balancer(self.balancer)
        except SettingsError as error:
            raise SettingsError(f"client.balancer: {error}") from None


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was said.

    ``source`` is the name of the settings file, "" when there is none. ``environ`` is the environment, completed by
    what the file says in the words of variables; ``backend`` is to be opened with it. ``service_name`` is the name of a
    service that gives none.
    """

    source: str = ""
    backend: BackendChoice = None
    environ: Mapping[str, str] = msgspec.field(default_factory=dict)
    client: ClientSection = ClientSection()
    policy: RegistrationPolicy = RegistrationPolicy()
    definitions: tuple[Definition, ...] = ()
    service_name: str = ""

    def __repr__(self) -> str:
        return f"<Configuration of {self.source or 'the environment'}>"  # the environment holds secrets


def read_configuration(
    config: str | None = None,
    *,
    backend: BackendChoice = None,
    settings: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Configuration:
    """What the arguments, the environment and the settings file say; each value from the first of them that has it.

    ``config`` names the file; else it is that of `find_file`. ``settings`` are settings of the client by their dotted
    names, such as ``{"cache.ttl": 5}``.

    Raises:
        SettingsError: something cannot be right; the message names the place.
    """
    surroundings = os.environ if environ is None else environ
    path = find_file(config, surroundings)
    file = SettingsFile(name="") if path is None else read_file(path)
    return configuration_of(file, backend=backend, settings=settings, environ=surroundings)


def configuration_of(
    file: SettingsFile,
    *,
    backend: BackendChoice = None,
    settings: Mapping[str, object] | None = None,
    environ: Mapping[str, str],
) -> Configuration:
    """See `read_configuration`, for a file that was read.

    Raises:
        SettingsError: something cannot be right; the message names the place.
    """
    sections = BackendSections(file)
    consul, high_availability = sections.consul, section(file, HIGH_AVAILABILITY, HighAvailability)
    chosen, completed = choose_backend(backend, file=file, environ=environ)
    scheme = scheme_of(chosen[0] if chosen and isinstance(chosen, Sequence) and not isinstance(chosen, str) else chosen)
    implied = {**high_availability.implied(), **consul.implied()}
    policy = _policy(file.name, consul, high_availability, environ)
    if scheme == "etcd":
        implied |= sections.etcd.implied()
        policy = msgspec.structs.replace(policy, ttl=sections.etcd.service_registration.ttl or policy.ttl)
    elif scheme == "dns":
        implied |= sections.dns.implied()
    definitions = tuple(definitions_in(file.content, file.name))
    service_name = environ.get(SERVICE_NAME, "").strip()
    if service_name and not definitions and _asks_to_register(consul, high_availability):
        definitions = (Definition({"name": service_name, "port": "{{ .port }}"}, Place("", SERVICE_NAME)),)
    if high_availability.discovery.failover_mechanisms is False and _is_several(chosen):
        raise SettingsError(
            f"{file.name}: {HIGH_AVAILABILITY}.discovery.failover_mechanisms is false, but there are several backends, "
            "each the fallback of those before it; name one, or set it to true"
        )
    return Configuration(
        source=file.name,
        backend=chosen,
        environ=completed,
        client=load(
            ClientSection, prefix="client", arguments=settings, environ=environ, file=file,
            other_variables=CLIENT_VARIABLES, implied=implied,
        ),
        policy=policy,
        definitions=definitions,
        service_name=service_name,
    )  # fmt: skip


def _is_several(backend: BackendChoice) -> bool:
    return not isinstance(backend, str) and isinstance(backend, Sequence) and len(backend) > 1


def _policy(
    source: str, consul: ConsulSection, high_availability: HighAvailability, environ: Mapping[str, str]
) -> RegistrationPolicy:
    own, habits = consul.service_registration, high_availability.service_registration
    said = {
        "on_startup": _one_answer(
            source, (own.auto_register, "consul.service_registration.auto_register"),
            (habits.register_on_startup, "high_availability.service_registration.register_on_startup"),
        ),
        "deregister_on_exit": _one_answer(
            source, (own.deregister_on_exit, "consul.service_registration.deregister_on_exit"),
            (habits.deregister_on_shutdown, "high_availability.service_registration.deregister_on_shutdown"),
        ),
        "retry_attempts": habits.retry_attempts,
        "retry_delay": habits.retry_delay,
    }  # fmt: skip
    policy = RegistrationPolicy(
        tags=own.tags, meta=frozen_meta(own.meta), checks=_check_defaults(consul, high_availability, environ)
    )
    return msgspec.structs.replace(policy, **{name: value for name, value in said.items() if value is not None})


def _asks_to_register(consul: ConsulSection, high_availability: HighAvailability) -> bool:
    """Whether a key says so; without one only definitions do."""
    keys = (consul.service_registration.auto_register, high_availability.service_registration.register_on_startup)
    return any(keys)


def _one_answer(source: str, *answers: tuple[bool | None, str]) -> bool | None:
    """The one answer to a question that two keys ask.

    Raises:
        SettingsError: they contradict each other.
    """
    given = [(value, key) for value, key in answers if value is not None]
    if len({value for value, _ in given}) > 1:
        raise SettingsError(f"{source}: {given[0][1]} and {given[1][1]} contradict each other; keep one of them")
    return given[0][0] if given else None


def _check_defaults(
    consul: ConsulSection, high_availability: HighAvailability, environ: Mapping[str, str]
) -> CheckDefaults:
    general, habits = consul.health_checks, high_availability.health_checks
    by_kind = {
        "http": habits.timeout_configuration.http_checks,
        "tcp": habits.timeout_configuration.tcp_checks,
        "script": habits.timeout_configuration.script_checks,
    }
    enabled: Any = environ.get(HEALTH_CHECK, "").strip()
    if enabled:
        enabled = convert(enabled, _TRUTH, Place("", HEALTH_CHECK, textual=True))
    else:
        enabled = general.enabled is not False
    return CheckDefaults(
        enabled=enabled,
        several=habits.multiple_checks,
        interval=general.interval,
        critical_interval=habits.check_intervals.critical_services,
        standard_interval=habits.check_intervals.standard_services,
        timeout=general.timeout,
        timeouts={kind: seconds for kind, seconds in by_kind.items() if seconds is not None},
        deregister_after=general.deregister_after,
    )


_TRUTH = next(field.type for field in struct_fields(CheckDefaults) if field.name == "enabled")
