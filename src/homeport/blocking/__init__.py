"""Homeport for programs without an event loop: the same names, the same parameters, and nothing to await.

>>> from homeport.blocking import Discovery
>>> def main() -> None:
...     with Discovery("homeport://127.0.0.1:8500") as discovery:
...         with discovery.register("api", port=8080, tags=["production"]):
...             instance = discovery.resolve("billing")

It offers every name of `homeport`, so that only the import line differs. What a context manager begins in the
asynchronous API has begun here when the method returns; ``with`` ends it.

Importing this package loads neither an HTTP client nor an event loop; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module

import homeport

TYPE_CHECKING = False  # type checkers take it for true; importing typing would cost most of the import of this package
if TYPE_CHECKING:
    from homeport import (
        AliasCheck,
        BackendError,
        BackendUnavailable,
        CacheSettings,
        CacheStatistics,
        Call,
        CheckState,
        CircuitOpen,
        CircuitSettings,
        ClientSettings,
        Conflict,
        DeadlineExceeded,
        EjectionSettings,
        Event,
        FallbackSettings,
        GRPCCheck,
        HealthCheck,
        HomeportError,
        HTTPCheck,
        Instance,
        InvalidAnswer,
        InvalidValue,
        LeaseLost,
        MissingExtra,
        NoInstances,
        NotReady,
        PermissionDenied,
        Query,
        Refused,
        RetrySettings,
        ScriptCheck,
        Service,
        SettingsError,
        Snapshot,
        Standing,
        Status,
        TCPCheck,
        TTLCheck,
        Unsupported,
        __version__,
        diff,
        open_backend,
    )

    from .configured_discovery import ConfiguredDiscovery, configured
    from .discovery import Discovery
    from .registration import Registration
    from .watch import Watch

__all__ = [
    "AliasCheck",
    "BackendError",
    "BackendUnavailable",
    "CacheSettings",
    "CacheStatistics",
    "Call",
    "CheckState",
    "CircuitOpen",
    "CircuitSettings",
    "ClientSettings",
    "ConfiguredDiscovery",
    "Conflict",
    "DeadlineExceeded",
    "Discovery",
    "EjectionSettings",
    "Event",
    "FallbackSettings",
    "GRPCCheck",
    "HTTPCheck",
    "HealthCheck",
    "HomeportError",
    "Instance",
    "InvalidAnswer",
    "InvalidValue",
    "LeaseLost",
    "MissingExtra",
    "NoInstances",
    "NotReady",
    "PermissionDenied",
    "Query",
    "Refused",
    "Registration",
    "RetrySettings",
    "ScriptCheck",
    "Service",
    "SettingsError",
    "Snapshot",
    "Standing",
    "Status",
    "TCPCheck",
    "TTLCheck",
    "Unsupported",
    "Watch",
    "__version__",
    "configured",
    "diff",
    "open_backend",
]

_OWN = {
    "ConfiguredDiscovery": "configured_discovery",
    "Discovery": "discovery",
    "Registration": "registration",
    "Watch": "watch",
    "configured": "configured_discovery",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    own = _OWN.get(name)
    value: object = getattr(import_module(f"{__name__}.{own}") if own else homeport, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
