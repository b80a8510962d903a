"""TTL checks: critical when nobody has reported for too long. Pure."""

from __future__ import annotations

EXPIRED = "TTL expired"


def expired_output(last: str) -> str:
    """What stands as output when a TTL has run out, as Consul words it."""
    if not last:
        return EXPIRED
    return last if last.startswith(EXPIRED) else f"{EXPIRED} (last output before timeout follows): {last}"
