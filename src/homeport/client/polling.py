"""When a service that is not watched is asked for again: pure, given the times."""

from __future__ import annotations

from .settings import CacheSettings


def next_poll(asked_at: float, settings: CacheSettings, *, chance: float) -> float:
    """When to ask again after asking at ``asked_at``: a ``refresh_interval`` later, a tenth earlier or not.

    ``chance`` is a random number between 0 and 1; it keeps many clients from asking in step.
    """
    return asked_at + settings.refresh_interval * (0.9 + 0.1 * chance)


def fresh_until(asked_at: float, settings: CacheSettings, *, empty: bool) -> float:
    """Until when an answer to what was asked at ``asked_at`` needs no asking again, should somebody want to know."""
    return asked_at + (settings.negative_ttl if empty else settings.ttl)
