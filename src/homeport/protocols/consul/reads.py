"""The questions of Consul's catalog and health endpoints, each with its index, its topics and its rows.

Which index a question reports and what wakes it follows Consul's state store: see `registry.catalog.ServiceIndex`. A
question about what is not there reports an index that covers its removal, so that no index ever goes back.
"""

from __future__ import annotations

import asyncio
import heapq
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from homeport.registry.answers import Read
from homeport.registry.catalog import Catalog
from homeport.registry.records import CheckRecord, Entry, ServiceRecord
from homeport.registry.topics import Topic
from homeport.wire import golang

from . import rows
from .connect_index import ConnectIndex

Keep = Callable[[Any], bool]
"""Whether a row is wanted: a compiled filter expression."""

ANY_STATE = "any"
STATES = ("passing", "warning", "critical")
LARGEST_AT_ONCE = 2000
"""How many items may become an answer without others having the loop in between: some tens of milliseconds."""
_MOST_WATCHED_NODES = 1000
_SORTED_AT_ONCE = 5000
_RENDERED_AT_ONCE = 500


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may narrow a list by; all of it must hold.

    ``tags`` compare without case, ``node_meta`` exactly. ``filter`` is the text of a filter expression, "" for none.
    ``peer`` names the cluster that instances were imported from; there is none, so any name leaves nothing.
    """

    tags: tuple[str, ...] = ()
    node_meta: tuple[tuple[str, str], ...] = ()
    passing: bool = False
    filter: str = ""
    peer: str = ""


class Rows(Read):
    """A question that is answered by rows: few, or as many as there are instances.

    ``keep`` is the compiled form of ``selection.filter``; None keeps every row.
    """

    __slots__ = ("_catalog", "_datacenter", "_keep", "_name", "_selection", "_tags")

    def __init__(self, catalog: Catalog, datacenter: str, name: str, selection: Selection, keep: Keep | None) -> None:
        self._catalog = catalog
        self._datacenter = datacenter
        self._name = name
        self._selection = selection
        self._keep = keep
        self._tags = frozenset(tag.lower() for tag in selection.tags)

    @property
    def key(self) -> tuple[object, ...]:
        """The question itself: equal for questions that have the same answer at the same index."""
        return (type(self), self._name.lower(), self._selection)

    @property
    def cache_key(self) -> tuple[object, ...]:
        """What Consul's cache keeps an answer under: it applies ``passing`` afterwards."""
        return (type(self), self._name.lower(), msgspec.structs.replace(self._selection, passing=False))

    @property
    def large(self) -> bool:
        """Whether there is too much to make an answer of at once."""
        # Most registries are smaller than that as a whole, and need no counting.
        return len(self._catalog.image.entries) > LARGEST_AT_ONCE and len(self._items()) > LARGEST_AT_ONCE

    def render(self) -> bytes:
        """The answer's body, made at once."""
        before, after = self._frame()
        items = sorted(self._items(), key=self._order)
        return b"".join((before, golang.encode(self._rows(items))[1:-1], after))

    async def render_in_slices(self) -> bytes:
        """The answer's body, made in slices between which others have the loop.

        Nothing in it is older than the call of this; what changes meanwhile may show the change.
        """
        before, after = self._frame()
        items = await self._sorted_in_slices()
        body = bytearray(before)
        while part := list(islice(items, _RENDERED_AT_ONCE)):
            rendered = golang.encode(self._rows(part))[1:-1]
            if rendered and len(body) > len(before):
                body += b","
            body += rendered
            await asyncio.sleep(0)
        body += after
        return bytes(body)

    @abstractmethod
    def _items(self) -> list[Any]:
        """What rows are made of, in no order; a list of its own."""

    @abstractmethod
    def _order(self, item: Any) -> Any:
        """What items are sorted by."""

    @abstractmethod
    def _rows(self, items: Iterable[Any]) -> list[Any] | dict[str, Any]:
        """The rows of some items, in their order, or as members of an object; unwanted ones are left out."""

    def _frame(self) -> tuple[bytes, bytes]:
        """What stands before and after the rows."""
        return b"[", b"]"

    async def _sorted_in_slices(self) -> Iterator[Any]:
        items = self._items()
        runs = []
        for start in range(0, len(items), _SORTED_AT_ONCE):
            runs.append(sorted(items[start : start + _SORTED_AT_ONCE], key=self._order))
            await asyncio.sleep(0)
        return heapq.merge(*runs, key=self._order)

    def _kept(self, found: list[Any]) -> list[Any]:
        if self._selection.peer:
            return []
        return found if self._keep is None else [row for row in found if self._keep(row)]

    def _has_tags(self, record: ServiceRecord) -> bool:
        return not self._tags or self._tags.issubset([tag.lower() for tag in record.tags])

    def _has_meta(self, meta: Mapping[str, str]) -> bool:
        wanted = self._selection.node_meta
        return not wanted or all(meta.get(key) == value for key, value in wanted)


# ----- instances of one service ---------------------------------------------------------------------------------------


class InstanceRead(Rows):
    """A question whose answer is a list of instances."""

    __slots__ = ()

    def _order(self, item: Entry) -> tuple[str, str]:
        return _by_node_and_id(item)

    def _health_rows(self, items: Iterable[Entry]) -> list[Any]:
        catalog, passing = self._catalog, self._selection.passing
        found = []
        for entry, node in self._wanted(items):
            row = rows.health_row(catalog, entry, node, passing=passing)
            if row is not None:
                found.append(row)
        return self._kept(found)

    def _catalog_rows(self, items: Iterable[Entry]) -> list[Any]:
        datacenter = self._datacenter
        return self._kept([rows.catalog_row(entry, node.record, datacenter) for entry, node in self._wanted(items)])

    def _wanted(self, items: Iterable[Entry]) -> Iterator[tuple[Entry, rows.NodeRows]]:
        nodes = rows.AnswerNodes(self._catalog, self._datacenter)
        for entry in items:
            record: ServiceRecord = entry.value
            node = nodes.find(record.node)
            if node is not None and self._has_tags(record) and self._has_meta(node.record.meta):
                yield entry, node


class ServiceRead(InstanceRead):
    """The instances that have one name."""

    __slots__ = ("_index",)

    def __init__(self, catalog: Catalog, datacenter: str, name: str, selection: Selection, keep: Keep | None) -> None:
        super().__init__(catalog, datacenter, name, selection, keep)
        self._index = catalog.service_index(name)

    @property
    def known(self) -> bool:
        """Whether the service has instances; answers about unknown names are not worth keeping."""
        return self._index.present

    def index(self) -> int:
        """That of the name; without instances, when any service last lost its last one."""
        return self._index.everything.revision if self._index.present else self._catalog.extinction.revision

    def _items(self) -> list[Entry]:
        return list(self._catalog.image.group(("name", self._name.lower())).values())


class HealthService(ServiceRead):
    """``GET /v1/health/service/:name``."""

    __slots__ = ()

    @property
    def topics(self) -> Sequence[Topic]:
        """Instances of the name, their nodes, and the checks of both."""
        index = self._index
        return (index.everything,) if index.present else (index.everything, self._catalog.extinction)

    def _rows(self, items: Iterable[Entry]) -> list[Any]:
        return self._health_rows(items)


class CatalogService(ServiceRead):
    """``GET /v1/catalog/service/:name``."""

    __slots__ = ()

    @property
    def topics(self) -> Sequence[Topic]:
        """Instances of the name and their nodes. Checks raise the index, shared with health, but do not wake."""
        index = self._index
        return (index.rows,) if index.present else (index.rows, self._catalog.extinction)

    def _rows(self, items: Iterable[Entry]) -> list[Any]:
        return self._catalog_rows(items)


class ConnectRead(InstanceRead):
    """The instances by which a service is reached through the mesh: its proxies, and those of its own that speak it."""

    __slots__ = ("_connect", "_destination")

    def __init__(
        self, connect: ConnectIndex, catalog: Catalog, datacenter: str, name: str, selection: Selection,
        keep: Keep | None,
    ) -> None:  # fmt: skip
        super().__init__(catalog, datacenter, name, selection, keep)
        self._connect = connect
        self._destination = connect.destination(name)

    def index(self) -> int:
        """The highest of the names of these instances; without any, when any service last lost its last one."""
        if not self._destination.keys:
            return self._connect.extinction.revision
        return max(topic.revision for topic in (self._destination.members, *self._names_topics(checks=True)))

    def _items(self) -> list[Entry]:
        entries = self._catalog.image.entries
        return [entries[key] for key in self._destination.keys]

    def _topics(self, *, checks: bool) -> Sequence[Topic]:
        if not self._destination.keys:
            return (self._destination.members, self._connect.extinction)
        return (self._destination.members, *self._names_topics(checks=checks))

    def _names_topics(self, *, checks: bool) -> Sequence[Topic]:
        indexes = (self._catalog.service_index(name) for name in {entry.value.name.lower() for entry in self._items()})
        return [index.everything if checks else index.rows for index in indexes]


class HealthConnect(ConnectRead):
    """``GET /v1/health/connect/:name``."""

    __slots__ = ()

    @property
    def topics(self) -> Sequence[Topic]:
        """These instances, their nodes, and the checks of both."""
        return self._topics(checks=True)

    def _rows(self, items: Iterable[Entry]) -> list[Any]:
        return self._health_rows(items)


class CatalogConnect(ConnectRead):
    """``GET /v1/catalog/connect/:name``."""

    __slots__ = ()

    @property
    def topics(self) -> Sequence[Topic]:
        """These instances and their nodes."""
        return self._topics(checks=False)

    def _rows(self, items: Iterable[Entry]) -> list[Any]:
        return self._catalog_rows(items)


# ----- all nodes, all services ----------------------------------------------------------------------------------------


class CatalogNodes(Rows):
    """``GET /v1/catalog/nodes``."""

    __slots__ = ()

    def __init__(
        self, catalog: Catalog, datacenter: str, node_meta: tuple[tuple[str, str], ...], keep: Keep | None, *,
        filter: str = "", peer: str = "",  # noqa: A002  # the parameter's own name
    ) -> None:  # fmt: skip
        super().__init__(catalog, datacenter, "", Selection(node_meta=node_meta, filter=filter, peer=peer), keep)

    @property
    def topics(self) -> Sequence[Topic]:
        """Node records."""
        return (self._catalog.nodes,)

    def index(self) -> int:
        """That of node records and services, though services do not wake."""
        return max(self._catalog.nodes.revision, self._catalog.services.revision)

    def _items(self) -> list[Entry]:
        return list(self._catalog.image.group(("node",)).values())

    def _order(self, item: Entry) -> str:
        name: str = item.value.name
        return name.lower()

    def _rows(self, items: Iterable[Entry]) -> list[Any]:
        wanted = (entry for entry in items if self._has_meta(entry.value.meta))
        return self._kept([rows.node_row(entry, self._datacenter) for entry in wanted])


class CatalogServices(Rows):
    """``GET /v1/catalog/services``: the tags of every name."""

    __slots__ = ()

    def __init__(self, catalog: Catalog, datacenter: str, selection: Selection, keep: Keep | None) -> None:
        super().__init__(catalog, datacenter, "", selection, keep)

    @property
    def topics(self) -> Sequence[Topic]:
        """Any instance of any service. Never checks."""
        return (self._catalog.services,)

    def index(self) -> int:
        """That of all services."""
        return self._catalog.services.revision

    def _items(self) -> list[str]:
        return self._catalog.service_names()

    def _order(self, item: str) -> str:
        return item

    def _frame(self) -> tuple[bytes, bytes]:
        return b"{", b"}"

    def _rows(self, items: Iterable[str]) -> dict[str, Any]:
        return {name: self._catalog.tags(name) for name in items}


class NarrowedCatalogServices(CatalogServices):
    """``GET /v1/catalog/services?node-meta&filter``: the tags of the wanted instances, by the names that have any."""

    __slots__ = ()

    @property
    def topics(self) -> Sequence[Topic]:
        """Any instance of any service; where nodes are narrowed, all node records and what is on the wanted ones."""
        catalog = self._catalog
        if not self._selection.node_meta:
            return (catalog.services,)
        names = [node.value.name for node in self._nodes_with_meta()]
        if len(names) > _MOST_WATCHED_NODES:
            return (catalog.services, catalog.nodes)
        return (catalog.nodes, *(catalog.node_index(name).rows for name in names))

    def index(self) -> int:
        """That of all services, and of nodes where their metadata decides."""
        catalog = self._catalog
        services = catalog.services.revision
        return max(services, catalog.nodes.revision) if self._selection.node_meta else services

    def render(self) -> bytes:
        """The answer's body, made at once."""
        found: dict[str, set[str]] = {}
        self._collect(self._items(), found)
        return _encoded_tags(found)

    async def render_in_slices(self) -> bytes:
        """The answer's body, made in slices between which others have the loop."""
        found: dict[str, set[str]] = {}
        items = self._items()
        for start in range(0, len(items), _RENDERED_AT_ONCE):
            self._collect(items[start : start + _RENDERED_AT_ONCE], found)
            await asyncio.sleep(0)
        return _encoded_tags(found)

    def _nodes_with_meta(self) -> list[Entry]:
        nodes = self._catalog.image.group(("node",)).values()
        return [node for node in nodes if self._has_meta(node.value.meta)]

    def _items(self) -> list[Any]:
        return _on_nodes(self._catalog, self._nodes_with_meta(), "svc")

    def _collect(self, items: Sequence[Entry], found: dict[str, set[str]]) -> None:
        """Add the tags of the wanted ones of some instances to ``found``."""
        nodes = rows.AnswerNodes(self._catalog, self._datacenter)
        for entry in items:
            record: ServiceRecord = entry.value
            node = nodes.find(record.node)
            if node is not None and self._is_kept(entry, node):
                found.setdefault(self._catalog.service_index(record.name).name, set()).update(record.tags)

    def _is_kept(self, entry: Entry, node: rows.NodeRows) -> bool:
        if self._selection.peer:
            return False
        return self._keep is None or self._keep(rows.catalog_row(entry, node.record, self._datacenter))


# ----- one node -------------------------------------------------------------------------------------------------------


class NodeRead(Rows):
    """The services of one node."""

    __slots__ = ("_index",)

    def __init__(self, catalog: Catalog, datacenter: str, name: str, selection: Selection, keep: Keep | None) -> None:
        super().__init__(catalog, datacenter, name, selection, keep)
        self._index = catalog.node_index(name)

    @property
    def topics(self) -> Sequence[Topic]:
        """The node's record and its services."""
        return (self._index.rows,)

    def index(self) -> int:
        """That of the node; of one that is not there, when any node or service last changed."""
        return self._index.rows.revision

    def _items(self) -> list[Entry]:
        return list(self._catalog.image.group(("svc", self._name.lower())).values())

    def _node(self) -> Entry | None:
        return None if self._selection.peer else self._catalog.node(self._name)

    def _framed(self, before: bytes, after: bytes, nothing: bytes) -> tuple[bytes, bytes]:
        node = self._node()
        if node is None:
            return nothing, b""
        return b'{"Node":%b,"Services":%b' % (golang.encode(rows.node_row(node, self._datacenter)), before), after


class CatalogNode(NodeRead):
    """``GET /v1/catalog/node/:node``: its services by their ids, or ``null``."""

    __slots__ = ()

    def _order(self, item: Entry) -> str:
        identifier: str = item.value.id
        return identifier

    def _frame(self) -> tuple[bytes, bytes]:
        return self._framed(b"{", b"}}", b"null")

    def _rows(self, items: Iterable[Entry]) -> dict[str, Any]:
        return {row.id: row for row in self._kept([rows.service_row(entry) for entry in items])}


class CatalogNodeServices(NodeRead):
    """``GET /v1/catalog/node-services/:node``: its services as a list, ``null`` if there is nothing to filter."""

    __slots__ = ()

    def _order(self, item: Entry) -> tuple[str, str]:
        return _by_node_and_id(item)

    def _frame(self) -> tuple[bytes, bytes]:
        none = b'{"Node":null,"Services":null}'
        if self._keep is None and not self._items():
            return self._framed(b"null", b"}", none)
        return self._framed(b"[", b"]}", none)

    def _rows(self, items: Iterable[Entry]) -> list[Any]:
        return self._kept([rows.service_row(entry) for entry in items])


# ----- checks ---------------------------------------------------------------------------------------------------------


class ChecksRead(Rows):
    """A list of checks."""

    __slots__ = ()

    def index(self) -> int:
        """That of all checks anywhere, and of nodes where their metadata decides."""
        catalog = self._catalog
        checks = catalog.checks.revision
        return max(checks, catalog.nodes.revision) if self._selection.node_meta else checks

    def _order(self, item: Entry) -> tuple[str, str]:
        return _by_node_and_id(item)

    def _rows(self, items: Iterable[Entry]) -> list[Any]:
        return self._kept(rows.check_rows(self._catalog, self._on_wanted_nodes(items)))

    def _on_wanted_nodes(self, items: Iterable[Entry]) -> Iterable[Entry]:
        if not self._selection.node_meta:
            return items
        nodes = rows.AnswerNodes(self._catalog, self._datacenter)
        return [entry for entry in items if (node := nodes.find(entry.value.node)) and self._has_meta(node.record.meta)]

    def _with_nodes(self, *topics: Topic) -> Sequence[Topic]:
        return (*topics, self._catalog.nodes) if self._selection.node_meta else topics


class HealthState(ChecksRead):
    """``GET /v1/health/state/:state``: the checks with a status, or with ``any``."""

    __slots__ = ()

    @property
    def topics(self) -> Sequence[Topic]:
        """The checks that enter, leave or change within the status. What is no status never has any."""
        if self._name == ANY_STATE:
            return self._with_nodes(self._catalog.checks)
        return self._with_nodes(self._catalog.state(self._name)) if self._name in STATES else self._with_nodes()

    def _items(self) -> list[Entry]:
        if self._name != ANY_STATE and self._name not in STATES:
            return []
        found = _on_nodes(self._catalog, self._catalog.image.group(("node",)).values(), "chk")
        return found if self._name == ANY_STATE else [entry for entry in found if entry.value.status == self._name]


class HealthNode(ChecksRead):
    """``GET /v1/health/node/:node``: all checks on a node."""

    __slots__ = ("_index",)

    def __init__(self, catalog: Catalog, datacenter: str, name: str, selection: Selection, keep: Keep | None) -> None:
        super().__init__(catalog, datacenter, name, selection, keep)
        self._index = catalog.node_index(name)

    @property
    def topics(self) -> Sequence[Topic]:
        """The checks on the node."""
        return (self._index.checks,)

    def _items(self) -> list[Entry]:
        return list(self._catalog.image.group(("chk", self._name.lower())).values())


class HealthChecks(ChecksRead):
    """``GET /v1/health/checks/:service``: the checks of all instances of a service.

    When no service has the name, it is taken for the id of an instance on the node ``agent``; Consul has no such rule.
    """

    __slots__ = ("_agent", "_index")

    def __init__(
        self, catalog: Catalog, datacenter: str, name: str, selection: Selection, keep: Keep | None, *, agent: str
    ) -> None:
        super().__init__(catalog, datacenter, name, selection, keep)
        self._agent = agent
        self._index = catalog.service_index(name)

    @property
    def topics(self) -> Sequence[Topic]:
        """The checks of the service's instances."""
        if not self._index.present and (instance := self._by_id()) is not None:
            return self._with_nodes(self._index.checks, self._catalog.service_index(instance.value.name).checks)
        return self._with_nodes(self._index.checks)

    def _items(self) -> list[Entry]:
        catalog = self._catalog
        instances = list(catalog.image.group(("name", self._name.lower())).values())
        if not instances and (instance := self._by_id()) is not None:
            instances = [instance]
        found: list[Entry] = []
        for entry in instances:
            found.extend(catalog.service_checks(entry.value.node, entry.value.id))
        return found

    def _by_id(self) -> Entry | None:
        return self._catalog.service(self._agent, self._name)


def _on_nodes(catalog: Catalog, nodes: Iterable[Entry], kind: str) -> list[Entry]:
    """All services ("svc") or checks ("chk") on some nodes, in no order."""
    found: list[Entry] = []
    for node in nodes:
        found.extend(catalog.image.group((kind, node.value.name.lower())).values())
    return found


def _encoded_tags(found: Mapping[str, set[str]]) -> bytes:
    return golang.encode({name: sorted(tags) for name, tags in found.items()})


def _by_node_and_id(entry: Entry) -> tuple[str, str]:
    record: ServiceRecord | CheckRecord = entry.value
    return record.node.lower(), record.id.lower()
