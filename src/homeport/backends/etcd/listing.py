"""Following which services there are, by one watch of all keys."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable

import msgspec

from homeport.errors import InvalidAnswer
from homeport.spi import ServiceList

from . import shapes
from .api import EtcdAPI, keys_below
from .mapping import Unreadable, place_of

_RANGE = msgspec.json.Decoder(shapes.RangeAnswer, strict=False)
_PURPOSE = "list services"


async def follow_list(api: EtcdAPI, prefix: str, *, confirm_interval: float) -> AsyncGenerator[ServiceList, None]:
    """The list now, after every change of any key, and every ``confirm_interval`` seconds.

    Where etcd has compacted away what the watch would go on with, and where a confirmation finds another number of keys
    than the watch told, the keys are read anew.

    Raises:
        BackendError: etcd cannot be asked.
    """
    while True:
        found = await _range(api, {**keys_below(prefix.encode()), "keys_only": True})
        keys = _Keys(prefix)
        for one in found.kvs:
            keys.add(one.key)
        yield ServiceList(names=keys.services(), changed=keys.services())
        watching = await api.watch(
            keys_below(prefix.encode()), start_revision=found.header.revision + 1, purpose=_PURPOSE
        )
        with contextlib.closing(watching):
            while True:
                changes = await watching.next(timeout=confirm_interval)
                if changes is None:
                    count = (await _range(api, {**keys_below(prefix.encode()), "count_only": True})).count
                    if count != len(keys):
                        break
                    yield ServiceList(names=keys.services())
                elif changes.compact_revision or changes.header.cluster_id != found.header.cluster_id:
                    break
                else:
                    changed = keys.apply(changes.events)
                    yield ServiceList(names=keys.services(), changed=changed)


class _Keys:
    """All keys below a prefix, and how many of them each service has."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._service_of: dict[bytes, str] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._service_of)

    def services(self) -> frozenset[str]:
        """The services that have a key."""
        return frozenset(self._counts)

    def apply(self, events: Iterable[shapes.Event]) -> frozenset[str]:
        """Take over what happened, and return to which services."""
        changed: set[str] = set()
        for event in events:
            name = self._remove(event.kv.key) if event.type == "DELETE" else self.add(event.kv.key)
            changed.add(name)
        return frozenset(changed - {""})

    def add(self, key: bytes) -> str:
        """Count a key; its service, "" when it stands for none."""
        known = self._service_of.get(key)
        if known is not None:
            return known
        try:
            name = place_of(key, self._prefix)[0]
        except Unreadable:
            name = ""
        self._service_of[key] = name
        if name:
            self._counts[name] = self._counts.get(name, 0) + 1
        return name

    def _remove(self, key: bytes) -> str:
        name = self._service_of.pop(key, "")
        if name:
            self._counts[name] -= 1
            if not self._counts[name]:
                del self._counts[name]
        return name


async def _range(api: EtcdAPI, request: dict[str, object]) -> shapes.RangeAnswer:
    answer = await api.call("/v3/kv/range", request, _RANGE, purpose=_PURPOSE)
    if answer.header.revision < 1:
        raise InvalidAnswer(
            f"etcd did not say at which revision it answers, so it cannot {_PURPOSE} and follow the changes",
            backend=api.settings.url,
        )
    return answer
