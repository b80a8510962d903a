"""The weights of instances, as every policy that obeys them reads them."""

from __future__ import annotations

from collections.abc import Sequence

from homeport.model import Instance


def weighted(instances: Sequence[Instance]) -> tuple[tuple[Instance, ...], tuple[int, ...]]:
    """The instances that take calls, and their weights, all above 0.

    An instance of weight 0 takes none, unless all have it: then they are alike, since somebody must answer.
    """
    able = tuple(instance for instance in instances if instance.weight > 0)
    if not able:
        return tuple(instances), (1,) * len(instances)
    return able, tuple(instance.weight for instance in able)
