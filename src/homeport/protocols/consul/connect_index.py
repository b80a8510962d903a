"""Which instances lead to a service through the mesh: found by the service they are for, not by their own name.

A proxy leads to the service that its ``Proxy`` block names as its destination, an instance with ``Connect.Native`` to
its own. Source: https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-connect-enabled-service
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakValueDictionary

import msgspec

from homeport.registry.records import SERVICES, Entry, ServiceRecord
from homeport.registry.registry import Registry
from homeport.registry.store.memory_image import Change
from homeport.registry.topics import Topic

PROXY = "connect-proxy"


class _Block(msgspec.Struct, frozen=True, rename="pascal"):
    """What counts of a ``Proxy`` or ``Connect`` block. They are kept as they came, so anything may stand there."""

    destination_service_name: object = None
    native: object = None


_DECODER = msgspec.json.Decoder(_Block)
_SERVICE_KEYS = SERVICES.key("")


class Destination:
    """One service: the keys of the instances that lead to it. ``members`` moves when one joins or leaves."""

    __slots__ = ("__weakref__", "keys", "members")

    def __init__(self, revision: int) -> None:
        self.keys: dict[str, None] = {}
        self.members = Topic(revision)


class ConnectIndex:
    """All destinations, folded from the registry's commits as the catalog is."""

    def __init__(self, registry: Registry) -> None:
        self._wakeups = registry.wakeups
        self._destinations: dict[str, Destination] = {}
        self._absent: WeakValueDictionary[str, Destination] = WeakValueDictionary()
        self.extinction = Topic(registry.catalog.revision)
        """Moves when a service loses the last instance that leads to it."""
        for key, entry in registry.catalog.image.entries.items():
            if name := _destination(entry):
                self._join(name, key, registry.catalog.revision)
        registry.catalog.on_change(self._fold)

    def destination(self, name: str) -> Destination:
        """The topics and members of a service. Hold on to it while waiting: an absent one lives as long as you do."""
        lowered = name.lower()
        found = self._destinations.get(lowered) or self._absent.get(lowered)
        if found is None:
            found = self._absent[lowered] = Destination(self.extinction.revision)
        return found

    def _fold(self, revision: int, changes: Sequence[Change]) -> None:
        for change in changes:
            before, after = _destination(change.before), _destination(change.after)
            if before == after:
                continue
            if change.before is not None and before:
                self._leave(before, change.before.key, revision)
            if change.after is not None and after:
                self._join(after, change.after.key, revision)

    def _join(self, name: str, key: str, revision: int) -> None:
        found = self._destinations.get(name)
        if found is None:
            found = self._destinations[name] = self._absent.pop(name, Destination(revision))
        found.keys[key] = None
        self._wakeups.move(found.members, revision)

    def _leave(self, name: str, key: str, revision: int) -> None:
        found = self._destinations[name]
        del found.keys[key]
        self._wakeups.move(found.members, revision)
        if not found.keys:
            self._absent[name] = self._destinations.pop(name)
            self._wakeups.move(self.extinction, revision)


def _destination(entry: Entry | None) -> str:
    """The service that an instance leads to, in lower case; "" for none, and for what is no instance."""
    if entry is None or not entry.key.startswith(_SERVICE_KEYS):
        return ""
    record: ServiceRecord = entry.value
    if record.kind == PROXY and record.proxy:
        name = _DECODER.decode(record.proxy).destination_service_name
        return name.lower() if isinstance(name, str) else ""
    if record.connect and _DECODER.decode(record.connect).native is True:
        return record.name.lower()
    return ""
