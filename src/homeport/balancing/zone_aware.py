"""Near instances first, farther ones when the near ones cannot bear it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from homeport.errors import SettingsError
from homeport.model import Instance, Snapshot

from .balancer import Balancer, Picker, open_balancer
from .loads import Loads
from .options import Options
from .parts import Part, divided
from .weights import weighted

_SALT = 0xD6E8FEB86659FD93


class ZoneAware:
    """Calls stay in the own zone, then in the own region, as far as there is capacity; another policy chooses there.

    The rule supposes that callers are spread evenly over the zones, so that a zone should bear the calls of one zone's
    callers: its fair share is the capacity of all zones (the weights of the instances that can be called now) divided
    by their number. While the own zone has at least its fair share divided by ``headroom`` (1.4: instances bear 40 %
    more than usual), all calls stay in it; with less, only a proportional part stays, and the rest overflows, first to
    the own region by the same rule, then to everybody else. Instances that fail their checks or are ejected cannot be
    called, so a zone that loses instances overflows gradually, and one without any entirely.

    A zone belongs to its region: with a ``region`` of one's own, instances of a zone of that name elsewhere are far.
    Instances that name no zone count as one zone together. Without a ``zone`` the region alone counts.
    """

    def __init__(
        self,
        *,
        zone: str = "",
        region: str = "",
        headroom: float = 1.4,
        inner: str | Balancer = "round_robin",
    ) -> None:
        if not zone and not region:
            raise SettingsError(
                "the balancer zone_aware does not know where this program runs; give zone= or set HOMEPORT_ZONE"
            )
        if not 0 < headroom < inf:
            raise SettingsError(f"headroom of the balancer zone_aware is {headroom}; it must be above 0")
        self._zone = zone
        self._region = region
        self._headroom = headroom
        self._inner = open_balancer(inner)

    @property
    def needs_outcomes(self) -> bool:
        """Whether the inner policy does."""
        return self._inner.needs_outcomes

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
        """A picker that divides the instances of ``snapshot`` by distance."""
        instances, weights = weighted(snapshot.instances)
        near: list[Instance] = []
        middle: list[Instance] = []
        far: list[Instance] = []
        for instance in instances:
            same_region = bool(self._region) and instance.region == self._region
            if self._zone and instance.zone == self._zone and (same_region or not self._region):
                near.append(instance)
            elif same_region:
                middle.append(instance)
            else:
                far.append(instance)
        zones = len({(instance.region if self._region else "", instance.zone) for instance in instances})
        regions = len({instance.region for instance in instances})
        total = sum(weights)
        in_zone = self._kept(near, zones, total)
        in_region = max(in_zone, self._kept([*near, *middle], regions, total)) if middle else in_zone
        parts = [
            Part("zone_aware near", tuple(near), in_zone),
            Part("zone_aware region", tuple(middle), in_region - in_zone),
            Part("zone_aware far", tuple(far), 1.0 - in_region),
        ]
        return divided(parts, self._inner, snapshot, loads, salt=_SALT)

    def _kept(self, instances: Sequence[Instance], places: int, total: int) -> float:
        """The share of the calls of one of so many places that these instances bear."""
        capacity = sum(weighted(instances)[1])
        return min(1.0, self._headroom * capacity * places / total) if total else 0.0


def configured(options: Options) -> ZoneAware:
    """The policy; its options are ``zone``, ``region``, ``headroom`` and ``inner``.

    The first two may come from ``HOMEPORT_ZONE`` and ``HOMEPORT_REGION``.
    """
    return ZoneAware(
        zone=options.text("zone") or options.environ.get("HOMEPORT_ZONE", "").strip(),
        region=options.text("region") or options.environ.get("HOMEPORT_REGION", "").strip(),
        headroom=options.number("headroom", 1.4, least=0.01),
        inner=open_balancer(options.text("inner", "round_robin"), options.environ),
    )
