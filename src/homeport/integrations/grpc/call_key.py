"""The key of a call, for balancers that keep calls together."""

from __future__ import annotations

from collections.abc import Iterable


def key_in(metadata: Iterable[tuple[str, str | bytes]] | None, name: str | None) -> str | None:
    """The first value of the metadata of that name, as the key of a call; None if there is none."""
    if name is None or metadata is None:
        return None
    value = next((value for key, value in metadata if key == name), None)
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
