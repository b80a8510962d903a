"""What the registry must not lose: the shapes of its records and the keys they stand under.

A record is a key, a value and two revisions. Keys are text of the form ``table/part/part``, every part escaped, so
that everything of a node stands under one prefix (``node/n``, ``svc/n/…``, ``chk/n/…``). Names and ids compare
without case, as in Consul's state store, so keys hold them in lower case and values as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from ..model import Status

R = TypeVar("R", bound="Record")
_is_plain = re.compile(r"[a-z0-9_.:~-]*").fullmatch
Group = tuple[Hashable, ...]
"""What a record is found by, beside its key: for instance ``("svc", node)``."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A value of the store. Fields with their default are not written, so fields can be added later.

    Records form no cycles and come by the hundred thousand, so the garbage collector is not told of them: at 100 000
    instances its full collections would take longer than all the rest of loading them.
    """


class StoreRecord(Record, frozen=True, kw_only=True):
    """The identity of the store: who it is, and the one logical agent that all its replicas are."""

    id: str
    node: str
    node_id: str
    datacenter: str
    format: int = 1


class NodeRecord(Record, frozen=True, kw_only=True):
    """A host. ``id`` is a UUID, or empty for nodes registered without one."""

    name: str
    id: str = ""
    address: str = ""
    tagged_addresses: dict[str, str] = {}
    meta: dict[str, str] = {}
    locality: bytes = b""


class ServiceRecord(Record, frozen=True, kw_only=True):
    """One instance of the service ``name``, on a node. An empty ``address`` means the node's."""

    node: str
    id: str
    name: str
    kind: str = ""
    tags: tuple[str, ...] = ()
    address: str = ""
    port: int = 0
    socket_path: str = ""
    tagged_addresses: dict[str, tuple[str, int]] = {}
    meta: dict[str, str] = {}
    weights: tuple[int, int] = (1, 1)
    enable_tag_override: bool = False
    proxy: bytes = b""
    connect: bytes = b""
    locality: bytes = b""


class CheckDefinition(Record, frozen=True, kw_only=True):
    """How a check is executed; times in seconds. ``kind`` names the only part that counts; empty: never executed.

    ``options`` are for kinds that other packages bring. Where a number may be 0, that is the registry's default.
    """

    kind: str = ""
    http: str = ""
    method: str = ""
    header: dict[str, tuple[str, ...]] = {}
    body: str = ""
    disable_redirects: bool = False
    expected_status: int = 0
    expected_body: str = ""
    tcp: str = ""
    tcp_use_tls: bool = False
    grpc: str = ""
    grpc_use_tls: bool = False
    script: tuple[str, ...] = ()
    alias_node: str = ""
    alias_service: str = ""
    ttl: float = 0.0
    interval: float = 0.0
    timeout: float = 0.0
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    success_before_passing: int = 0
    failures_before_warning: int = 0
    failures_before_critical: int = 0
    deregister_after: float = 0.0
    output_max_bytes: int = 0
    options: dict[str, str] = {}


class CheckRecord(Record, frozen=True, kw_only=True):
    """A health check and its committed state.

    ``service_id`` is empty for a check of the node itself. ``executed`` tells the checks that this registry runs (or
    whose TTL it counts) from those that somebody writes into the catalog. ``critical_since`` is the Unix time of the
    turn to critical, 0 otherwise. ``wire_definition`` is what a catalog registration gave as ``Definition``, kept as
    it came.
    """

    node: str
    id: str
    name: str = ""
    status: Status = "critical"
    notes: str = ""
    output: str = ""
    service_id: str = ""
    service_name: str = ""
    type: str = ""
    interval: str = ""
    timeout: str = ""
    exposed_port: int = 0
    definition: CheckDefinition | None = None
    wire_definition: bytes = b""
    executed: bool = False
    origin: str = ""
    critical_since: float = 0.0


class Transition(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One committed change of a check's status, at a Unix time."""

    at: float
    status: Status
    output: str = ""


class HistoryRecord(Record, frozen=True, kw_only=True):
    """The newest transitions of a check, oldest first; written with the change itself."""

    node: str
    check_id: str
    transitions: tuple[Transition, ...] = ()


class SourceRecord(Record, frozen=True, kw_only=True):
    """A node whose services are mirrored from elsewhere, and who does that: only ``owner`` may write what is on it.

    ``url`` says where they come from, without credentials.
    """

    node: str
    url: str
    owner: str


class Table(Generic[R]):
    """One kind of record: its prefix, its shape, how its key is made, and the groups it is found by."""

    __slots__ = ("_decoder", "groups", "parts", "prefix", "shape")

    def __init__(
        self,
        prefix: str,
        shape: type[R],
        parts: Callable[[R], tuple[str, ...]],
        groups: Callable[[R], tuple[Group, ...]],
    ) -> None:
        self.prefix = prefix
        self.shape = shape
        self.parts = parts
        self.groups = groups
        self._decoder = msgspec.json.Decoder(shape)

    def key(self, *parts: str) -> str:
        """The key of the record with these parts."""
        return "/".join((self.prefix, *map(_escaped, parts)))

    def key_of(self, record: R) -> str:
        """The key under which ``record`` stands."""
        return self.key(*self.parts(record))

    def decode(self, value: bytes) -> R:
        """The record in ``value``; raises `msgspec.DecodeError` when it is not one."""
        return self._decoder.decode(value)


def _escaped(part: str) -> str:
    lowered = part.lower()
    return lowered if _is_plain(lowered) else quote(lowered, safe="-_.:~")


STORE = Table("store", StoreRecord, lambda _: ("identity",), lambda _: ())
NODES = Table(
    "node", NodeRecord, lambda r: (r.name,), lambda r: (("node",), ("nodeid", r.id.lower())) if r.id else (("node",),)
)
SERVICES = Table(
    "svc", ServiceRecord, lambda r: (r.node, r.id), lambda r: (("svc", r.node.lower()), ("name", r.name.lower()))
)
CHECKS = Table(
    "chk", CheckRecord, lambda r: (r.node, r.id),
    lambda r: (("chk", r.node.lower()), ("chk", r.node.lower(), r.service_id.lower())),
)  # fmt: skip
HISTORY = Table("hist", HistoryRecord, lambda r: (r.node, r.check_id), lambda r: (("hist", r.node.lower()),))
SOURCES = Table("src", SourceRecord, lambda r: (r.node,), lambda _: (("src",),))

TABLES: dict[str, Table[Any]] = {table.prefix: table for table in (STORE, NODES, SERVICES, CHECKS, HISTORY, SOURCES)}


def table_of(key: str) -> Table[Any]:
    """The table that ``key`` belongs to; raises `KeyError` for a key this version does not know."""
    return TABLES[key.partition("/")[0]]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A record in memory: its key, its decoded value, and the revisions that created and last changed it."""

    key: str
    value: Any
    created: int
    modified: int
