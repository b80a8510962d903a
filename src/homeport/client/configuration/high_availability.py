"""The section ``high_availability`` of the settings file: habits that other sections spell out one by one."""

from __future__ import annotations

import msgspec

from homeport.errors import SettingsError

SECTION = "high_availability"


def _above_0(values: msgspec.Struct, key: str) -> None:
    for name in values.__struct_fields__:
        value = getattr(values, name)
        if value is not None and not value > 0:
            raise SettingsError(f"{SECTION}.health_checks.{key}.{name} is {value}; it must be above 0")


class ServiceRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """How stubbornly definitions are registered; see `RegistrationPolicy`. ``retry_delay`` is seconds."""

    retry_attempts: int | None = None
    retry_delay: float | None = None
    register_on_startup: bool | None = None
    deregister_on_shutdown: bool | None = None

    def __post_init__(self) -> None:
        for name in ("retry_attempts", "retry_delay"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise SettingsError(f"{SECTION}.service_registration.{name} is {value}; it must not be below 0")


class CheckIntervals(msgspec.Struct, frozen=True, kw_only=True):
    """How often checks run that do not say, by the class of their service; seconds."""

    critical_services: float | None = None
    standard_services: float | None = None

    def __post_init__(self) -> None:
        _above_0(self, "check_intervals")


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long checks may take that do not say, by their kind; seconds."""

    http_checks: float | None = None
    tcp_checks: float | None = None
    script_checks: float | None = None

    def __post_init__(self) -> None:
        _above_0(self, "timeout_configuration")


class HealthChecks(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults of checks; without ``multiple_checks`` a definition may have one at most."""

    multiple_checks: bool = True
    check_intervals: CheckIntervals = CheckIntervals()
    timeout_configuration: Timeouts = Timeouts()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """How calls are spread and protected."""

    cache_configuration: bool | None = None
    failover_mechanisms: bool | None = None
    load_balancing: str | None = None
    circuit_breakers: bool | None = None


class HighAvailability(msgspec.Struct, frozen=True, kw_only=True):
    """The section as a whole."""

    service_registration: ServiceRegistration = ServiceRegistration()
    health_checks: HealthChecks = HealthChecks()
    discovery: Finding = Finding()

    def implied(self) -> dict[str, tuple[object, str]]:
        """What it says about settings of the client, each with the key here."""
        finding = self.discovery
        said = {
            "cache.enabled": (finding.cache_configuration, "cache_configuration"),
            "balancer": (finding.load_balancing, "load_balancing"),
            "circuit.enabled": (finding.circuit_breakers, "circuit_breakers"),
            "ejection.enabled": (finding.circuit_breakers, "circuit_breakers"),
            "retry.attempts": (1 if finding.failover_mechanisms is False else None, "failover_mechanisms"),
        }
        return {
            setting: (value, f"{SECTION}.discovery.{key}")
            for setting, (value, key) in said.items()
            if value is not None
        }

    def implied_for_server(self) -> dict[str, tuple[object, str]]:
        """What it says about the checks that the registry takes from a file, each with the key here."""
        intervals, timeouts = self.health_checks.check_intervals, self.health_checks.timeout_configuration
        said = {
            "critical_interval": (intervals.critical_services, "check_intervals.critical_services"),
            "standard_interval": (intervals.standard_services, "check_intervals.standard_services"),
            "http_timeout": (timeouts.http_checks, "timeout_configuration.http_checks"),
            "tcp_timeout": (timeouts.tcp_checks, "timeout_configuration.tcp_checks"),
            "script_timeout": (timeouts.script_checks, "timeout_configuration.script_checks"),
        }
        return {
            f"health.file.{setting}": (value, f"{SECTION}.health_checks.{key}")
            for setting, (value, key) in said.items()
            if value is not None
        }
