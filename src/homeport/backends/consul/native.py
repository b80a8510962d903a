"""The shapes of what Homeport's registry offers beyond Consul's API, under ``/v1/homeport/``; pure."""

from __future__ import annotations

import msgspec

from homeport.model import CheckState
from homeport.spi import CheckTransition, ServiceSummary

from .mapping import status_of


class Capabilities(msgspec.Struct, frozen=True, rename="pascal"):
    """The answer of ``capabilities``: who answers, and what it offers."""

    product: str
    version: str = ""
    store: str = ""
    node: str = ""
    datacenter: str = ""
    features: tuple[str, ...] = ()


PLAIN_CONSUL = Capabilities(product="consul")


class ServiceRow(msgspec.Struct, frozen=True, rename="pascal"):
    """A row of ``services``."""

    name: str
    tags: tuple[str, ...] | None = ()
    instances: int = 0
    passing: int = 0
    warning: int = 0
    critical: int = 0

    def summary(self) -> ServiceSummary:
        """The row in the model's words."""
        return ServiceSummary(name=self.name, tags=self.tags or (), instances=self.instances, passing=self.passing)


class CheckRow(msgspec.Struct, frozen=True, rename={"service_id": "ServiceID", "check_id": "CheckID"}):
    """A row of ``checks``, and the answer of ``check/run``."""

    check_id: str
    status: str = msgspec.field(name="Status")
    service: str = msgspec.field(name="Service", default="")
    service_id: str = ""
    name: str = msgspec.field(name="Name", default="")
    kind: str = msgspec.field(name="Type", default="")
    output: str = msgspec.field(name="Output", default="")
    notes: str = msgspec.field(name="Notes", default="")
    checked_at: float | None = msgspec.field(name="CheckedAt", default=None)
    flapping: bool = msgspec.field(name="Flapping", default=False)

    def state(self) -> CheckState:
        """The row in the model's words."""
        return CheckState(
            id=self.check_id,
            name=self.name,
            status=status_of(self.check_id, self.status),
            output=self.output,
            notes=self.notes,
            kind=self.kind,
            checked_at=self.checked_at,
            flapping=self.flapping,
        )


class TransitionRow(msgspec.Struct, frozen=True, rename={"service_id": "ServiceID", "check_id": "CheckID"}):
    """A row of ``check/history``."""

    service_id: str
    check_id: str
    at: float = msgspec.field(name="At")
    status: str = msgspec.field(name="Status")
    output: str = msgspec.field(name="Output", default="")

    def transition(self) -> CheckTransition:
        """The row in the model's words."""
        return CheckTransition(
            instance=self.service_id,
            check=self.check_id,
            at=self.at,
            status=status_of(self.check_id, self.status),
            output=self.output,
        )


class HeldRow(msgspec.Struct, frozen=True, rename="pascal"):
    """Instances of a service that are gone at a source and kept until a Unix time."""

    service: str
    instances: int
    until: float


class ConflictRow(msgspec.Struct, frozen=True, rename="pascal"):
    """A service that is not mirrored, and the node that has one of that name."""

    service: str
    node: str


class BehindRow(msgspec.Struct, frozen=True, rename="pascal"):
    """A source of a source that is not confirmed there: its node there, and what that says."""

    node: str
    reason: str


class SourceRow(msgspec.Struct, frozen=True, rename="pascal"):
    """A row of ``sources``; times are Unix seconds."""

    node: str
    url: str = msgspec.field(name="URL")
    state: str
    owner: str = ""
    stale_since: float | None = None
    reason: str = ""
    services: int = 0
    instances: int = 0
    looped: int = 0
    held: tuple[HeldRow, ...] = ()
    conflicts: tuple[ConflictRow, ...] = ()
    unconfirmed: tuple[BehindRow, ...] = ()
    last_change: float | None = None
