"""The ``ContentHash`` by which ``agent/service/:id`` is waited for: the very number that Consul computes. Pure.

Consul hashes its own view of the service by walking over the Go struct: every scalar is hashed with FNV-1 in 64 bits
(http://www.isthe.com/chongo/tech/comp/fnv/), a struct is the name of its type combined with its fields in any order, a
list depends on its order, a map does not. Empty fields count like all others, so the names of the fields that Consul
has are part of the value; what the hash, the indexes and the datacenter hold is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from homeport.wire import consul

_OFFSET_BASIS = 0xCBF29CE484222325
_PRIME = 0x100000001B3
_MASK = (1 << 64) - 1


def content_hash(service: consul.AgentService) -> str:
    """The hash of a service, in hexadecimal without leading zeros.

    It is Consul's own for every service but a proxy. The block of a proxy is kept as the JSON it came as and hashed as
    such, so there it changes when the service does, but is another number than Consul's.
    """
    return f"{_struct('AgentService', _fields(service)):x}"


def _fields(service: consul.AgentService) -> dict[str, int]:
    return {
        "Kind": _text(service.kind),
        "ID": _text(service.id),
        "Service": _text(service.service),
        "Tags": _list(_text(tag) for tag in service.tags),
        "Meta": _map({key: _text(value) for key, value in service.meta.items()}),
        "Port": _integer(service.port),
        "Address": _text(service.address),
        "SocketPath": _text(service.socket_path),
        "TaggedAddresses": _map({name: _address(at) for name, at in (service.tagged_addresses or {}).items()}),
        "Weights": _struct(
            "AgentWeights",
            {"Passing": _integer(service.weights.passing), "Warning": _integer(service.weights.warning)},
        ),
        "EnableTagOverride": _switch(service.enable_tag_override),
        "CreateIndex": _integer(0),
        "ModifyIndex": _integer(0),
        "ContentHash": _text(""),
        "Proxy": _nothing() if isinstance(service.proxy, msgspec.UnsetType) else _json(service.proxy),
        "Connect": _nothing() if isinstance(service.connect, msgspec.UnsetType) else _connect(service.connect),
        "PeerName": _text(service.peer_name),
    }


def _address(address: consul.ServiceAddress) -> int:
    return _struct("ServiceAddress", {"Address": _text(address.address), "Port": _integer(address.port)})


def _connect(raw: msgspec.Raw) -> int:
    native = bool(msgspec.json.decode(raw).get("Native"))
    return _struct("AgentServiceConnect", {"Native": _switch(native), "SidecarService": _nothing()})


def _json(raw: msgspec.Raw) -> int:
    return _any(msgspec.json.decode(raw))


def _any(value: Any) -> int:
    match value:
        case dict():
            return _map({key: _any(member) for key, member in value.items()})
        case list():
            return _list(_any(item) for item in value)
        case bool():
            return _switch(value)
        case None:
            return _nothing()
        case _:
            return _text(str(value))


def _struct(name: str, fields: Mapping[str, int]) -> int:
    result = _text(name)
    for field, value in fields.items():
        result ^= _pair(_text(field), value)
    return result


def _map(members: Mapping[str, int]) -> int:
    result = 0
    for key, value in members.items():
        result ^= _pair(_text(key), value)
    return result


def _list(items: Iterable[int]) -> int:
    result = 0
    for item in items:
        result = _pair(result, item)
    return result


def _pair(first: int, second: int) -> int:
    return _fnv(first.to_bytes(8, "little") + second.to_bytes(8, "little"))


def _text(text: str) -> int:
    return _fnv(text.encode())


def _integer(number: int) -> int:
    return _fnv(number.to_bytes(8, "little", signed=True))


def _switch(value: bool) -> int:  # noqa: FBT001  # the value that is hashed, not an option
    return _fnv(b"\x01" if value else b"\x00")


def _nothing() -> int:
    """Go's nil pointer, which counts as the integer 0."""
    return _integer(0)


def _fnv(data: bytes) -> int:
    result = _OFFSET_BASIS
    for byte in data:
        result = (result * _PRIME & _MASK) ^ byte
    return result
