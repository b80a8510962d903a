"""Decoding of objects: types are checked, unknown fields are dropped or refused, as the Go structs have it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from tests.servers.kubernetes.simulation.statuses import bad_request


@dataclass(frozen=True)
class Struct:
    """A Go struct: its name and its fields."""

    name: str
    fields: Mapping[str, "Shape"]


@dataclass(frozen=True)
class ListOf:
    """A slice; what is empty is null, as it comes back from the storage."""

    of: "Shape"


@dataclass(frozen=True)
class MapOf:
    """A map of strings."""

    of: "Shape"


@dataclass(frozen=True)
class Leaf:
    """A value, under the name of its Go type."""

    go: str
    types: tuple[type, ...]


Shape: TypeAlias = Struct | ListOf | MapOf | Leaf | None
ANYTHING = None
STRING = Leaf("string", (str,))
INT32 = Leaf("int32", (int,))
INT64 = Leaf("int64", (int,))
BOOL = Leaf("bool", (bool,))
INT_OR_STRING = Leaf("intstr.IntOrString", (int, str))

OWNER = Struct(
    "OwnerReference",
    dict.fromkeys(("apiVersion", "kind", "name", "uid"), STRING) | {"controller": BOOL, "blockOwnerDeletion": BOOL},
)
METADATA = Struct(
    "ObjectMeta",
    {
        **dict.fromkeys(("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"), STRING),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), STRING),
        "generation": INT64,
        "deletionGracePeriodSeconds": INT64,
        "labels": MapOf(STRING),
        "annotations": MapOf(STRING),
        "ownerReferences": ListOf(OWNER),
        "finalizers": ListOf(STRING),
        "managedFields": ANYTHING,
    },
)
REFERENCE = Struct(
    "ObjectReference",
    dict.fromkeys(("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"), STRING),
)
ENDPOINT = Struct(
    "Endpoint",
    {
        "addresses": ListOf(STRING),
        "conditions": Struct("EndpointConditions", dict.fromkeys(("ready", "serving", "terminating"), BOOL)),
        "hostname": STRING,
        "targetRef": REFERENCE,
        "deprecatedTopology": MapOf(STRING),
        "nodeName": STRING,
        "zone": STRING,
        "hints": ANYTHING,
    },
)
ENDPOINT_PORT = Struct("EndpointPort", {"name": STRING, "protocol": STRING, "port": INT32, "appProtocol": STRING})
SERVICE_PORT = Struct(
    "ServicePort",
    {
        **dict.fromkeys(("name", "protocol", "appProtocol"), STRING),
        **dict.fromkeys(("port", "nodePort"), INT32),
        "targetPort": INT_OR_STRING,
    },
)
SERVICE_SPEC = Struct(
    "ServiceSpec",
    {
        "ports": ListOf(SERVICE_PORT),
        "selector": MapOf(STRING),
        **dict.fromkeys(("clusterIP", "type", "sessionAffinity", "externalName", "ipFamilyPolicy"), STRING),
        **dict.fromkeys(("internalTrafficPolicy", "externalTrafficPolicy", "trafficDistribution"), STRING),
        **{name: ListOf(STRING) for name in ("clusterIPs", "ipFamilies", "externalIPs")},
        "publishNotReadyAddresses": BOOL,
    },
)
LEASE_SPEC = Struct(
    "LeaseSpec",
    {
        **dict.fromkeys(("holderIdentity", "acquireTime", "renewTime", "strategy", "preferredHolder"), STRING),
        **dict.fromkeys(("leaseDurationSeconds", "leaseTransitions"), INT32),
    },
)


class DecodingError(Exception):
    """A value has another type than its field."""


def top(name: str, **fields: Shape) -> Struct:
    """A kind of object."""
    return Struct(name, {"kind": STRING, "apiVersion": STRING, "metadata": METADATA, **fields})


def decode(value: Any, shape: Shape, *, where: str, strict: bool) -> Any:
    """The value without what is unknown (with `strict` that is refused), and without what is empty."""
    unknown: list[str] = []
    decoded = _decode(value, shape, struct=where, path="", unknown=unknown)
    if strict and unknown:
        told = ", ".join(f'unknown field "{field}"' for field in unknown)
        raise bad_request(f'{where} in version "v1" cannot be handled as a {where}: strict decoding error: {told}')
    return decoded


def unknown_fields(value: Any, shape: Shape, *, where: str) -> list[str]:
    """The fields of a value that its shape does not have."""
    unknown: list[str] = []
    _decode(value, shape, struct=where, path="", unknown=unknown)
    return unknown


def _decode(value: Any, shape: Shape, *, struct: str, path: str, unknown: list[str]) -> Any:
    if shape is ANYTHING or value is None:
        return value
    if isinstance(shape, Leaf):
        if not isinstance(value, shape.types) or (isinstance(value, bool) and bool not in shape.types):
            _refuse(value, shape.go, struct, path)
        return value
    if isinstance(shape, ListOf):
        if not isinstance(value, list):
            of = shape.of.go if isinstance(shape.of, Leaf) else f"v1.{getattr(shape.of, 'name', '')}"
            _refuse(value, f"[]{of}", struct, path)
        return [_decode(item, shape.of, struct=struct, path=path, unknown=unknown) for item in value] or None
    if not isinstance(value, dict):
        _refuse(value, "struct" if isinstance(shape, Struct) else "map[string]string", struct, path)
    if isinstance(shape, MapOf):
        return {key: _decode(item, shape.of, struct=struct, path=path, unknown=unknown) for key, item in value.items()}
    result = {}
    for key, item in value.items():
        below = f"{path}.{key}" if path else key
        if key not in shape.fields:
            unknown.append(below)
            continue
        decoded = _decode(item, shape.fields[key], struct=shape.name, path=below, unknown=unknown)
        if decoded is not None:
            result[key] = decoded
    return result


def _refuse(value: object, go: str, struct: str, path: str) -> NoReturn:
    kinds = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    raise DecodingError(
        f"json: cannot unmarshal {kinds[type(value)]} into Go struct field {struct}.{path} of type {go}"
    )
