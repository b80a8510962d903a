"""What is asked: nodes, services and checks, with a topic for everything a query can wait for.

The catalog is a fold over the store's commits. It holds no copy of a record: its rows are the entries of the
`MemoryImage`; what it adds is which topics a change moves, as Consul's state store does (see each attribute), and
counts that would be slow to take anew.

Everything here belongs to the event loop. Iterators and mappings are live views: use them before the next await.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from weakref import WeakValueDictionary

from .records import CHECKS, NODES, SERVICES, CheckRecord, Entry, NodeRecord, ServiceRecord, table_of
from .store.memory_image import Change, MemoryImage
from .topics import Topic, Wakeups

Listener = Callable[[int, Sequence[Change]], None]
_log = logging.getLogger(__name__)


class ServiceIndex:
    """One service name: what moves when, and the tags of its instances.

    ``everything`` moves with any instance of the name, any check of one, any check or change of a node that carries
    one, and its revision is the index of all queries for the name. ``rows`` moves with instances and nodes only,
    ``checks`` with the checks of its instances.
    """

    __slots__ = ("__weakref__", "checks", "everything", "mixed", "name", "present", "rows", "tags")

    def __init__(self, name: str, revision: int) -> None:
        self.name = name
        self.mixed = False
        """Whether instances write the name in different cases; ``name`` is the first of these, sorted."""
        self.present = False
        self.everything = Topic(revision)
        self.rows = Topic(revision)
        self.checks = Topic(revision)
        self.tags: Counter[str] = Counter()


class NodeIndex:
    """One node: ``rows`` moves with its record and its services, ``checks`` with the checks on it."""

    __slots__ = ("__weakref__", "checks", "names", "rows")

    def __init__(self, *, rows: int, checks: int) -> None:
        self.names: Counter[str] = Counter()
        self.rows = Topic(rows)
        self.checks = Topic(checks)


class Catalog:
    """The registry's answers, folded from its commits."""

    def __init__(self, image: MemoryImage, wakeups: Wakeups) -> None:
        self.image = image
        self.nodes = Topic()
        """Moves with node records."""
        self.services = Topic()
        """Moves with any instance of any service."""
        self.checks = Topic()
        """Moves with any check."""
        self.extinction = Topic()
        """Moves when a service loses its last instance."""
        self.states: dict[str, Topic] = {}
        """Moves with the checks that enter, leave or change within a status."""
        self._wakeups = wakeups
        self._names: dict[str, ServiceIndex] = {}
        self._absent: WeakValueDictionary[str, ServiceIndex] = WeakValueDictionary()
        self._node_indexes: dict[str, NodeIndex] = {}
        self._absent_nodes: WeakValueDictionary[str, NodeIndex] = WeakValueDictionary()
        self._base = 0
        self._listeners: list[Listener] = []

    # Reading

    @property
    def revision(self) -> int:
        """The revision of everything that is folded in."""
        return self.image.revision

    def node(self, name: str) -> Entry | None:
        """The entry (`NodeRecord`) of a node."""
        return self.image.entries.get(NODES.key(name))

    def node_entries(self) -> list[Entry]:
        """All nodes, by name."""
        return sorted(self.image.group(("node",)).values(), key=_node_order)

    def services_of(self, node: str) -> list[Entry]:
        """The instances (`ServiceRecord`) on a node, by id."""
        return sorted(self.image.group(("svc", node.lower())).values(), key=_service_order)

    def service(self, node: str, service_id: str) -> Entry | None:
        """One instance."""
        return self.image.entries.get(SERVICES.key(node, service_id))

    def instances(self, name: str) -> list[Entry]:
        """The instances (`ServiceRecord`) of a service, by node, then id."""
        return sorted(self.image.group(("name", name.lower())).values(), key=_service_order)

    def check(self, node: str, check_id: str) -> Entry | None:
        """One check."""
        return self.image.entries.get(CHECKS.key(node, check_id))

    def checks_on(self, node: str) -> list[Entry]:
        """All checks (`CheckRecord`) on a node, its own and its services', by id."""
        return sorted(self.image.group(("chk", node.lower())).values(), key=_check_order)

    def node_checks(self, node: str) -> list[Entry]:
        """The checks of the node itself, by id."""
        return self.service_checks(node, "")

    def service_checks(self, node: str, service_id: str) -> list[Entry]:
        """The checks of one instance, by id."""
        found = self.image.group(("chk", node.lower(), service_id.lower()))
        if len(found) < 2:
            return list(found.values())
        return sorted(found.values(), key=_check_order)

    def check_entries(self) -> Iterable[Entry]:
        """All checks of all nodes, by node, then id."""
        for node in sorted(self._node_indexes):
            yield from self.checks_on(node)

    def service_names(self) -> list[str]:
        """The names of all services that have instances, sorted."""
        return sorted(index.name for index in self._names.values())

    def tags(self, name: str) -> list[str]:
        """The tags of all instances of a service, each once, sorted."""
        index = self._names.get(name.lower())
        return [] if index is None else sorted(index.tags)

    # What to wait for

    def service_index(self, name: str) -> ServiceIndex:
        """The topics of a service name. Hold on to it while waiting: for an absent name it lives as long as you do."""
        lowered = name.lower()
        index = self._names.get(lowered) or self._absent.get(lowered)
        if index is None:
            # It is absent, so whatever it was, it had ended by the last extinction: the index of its queries cannot
            # go back.
            index = self._absent[lowered] = ServiceIndex(name, self.extinction.revision)
        return index

    def node_index(self, name: str) -> NodeIndex:
        """The topics of a node; as for `service_index`, hold on to it while waiting."""
        lowered = name.lower()
        index = self._node_indexes.get(lowered) or self._absent_nodes.get(lowered)
        if index is None:
            rows = max(self.nodes.revision, self.services.revision)
            index = self._absent_nodes[lowered] = NodeIndex(rows=rows, checks=self.checks.revision)
        return index

    def state(self, status: str) -> Topic:
        """The topic of the checks with a status."""
        topic = self.states.get(status)
        if topic is None:
            topic = self.states[status] = Topic(self._base)
        return topic

    def on_change(self, listener: Listener) -> None:
        """Call ``listener`` with the revision and the changes of every commit from now on, after topics have moved."""
        self._listeners.append(listener)

    # Folding

    def fold(self, revision: int, changes: list[Change]) -> None:
        """Take in the changes of one commit, or of a reset: its revision then answers for all that cannot be known."""
        if not self._base:
            self._begin(revision)
        for change in changes:
            entry = change.after or change.before
            assert entry is not None
            table = table_of(entry.key)
            if table is SERVICES:
                self._fold_service(revision, change)
            elif table is CHECKS:
                self._fold_check(revision, change)
            elif table is NODES:
                self._fold_node(revision, change)
        for listener in self._listeners:
            try:
                listener(revision, changes)
            except Exception:  # noqa: BLE001  # a defect of one listener must not reach the others, nor whoever wrote
                _log.exception("a listener failed on a commit; the others go on", extra={"revision": revision})

    def _begin(self, revision: int) -> None:
        self._base = revision
        for topic in (self.nodes, self.services, self.checks, self.extinction):
            topic.revision = revision

    def _fold_service(self, revision: int, change: Change) -> None:
        move = self._wakeups.move
        before, after = _service(change.before), _service(change.after)
        move(self.services, revision)
        for record, by in ((before, -1), (after, 1)):
            if record is not None:
                node, index = self._node_for(record.node, revision), self._index_for(record.name, revision)
                _count(node.names, (record.name.lower(),), by)
                _count(index.tags, record.tags, by)
                move(node.rows, revision)
                move(index.rows, revision)
                move(index.everything, revision)
        if after is not None:
            self._spell(self._index_for(after.name, revision), after.name)
        if before is not None and after is not None and before.tags != after.tags:
            self._move_checks_of(after, revision)
        if before is not None:
            self._let_go_of_service(before.name, revision)
            self._let_go_of_node(before.node)

    def _move_checks_of(self, service: ServiceRecord, revision: int) -> None:
        """Move with the checks of an instance, whose rows show the tags of their service."""
        move = self._wakeups.move
        for entry in self.image.group(("chk", service.node.lower(), service.id.lower())).values():
            move(self.checks, revision)
            move(self.state(entry.value.status), revision)
            move(self._node_for(service.node, revision).checks, revision)
            move(self._index_for(service.name, revision).checks, revision)

    def _spell(self, index: ServiceIndex, written: str) -> None:
        if index.mixed or written != index.name:
            spellings = {entry.value.name for entry in self.image.group(("name", written.lower())).values()}
            index.name, index.mixed = min(spellings, default=written), len(spellings) > 1

    def _let_go_of_service(self, name: str, revision: int) -> None:
        """Let go of a name that lost its last instance."""
        lowered = name.lower()
        index = self._names.get(lowered)
        if index is None:
            return
        if self.image.group(("name", lowered)):
            self._spell(index, name)
            return
        del self._names[lowered]
        index.tags.clear()
        index.present = False
        self._absent[lowered] = index
        self._wakeups.move(self.extinction, revision)

    def _fold_check(self, revision: int, change: Change) -> None:
        move = self._wakeups.move
        move(self.checks, revision)
        before, after = _check(change.before), _check(change.after)
        for record in (before, after):
            if record is None:
                continue
            move(self.state(record.status), revision)
            move(self._node_for(record.node, revision).checks, revision)
            if record.service_id:
                self._move_service(record.service_name, revision)
            else:
                self._move_services_on(record.node, revision, rows=False)
        if before is not None and after is None:
            self._let_go_of_node(before.node)

    def _move_service(self, name: str, revision: int) -> None:
        # A name may be absent already, for instances and their checks go in one commit, in either order.
        lowered = name.lower()
        index = self._names.get(lowered) or self._absent.get(lowered)
        if index is not None:
            self._wakeups.move(index.checks, revision)
            self._wakeups.move(index.everything, revision)

    def _fold_node(self, revision: int, change: Change) -> None:
        self._wakeups.move(self.nodes, revision)
        entry = change.after or change.before
        assert entry is not None
        record: NodeRecord = entry.value
        self._wakeups.move(self._node_for(record.name, revision).rows, revision)
        self._move_services_on(record.name, revision, rows=True)
        if change.after is None:
            self._let_go_of_node(record.name)

    def _let_go_of_node(self, name: str) -> None:
        """Let go of a node of which nothing is left."""
        lowered = name.lower()
        index = self._node_indexes.get(lowered)
        if index is None or index.names or self.node(name) is not None or self.image.group(("chk", lowered)):
            return
        del self._node_indexes[lowered]
        self._absent_nodes[lowered] = index

    def _move_services_on(self, node: str, revision: int, *, rows: bool) -> None:
        for name in self._node_for(node, revision).names:
            index = self._names.get(name)
            if index is not None:
                self._wakeups.move(index.everything, revision)
                if rows:
                    self._wakeups.move(index.rows, revision)

    def _index_for(self, name: str, revision: int) -> ServiceIndex:
        lowered = name.lower()
        index = self._names.get(lowered)
        if index is None:
            index = self._names[lowered] = self._absent.get(lowered) or ServiceIndex(name, revision)
            index.present = True
        return index

    def _node_for(self, name: str, revision: int) -> NodeIndex:
        lowered = name.lower()
        index = self._node_indexes.get(lowered)
        if index is None:
            found = self._absent_nodes.get(lowered) or NodeIndex(rows=revision, checks=revision)
            index = self._node_indexes[lowered] = found
        return index


def _count(counter: Counter[str], names: Iterable[str], by: int) -> None:
    for name in names:
        counter[name] += by
        if not counter[name]:
            del counter[name]


def _service(entry: Entry | None) -> ServiceRecord | None:
    return None if entry is None else entry.value


def _check(entry: Entry | None) -> CheckRecord | None:
    return None if entry is None else entry.value


def _node_order(entry: Entry) -> str:
    name: str = entry.value.name
    return name.lower()


def _service_order(entry: Entry) -> tuple[str, str]:
    record: ServiceRecord = entry.value
    return record.node.lower(), record.id.lower()


def _check_order(entry: Entry) -> str:
    name: str = entry.value.id
    return name.lower()
