"""How patient, how eager and how big the client is."""

from __future__ import annotations

import msgspec

from homeport.balancing.ejection import EjectionSettings
from homeport.errors import SettingsError

from .resilience.settings import CircuitSettings, RetrySettings


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `discover` and `resolve` keep, and how backends are followed; durations are seconds.

    With ``watch`` a service is followed, and an answer is as fresh as the last change. Without it, or where a backend
    cannot watch, the service is asked for again every ``refresh_interval``. With ``enabled`` false nothing is kept:
    every `discover` and `resolve` asks the backend. What a backend that cannot be watched answered counts as fresh for
    ``ttl``, and that a service has no instances for ``negative_ttl``; a question after that asks again at once.
    """

    enabled: bool = True
    watch: bool = True
    refresh_interval: float = 10.0
    ttl: float = 10.0
    negative_ttl: float = 2.0

    def __post_init__(self) -> None:
        for name in ("refresh_interval", "ttl", "negative_ttl"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"client.cache.{name} is {getattr(self, name)}; it must be above 0")


class FallbackSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When one of several backends answers for another; durations are seconds.

    The next backend takes over when the one before it was out of reach for ``takeover_after``, but what is known from
    it is used for up to ``stale_grace`` rather than a fallback's answer; it is handed back when the former has been
    fresh again for ``handback_after``.
    """

    takeover_after: float = 2.0
    stale_grace: float = 10.0
    handback_after: float = 30.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) >= 0:
                raise SettingsError(f"client.fallback.{name} is {getattr(self, name)}; it must not be below 0")


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a `Discovery`; all durations are seconds.

    ``first_retry_interval`` and ``longest_retry_interval`` bound the pause after a failure, which is random below a
    limit that doubles with each failure. A watch that hears nothing for ``silence_timeout``, not even that nothing
    changed, is begun anew. ``reset_grace`` is how long instances are kept that vanished because the registry lost its
    data. The watch behind ``discover``, ``resolve`` and ``pick`` ends when nobody used it for ``idle_timeout``; there
    are ``implicit_watches`` of them at most. ``overflow_interval`` is how often a service is asked for that is followed
    beyond the number of watches that the backend bears. ``renew_interval`` is how often a registration is renewed;
    without it, and where it is not below the ttl, that is a third of the ttl. ``deregister_timeout`` bounds the leaving
    of a program, ``settle_timeout`` the wait for one's own write to be seen.
    """

    first_retry_interval: float = 0.2
    longest_retry_interval: float = 2.0
    silence_timeout: float = 90.0
    reset_grace: float = 60.0
    idle_timeout: float = 300.0
    implicit_watches: int = 1000
    overflow_interval: float = 2.0
    renew_interval: float | None = None
    deregister_timeout: float = 3.0
    settle_timeout: float = 2.0
    cache: CacheSettings = CacheSettings()
    fallback: FallbackSettings = FallbackSettings()
    ejection: EjectionSettings = EjectionSettings()
    circuit: CircuitSettings = CircuitSettings()
    retry: RetrySettings = RetrySettings()

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, int | float) and not value > 0:
                raise SettingsError(f"client.{name} is {value}; it must be above 0")
