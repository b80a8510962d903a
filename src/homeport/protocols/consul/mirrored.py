"""Writes on what is mirrored from elsewhere: refused, with the name of the source.

An agent's API knows only the agent's own node, so an instance or check that is mirrored is unknown to it (404). Saying
where it can be changed is more use.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeport.registry.mirroring import mirrored_refusal, origin_of
from homeport.registry.registry import Registry
from homeport.registry.store.transaction import Refusal
from homeport.wire.http import Handler, HTTPError, Request, Response, Routes

_READING = ("GET", "HEAD", "OPTIONS")
_UNKNOWN = 404


class GuardedRoutes(Routes):
    """A table of routes whose writing handlers say of an unknown id in the path where it is mirrored from, if it is."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def add(self, methods: Sequence[str], path: str, handler: Handler) -> None:
        """As `Routes.add`."""
        for method in methods:
            super().add([method], path, handler if method in _READING else self._guarded(handler))

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except (Refusal, HTTPError) as error:
                origin = origin_of(self._registry.catalog, request.rest) if error.status == _UNKNOWN else None
                if origin is None:
                    raise
                raise mirrored_refusal(request.rest, origin) from None

        return guarded
