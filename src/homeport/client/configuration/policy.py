"""How what a file defines is registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from homeport.model import Service

DEFAULT_TTL = 15.0


class CheckDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What the health checks of a definition take when they do not say; seconds, None is the check's own default.

    ``timeouts`` is by kind of check and comes before ``timeout``; ``critical_interval`` and ``standard_interval`` are
    by class of service and come before ``interval``. With ``enabled`` false no checks are registered, only the lease.
    With ``several`` false a definition may have one check at most.
    """

    enabled: bool = True
    several: bool = True
    interval: float | None = None
    critical_interval: float | None = None
    standard_interval: float | None = None
    timeout: float | None = None
    timeouts: Mapping[str, float] = msgspec.field(default_factory=dict)
    deregister_after: float | None = None

    def fields(self, kind: str, class_: str) -> dict[str, Any]:
        """The fields for a check of that kind of a service of that class."""
        by_class = self.critical_interval if class_ == "critical" else self.standard_interval
        paced = kind in ("http", "tcp", "grpc", "script")
        values = {
            "interval": (by_class or self.interval) if paced else None,
            "timeout": self.timeouts.get(kind, self.timeout) if paced else None,
            "deregister_after": self.deregister_after,
        }
        return {name: value for name, value in values.items() if value is not None}


class RegistrationPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When, how stubbornly and with what in common services are registered; ``retry_delay`` and ``ttl`` are seconds.

    ``on_startup`` registers what the file defines when a program starts. A registration that fails because the backend
    cannot be reached is tried ``retry_attempts`` times more. Without ``deregister_on_exit`` a program that ends leaves
    its registrations to their leases, which are of ``ttl``. ``tags`` and ``meta`` are added to every service that does
    not have them.
    """

    on_startup: bool = True
    deregister_on_exit: bool = True
    retry_attempts: int = 3
    retry_delay: float = 5.0
    ttl: float = DEFAULT_TTL
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = msgspec.field(default_factory=dict)
    checks: CheckDefaults = CheckDefaults()

    def applied(self, service: Service) -> Service:
        """The service with the common tags and metadata; its own come first."""
        own = {"version": service.version, "environment": service.environment}
        common = {key: value for key, value in self.meta.items() if not own.get(key)}
        return msgspec.structs.replace(
            service,
            tags=tuple(dict.fromkeys((*service.tags, *self.tags))),
            meta={**common, **service.meta},
        )
