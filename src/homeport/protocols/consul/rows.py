"""Records as the rows of Consul's answers. Pure: catalog in, wire shapes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from homeport.registry.catalog import Catalog
from homeport.registry.records import CheckRecord, Entry, NodeRecord, ServiceRecord
from homeport.wire import consul

_ONE_EACH = (1, 1)
_DEFINITION_DECODER = msgspec.json.Decoder(consul.HealthCheckDefinition)
_LOCALITY_DECODER = msgspec.json.Decoder(consul.Locality)


class NodeRows:
    """A node as the rows that all its instances share in one answer."""

    __slots__ = ("checks", "passes", "record", "row")

    def __init__(self, catalog: Catalog, entry: Entry, datacenter: str) -> None:
        self.record: NodeRecord = entry.value
        self.row = node_row(entry, datacenter)
        own_checks = catalog.node_checks(self.record.name)
        self.checks = [check_row(check, ()) for check in own_checks]
        self.passes = all_pass(own_checks)


class AnswerNodes:
    """The nodes of one answer, each made into rows once. Not to be kept over an await."""

    __slots__ = ("_catalog", "_datacenter", "_known")

    def __init__(self, catalog: Catalog, datacenter: str) -> None:
        self._catalog = catalog
        self._datacenter = datacenter
        self._known: dict[str, NodeRows | None] = {}

    def find(self, name: str) -> NodeRows | None:
        """The rows of a node; None while it is unknown."""
        try:
            return self._known[name]
        except KeyError:
            entry = self._catalog.node(name)
            found = None if entry is None else NodeRows(self._catalog, entry, self._datacenter)
            self._known[name] = found
            return found


def node_row(entry: Entry, datacenter: str) -> consul.Node:
    """A node as in ``catalog/nodes`` and health entries."""
    record: NodeRecord = entry.value
    return consul.Node(
        id=record.id, node=record.name, address=record.address, datacenter=datacenter,
        tagged_addresses=record.tagged_addresses or None, meta=record.meta or None, locality=_locality(record.locality),
        create_index=entry.created, modify_index=entry.modified,
    )  # fmt: skip


def service_row(entry: Entry) -> consul.NodeService:
    """An instance as in health entries and ``catalog/node``."""
    record: ServiceRecord = entry.value
    return consul.NodeService(
        kind=record.kind, id=record.id, service=record.name, tags=list(record.tags), address=record.address,
        tagged_addresses=_addresses(record), meta=record.meta or None, port=record.port, socket_path=record.socket_path,
        weights=_weights(record), enable_tag_override=record.enable_tag_override, locality=_locality(record.locality),
        proxy=msgspec.Raw(record.proxy) if record.proxy else consul.NO_PROXY,
        connect=msgspec.Raw(record.connect) if record.connect else consul.EMPTY_OBJECT,
        create_index=entry.created, modify_index=entry.modified,
    )  # fmt: skip


def catalog_row(entry: Entry, node: NodeRecord, datacenter: str) -> consul.CatalogService:
    """An instance with its node as one flat row of ``catalog/service``."""
    record: ServiceRecord = entry.value
    return consul.CatalogService(
        id=node.id, node=node.name, address=node.address, datacenter=datacenter,
        tagged_addresses=node.tagged_addresses or None, node_meta=node.meta or None, service_kind=record.kind,
        service_id=record.id, service_name=record.name, service_tags=list(record.tags), service_address=record.address,
        service_tagged_addresses=_addresses(record), service_weights=_weights(record), service_meta=record.meta,
        service_port=record.port, service_socket_path=record.socket_path,
        service_enable_tag_override=record.enable_tag_override,
        service_proxy=msgspec.Raw(record.proxy) if record.proxy else consul.NO_PROXY,
        service_connect=msgspec.Raw(record.connect) if record.connect else consul.EMPTY_OBJECT,
        service_locality=_locality(record.locality), create_index=entry.created, modify_index=entry.modified,
    )  # fmt: skip


def check_row(entry: Entry, tags: tuple[str, ...]) -> consul.HealthCheck:
    """A check with the tags of its service (none for a node's own check).

    ``Definition`` is what a catalog registration gave. Consul's agent shows none for the checks that it executes.
    """
    record: CheckRecord = entry.value
    return consul.HealthCheck(
        node=record.node, check_id=record.id, name=record.name, status=record.status, notes=record.notes,
        output=record.output, service_id=record.service_id, service_name=record.service_name, service_tags=list(tags),
        type=record.type, interval=record.interval, timeout=record.timeout, exposed_port=record.exposed_port,
        definition=(
            _DEFINITION_DECODER.decode(record.wire_definition) if record.wire_definition else consul.NO_DEFINITION
        ),
        create_index=entry.created, modify_index=entry.modified,
    )  # fmt: skip


def check_rows(catalog: Catalog, entries: Iterable[Entry]) -> list[consul.HealthCheck]:
    """Checks, each with the tags that its service has now."""
    rows = []
    for entry in entries:
        record: CheckRecord = entry.value
        service = catalog.service(record.node, record.service_id) if record.service_id else None
        rows.append(check_row(entry, service.value.tags if service is not None else ()))
    return rows


def health_row(catalog: Catalog, entry: Entry, node: NodeRows, *, passing: bool) -> consul.ServiceEntry | None:
    """An instance with its node and all checks of both, the node's first.

    None when only instances that are ``passing`` are wanted and this one is not.
    """
    record: ServiceRecord = entry.value
    own_checks = catalog.service_checks(record.node, record.id)
    if passing and not (node.passes and all_pass(own_checks)):
        return None
    checks = [*node.checks, *[check_row(check, record.tags) for check in own_checks]]
    return consul.ServiceEntry(node=node.row, service=service_row(entry), checks=checks)


def all_pass(checks: Sequence[Entry]) -> bool:
    """Whether every one of these checks passes; no checks do."""
    return all(check.value.status == "passing" for check in checks)


def _weights(record: ServiceRecord) -> consul.Weights:
    if record.weights == _ONE_EACH:
        return consul.DEFAULT_WEIGHTS
    return consul.Weights(passing=record.weights[0], warning=record.weights[1])


def _addresses(record: ServiceRecord) -> dict[str, consul.ServiceAddress] | None:
    if not record.tagged_addresses:
        return None
    return {
        name: consul.ServiceAddress(address=address, port=port)
        for name, (address, port) in record.tagged_addresses.items()
    }


def _locality(raw: bytes) -> consul.Locality | None:
    return _LOCALITY_DECODER.decode(raw) if raw else None
