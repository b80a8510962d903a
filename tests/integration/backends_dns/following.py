"""Impatient backends, and what their watches deliver."""

from collections.abc import Callable, Iterable

from homeport import ClientSettings, Discovery, Instance, Snapshot

EAGER = ClientSettings(first_retry_interval=0.02, longest_retry_interval=0.1)
IMPATIENT = {"floor": 0.05, "negative_floor": 0.05, "timeout": 30}
PATIENT = 90
"""So long a time-out that a slow machine sends no question twice, for tests that count questions."""


def url(server: str, domain: str = "services.test", /, **parameters: object) -> str:
    """A URL of a backend that asks again at once."""
    query = "&".join(f"{name}={value}" for name, value in {**IMPATIENT, **parameters}.items())
    return f"dns://{server}/{domain}?{query}"


def opened(backend: str) -> Discovery:
    return Discovery(backend, settings=EAGER, environ={}, handle_signals=False)


def endpoints(instances: Iterable[Instance]) -> list[str]:
    return sorted(one.endpoint for one in instances)


def has(*wanted: str) -> Callable[[Snapshot], bool]:
    return lambda snapshot: endpoints(snapshot) == sorted(wanted)
