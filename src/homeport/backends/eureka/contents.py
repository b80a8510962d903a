"""The registry of an Eureka server as this program knows it, kept up to date by deltas; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from homeport.model import Instance
from homeport.wire import eureka as wire

Key: TypeAlias = tuple[str, str]
"""Application and id: an id is unique within its application only."""

Member: TypeAlias = wire.InstanceInfo | wire.Unreadable

Read: TypeAlias = Callable[[Member], Mapping[str, Instance]]
"""The instances that one of Eureka's is, by service; none where it cannot be read or called."""


class Row(NamedTuple):
    """What is kept of one of Eureka's instances; ``registered_at`` is 0 where the server does not tell."""

    status: str
    registered_at: int
    services: tuple[str, ...]


class Contents:
    """All instances of a server, by service, and how many there are of each status.

    An instance that cannot be read is left out, but known to be there, since the hash code counts it.
    """

    def __init__(self, applications: wire.Applications, read: Read) -> None:
        self._read = read
        self._rows: dict[Key, Row] = {}
        self._services: dict[str, dict[Key, Instance]] = {}
        self._instances: dict[str, tuple[Instance, ...]] = {}
        self._statuses: Counter[str] = Counter()
        for one in _members(applications):
            self._put(one)

    @property
    def keys(self) -> frozenset[Key]:
        """Which instances there are."""
        return frozenset(self._rows)

    @property
    def hashcode(self) -> str:
        """The hash code of these instances, to be compared with the one that the server names."""
        return wire.hashcode(self._statuses)

    @property
    def services(self) -> Iterable[str]:
        """The services that have an instance."""
        return self._services.keys()

    def instances(self, service: str) -> tuple[Instance, ...]:
        """The instances of a service; the very same object as long as none of them changes."""
        members = self._services.get(service)
        if members is None:
            return ()
        found = self._instances.get(service)
        if found is None:
            found = self._instances[service] = tuple(members[key] for key in sorted(members))
        return found

    def hashcode_after(self, changes: wire.Applications) -> str:
        """The hash code that there will be when these changes are taken over."""
        statuses = self._statuses.copy()
        for key, status in _latest(changes).items():
            if (before := self._rows.get(key)) is not None:
                statuses[before.status] -= 1
            if status is not None:
                statuses[status] += 1
        return wire.hashcode(statuses)

    def same_registrations(self, before: Contents) -> bool | None:
        """Whether any instance stands under the same registration as before; None if the server does not tell."""
        told = False
        for key, row in self._rows.items():
            known = before._rows.get(key)
            if known is not None and known.registered_at and row.registered_at:
                if known.registered_at == row.registered_at:
                    return True
                told = True
        return False if told else None

    def apply(self, changes: wire.Applications) -> None:
        """Take over what changed. The same changes may come again."""
        for one in _members(changes):
            if one.action_type == wire.DELETED:
                self._remove(_key(one))
            else:
                self._put(one)

    def adopt(self, before: Contents) -> None:
        """Keep what ``before`` gave out for services that are still the same, so that it stays the same object."""
        for service, known in tuple(before._instances.items()):  # it may be asked in another thread
            if known == self.instances(service):
                self._instances[service] = known

    def _put(self, one: Member) -> None:
        key, status, instances = _key(one), one.status or wire.UNKNOWN, self._read(one)
        before = self._rows.get(key)
        if before is not None:
            self._statuses[before.status] -= 1
            for service in before.services:
                if service not in instances:
                    self._drop(key, service)
        self._statuses[status] += 1
        self._rows[key] = Row(status, _registered_at(one), tuple(instances))
        for service, instance in instances.items():
            members = self._services.setdefault(service, {})
            if members.get(key) != instance:
                members[key] = instance
                self._instances.pop(service, None)

    def _remove(self, key: Key) -> None:
        row = self._rows.pop(key, None)
        if row is None:
            return
        self._statuses[row.status] -= 1
        for service in row.services:
            self._drop(key, service)

    def _drop(self, key: Key, service: str) -> None:
        members = self._services[service]
        del members[key]
        if not members:
            del self._services[service]
        self._instances.pop(service, None)


def removed_by(changes: wire.Applications) -> frozenset[Key]:
    """Which instances are gone after these changes."""
    return frozenset(key for key, status in _latest(changes).items() if status is None)


def _latest(changes: wire.Applications) -> dict[Key, str | None]:
    """The status of each instance that changed, None for one that is gone; of several changes the last one counts."""
    return {
        _key(one): None if one.action_type == wire.DELETED else one.status or wire.UNKNOWN for one in _members(changes)
    }


def _members(applications: wire.Applications) -> Iterator[Member]:
    yield from applications.instances
    yield from applications.unreadable


def _key(one: Member) -> Key:
    return (one.app or "").upper(), one.id


def _registered_at(one: Member) -> int:
    lease = one.lease_info if isinstance(one, wire.InstanceInfo) else None
    return (lease.registered_at or 0) if lease is not None else 0
