"""Service discovery for Python: register a service, find the instances of another, and call one of them.

>>> from homeport import Discovery, HTTPCheck
>>> async def main() -> None:
...     async with Discovery("homeport://127.0.0.1:8500") as discovery:
...         async with discovery.register("api", port=8080, tags=["production"]):
...             instance = await discovery.resolve("billing")

Importing this package loads neither an HTTP client nor an event loop; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true; importing typing would cost most of the import of this package
if TYPE_CHECKING:
    from .backends.opening import open_backend
    from .balancing.ejection import EjectionSettings
    from .client.cache import CacheStatistics
    from .client.call import Call
    from .client.configured import (
        ConfiguredDiscovery,
        configured,
    )
    from .client.discovery import Discovery
    from .client.keeper import Standing
    from .client.registration import Registration
    from .client.resilience.settings import (
        CircuitSettings,
        RetrySettings,
    )
    from .client.settings import (
        CacheSettings,
        ClientSettings,
        FallbackSettings,
    )
    from .client.watch import Watch
    from .errors import (
        BackendError,
        BackendUnavailable,
        CircuitOpen,
        Conflict,
        DeadlineExceeded,
        HomeportError,
        InvalidAnswer,
        InvalidValue,
        LeaseLost,
        MissingExtra,
        NoInstances,
        NotReady,
        PermissionDenied,
        Refused,
        SettingsError,
        Unsupported,
    )
    from .model import (
        AliasCheck,
        CheckState,
        Event,
        GRPCCheck,
        HealthCheck,
        HTTPCheck,
        Instance,
        Query,
        ScriptCheck,
        Service,
        Snapshot,
        Status,
        TCPCheck,
        TTLCheck,
        diff,
    )

__version__ = "0.1.0"

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

_ELSEWHERE = {
    "CacheSettings": "client.settings",
    "CacheStatistics": "client.cache",
    "Call": "client.call",
    "CircuitSettings": "client.resilience.settings",
    "ClientSettings": "client.settings",
    "ConfiguredDiscovery": "client.configured",
    "Discovery": "client.discovery",
    "EjectionSettings": "balancing.ejection",
    "FallbackSettings": "client.settings",
    "Registration": "client.registration",
    "RetrySettings": "client.resilience.settings",
    "Standing": "client.keeper",
    "Watch": "client.watch",
    "configured": "client.configured",
    "open_backend": "backends.opening",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _ELSEWHERE:
        value: object = getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
    else:
        errors = import_module(f"{__name__}.errors")
        value = getattr(errors if hasattr(errors, name) else import_module(f"{__name__}.model"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
