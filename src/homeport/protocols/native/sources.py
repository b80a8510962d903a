"""Sources: what is mirrored from where, and how that fares."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from homeport.registry.source_status import SourceStatus, Statuses
from homeport.wire import golang
from homeport.wire.consul import go_name
from homeport.wire.http import Request, Response, Routes


class HeldRow(msgspec.Struct, frozen=True, kw_only=True, rename=go_name):
    """Instances of a service that the source has no more, kept until a Unix time."""

    service: str
    instances: int
    until: float


class ConflictRow(msgspec.Struct, frozen=True, kw_only=True, rename=go_name):
    """A service that is not mirrored, and the node that has one of that name."""

    service: str
    node: str


class BehindRow(msgspec.Struct, frozen=True, kw_only=True, rename=go_name):
    """A source of a source that is not confirmed there."""

    node: str
    reason: str


class SourceRow(msgspec.Struct, frozen=True, kw_only=True, rename=go_name):
    """A source; times are Unix seconds, null where there is none.

    The reason of a source that is connected names something that cannot be mirrored.
    """

    node: str
    url: str = msgspec.field(name="URL")
    owner: str
    state: str
    stale_since: float | None
    reason: str
    services: int
    instances: int
    looped: int
    held: Sequence[HeldRow]
    conflicts: Sequence[ConflictRow]
    unconfirmed: Sequence[BehindRow]
    last_change: float | None


class Sources:
    """``/v1/homeport/sources``."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses

    def routes(self) -> Routes:
        """The endpoint."""
        routes = Routes()
        routes.add(["GET"], "/v1/homeport/sources", self.listing)
        return routes

    async def listing(self, _: Request) -> Response:
        """``GET /v1/homeport/sources``: every source, in the order in which they are configured."""
        return Response(body=golang.encode([_row(status) for status in self._statuses()]))


def _row(status: SourceStatus) -> SourceRow:
    return SourceRow(
        node=status.node, url=status.url, owner=status.owner, state=status.state, stale_since=status.stale_since,
        reason=status.reason, services=status.services, instances=status.instances, looped=status.looped,
        held=[HeldRow(service=one.service, instances=one.instances, until=one.until) for one in status.held],
        conflicts=[ConflictRow(service=one.service, node=one.node) for one in status.conflicts],
        unconfirmed=[BehindRow(node=one.node, reason=one.reason) for one in status.unconfirmed],
        last_change=status.last_change,
    )  # fmt: skip
