"""Instances to choose from, and a clock that stands still until it is moved."""

from collections import Counter
from collections.abc import Mapping, Sequence

from homeport.balancing import Balancer, Loads, LoadTable, Picker
from homeport.model import Instance, Snapshot


class Clock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def instance(name: object, *, weight: int = 1, version: str = "", zone: str = "", region: str = "") -> Instance:
    return Instance(
        id=str(name),
        service="s",
        address=f"10.0.0.{name}",
        port=80,
        weight=weight,
        version=version,
        zone=zone,
        region=region,
    )


def snapshot(*instances: Instance) -> Snapshot:
    return Snapshot(service="s", instances=instances)


def weighing(*weights: int) -> Snapshot:
    """Instances 0, 1, 2 … of these weights."""
    return snapshot(*(instance(place, weight=weight) for place, weight in enumerate(weights)))


def equal(size: int) -> Snapshot:
    return weighing(*([1] * size))


def loads(clock: Clock | None = None) -> Loads:
    return Loads(LoadTable(clock or Clock()))


def picks(pick: Picker, number: int, key: str | None = None) -> list[str]:
    chosen = [pick(key) for _ in range(number)]
    return [one.id for one in chosen if one is not None]


def counted(balancer: Balancer, among: Snapshot, number: int, *, by: Loads | None = None) -> Counter[str]:
    """How often each was chosen."""
    return Counter(picks(balancer.picker(among, by or loads()), number))


def busy(by: Loads, calls: Mapping[str, int] | Sequence[int]) -> None:
    """Begin so many calls of each instance."""
    numbers = calls if isinstance(calls, Mapping) else {str(place): number for place, number in enumerate(calls)}
    for name, number in numbers.items():
        for _ in range(number):
            by.table.begin(by.of(instance(name).endpoint))


def answered(by: Loads, name: object, clock: Clock, took: float, *, succeeded: bool = True) -> None:
    """Make one call that takes so long, on a clock that moves by that."""
    load = by.of(instance(name).endpoint)
    began_at = by.table.begin(load)
    clock.now += took
    by.table.end(load, began_at, succeeded=succeeded)


def within(share: float, number: int, tolerance: float = 6.0) -> tuple[float, float]:
    """The bounds that a binomial count leaves once in about a thousand million runs."""
    deviation = (number * share * (1 - share)) ** 0.5
    return number * share - tolerance * deviation, number * share + tolerance * deviation
