"""Dividing instances in parts, and calls among the parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import msgspec

from homeport.model import Instance, Snapshot

from .balancer import Balancer, Picker, nobody
from .key_hash import key_hash
from .loads import Loads

_GOLDEN = 0.6180339887498949


class Part(msgspec.Struct, frozen=True):
    """Some instances of a snapshot and the share of calls they take; ``name`` is what they are remembered by."""

    name: str
    instances: tuple[Instance, ...]
    share: float


def part_loads(loads: Loads, name: str) -> Loads:
    """What the policy of a part sees: the same loads, but a cursor and a memory of its own, kept with ``loads``."""
    kept = loads.kept.get(name)
    if not isinstance(kept, Loads):
        kept = loads.kept[name] = Loads(loads.table, start=next(loads.cursor))
    return kept


def part_picker(inner: Balancer, snapshot: Snapshot, part: Sequence[Instance], loads: Loads, *, name: str) -> Picker:
    """The picker of ``inner`` for some of the instances of ``snapshot``, which are remembered by ``name``."""
    return inner.picker(msgspec.structs.replace(snapshot, instances=tuple(part)), part_loads(loads, name))


def divided(parts: Sequence[Part], inner: Balancer, snapshot: Snapshot, loads: Loads, *, salt: int) -> Picker:
    """A picker that takes the part first, by its share, and then an instance in it, by ``inner``.

    Calls with the same key go to the same part while the shares stay. Calls without a key are divided evenly: of any
    number of calls in a row each part gets its share within a few. A part without instances gets nothing; its share
    goes to the others in proportion, and equally if none of the others has a share.
    """
    there = [part for part in parts if part.instances]
    wanted = [part for part in there if part.share > 0] or [Part(part.name, part.instances, 1.0) for part in there]
    if not wanted:
        return nobody
    pickers = [part_picker(inner, snapshot, part.instances, loads, name=part.name) for part in wanted]
    if len(pickers) == 1:
        return pickers[0]
    limits = list(accumulate(part.share for part in wanted))
    last, total = len(pickers) - 1, limits[-1]
    advance = loads.cursor.__next__

    def pick(key: str | None) -> Instance | None:
        # Multiples of the golden ratio fill [0, 1) more evenly than random numbers (a low-discrepancy sequence).
        place = advance() * _GOLDEN % 1.0 if key is None else key_hash(key, salt) / 4294967296
        place *= total
        chosen = 0
        while chosen < last and place >= limits[chosen]:
            chosen += 1
        return pickers[chosen](key)

    return pick
