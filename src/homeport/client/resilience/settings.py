"""How often, how fast and for how long a call is tried."""

from __future__ import annotations

import msgspec

from homeport.errors import SettingsError


class RetrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a call that failed is made again, on another instance; durations are seconds.

    A call is made ``attempts`` times at most (1: no retries), and only if it is idempotent or was never sent. The
    statuses in ``statuses`` are worth a retry as an error is. All calls of one service share a budget: retries may be
    ``budget_share`` of the calls, beside ``budget_per_second`` that are always allowed, so that retries never multiply
    an overload. Before an instance that was tried already is tried again there is a pause, random between 0 and
    ``first_pause`` doubled with each attempt.

    With ``hedge_after`` an idempotent call that has no answer after so long is made a second time elsewhere, out of the
    same budget, and the first answer counts (None: never). ``deadline`` bounds all attempts together (None: nothing
    but what the caller's own library bounds).
    """

    attempts: int = 3
    statuses: tuple[int, ...] = (502, 503, 504)
    budget_share: float = 0.2
    budget_per_second: float = 10.0
    first_pause: float = 0.025
    hedge_after: float | None = None
    deadline: float | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise SettingsError(f"client.retry.attempts is {self.attempts}; it must be 1 or more")
        for name in ("budget_share", "budget_per_second", "first_pause"):
            if getattr(self, name) < 0:
                raise SettingsError(f"client.retry.{name} is {getattr(self, name)}; it must not be below 0")
        for name in ("hedge_after", "deadline"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"client.retry.{name} is {value}; it must be above 0")


class CircuitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When calls of a service as a whole are refused at once, because nearly all fail; durations are seconds.

    When of at least ``minimum_calls`` calls within ``window`` a share of ``failure_share`` failed, the circuit opens:
    every call fails at once with `CircuitOpen` for ``open_time``. Then one call at a time is let through (half open)
    until ``closing_successes`` have succeeded in a row; a failure opens it again.
    """

    enabled: bool = True
    window: float = 10.0
    minimum_calls: int = 50
    failure_share: float = 0.95
    open_time: float = 5.0
    closing_successes: int = 3

    def __post_init__(self) -> None:
        for name in ("window", "open_time", "minimum_calls", "closing_successes"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"client.circuit.{name} is {getattr(self, name)}; it must be above 0")
        if not 0 < self.failure_share <= 1:
            raise SettingsError(f"client.circuit.failure_share is {self.failure_share}; it must lie between 0 and 1")
