"""Routes that are the community edition's: what belongs to Consul Enterprise is refused before anything else."""

from __future__ import annotations

from collections.abc import Sequence

from homeport.wire.http import Handler, Request, Response, Routes

from .parameters import refuse_enterprise


class CommunityRoutes(Routes):
    """A table of routes whose handlers never see a namespace or a partition."""

    def add(self, methods: Sequence[str], path: str, handler: Handler) -> None:
        """As `Routes.add`."""
        super().add(methods, path, _refusing(handler))


def _refusing(handler: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        refuse_enterprise(request)
        return await handler(request)

    return handle
