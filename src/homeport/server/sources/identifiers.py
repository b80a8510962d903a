"""Which id an instance has on the node of its source, where the ids of all its services share one space."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from homeport.model import Instance


class Original(NamedTuple):
    """What tells an instance from all others at its source."""

    service: str
    node: str
    id: str


class Identifiers:
    """Gives each instance the id that it has at the source, or where another one has that, with its node or service.

    Consul's ids are unique to a node and etcd's to a service, so several instances may bring the same. Ids compare
    without case. An instance keeps its id until it is released, also when it moves to another node.
    """

    def __init__(self) -> None:
        self._holders: dict[str, Original] = {}
        self._ids: dict[Original, str] = {}

    def keep(self, original: Original, service_id: str) -> None:
        """Take note of an id that an instance has already."""
        self._holders[service_id.lower()] = original
        self._ids[original] = service_id

    def id_of(self, instance: Instance, *, among: Iterable[Instance]) -> str:
        """The id of an instance, the same as long as it is not released; ``among`` are all instances of its service."""
        original = Original(instance.service, instance.node, instance.id)
        known = self._ids.get(original)
        if known is not None:
            return known
        moved = self._moved(original, among)
        if moved is not None:
            service_id = self._ids.pop(moved)
            self.keep(original, service_id)
            return service_id
        chosen = instance.id
        for qualifier in (instance.node, instance.service, f"{instance.service}@{instance.node}"):
            if chosen.lower() not in self._holders:
                break
            if qualifier:
                chosen = f"{instance.id}@{qualifier}"
        number = 2
        while chosen.lower() in self._holders:
            chosen = f"{instance.id}@{instance.service}@{instance.node}@{number}"
            number += 1
        self.keep(original, chosen)
        return chosen

    def _moved(self, original: Original, among: Iterable[Instance]) -> Original | None:
        """What an instance was that is on another node now, such as the pod of a StatefulSet; None if it is new."""
        holder = self._holders.get(original.id.lower())
        if holder is None or (holder.service, holder.id) != (original.service, original.id):
            return None
        there_still = any((one.node, one.id) == (holder.node, holder.id) for one in among)
        return None if there_still else holder

    def release(self, service_id: str) -> None:
        """The instance with this id is no more."""
        original = self._holders.pop(service_id.lower(), None)
        if original is not None:
            self._ids.pop(original, None)
