"""Decodes what arrives over Consul's HTTP API: request bodies strictly, as Consul does, and answers tolerantly.

A body is first given to msgspec. Only when that refuses it, a slow decoder reads it again with Consul's habits (names
of any case, aliases, ``null`` anywhere, durations as numbers) and owns the text of the error. Both are driven by the
shapes of ``consul``; what the shapes cannot tell (aliases, Go's names of types) stands in the tables below.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Raw, Struct

from . import consul, consul_mesh
from .durations import DurationError, format_nanoseconds, parse_nanoseconds
from .golang import quote
from .json_reader import JSONError, Number, Pairs, plain, read_json, without_surrogates

S = TypeVar("S", bound=Struct)
T = TypeVar("T")


class DecodeError(ValueError):
    """A body is not what it should be. For a request the message is Consul's whole answer, to be sent with 400."""


def decode(body: bytes, shape: type[S]) -> S:
    """The request body as a shape, decoded as Consul decodes it.

    Raises DecodeError whose message starts with ``Request decode failed: ``. For ServiceRegistration the body may also
    be wrapped in ``{"service": …}``.
    """
    try:
        decoded: S = _fast_decoder(shape).decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # the slow decoder knows better, or finds better words
    else:
        if not _has_mesh_blocks(decoded):
            return decoded
    try:
        value = read_json(body)
        if shape is consul.ServiceRegistration:
            value = _unwrapped(value)
        decoded = _struct_plan(shape, strict=True).read(value) or shape()
    except _Mismatch as mismatch:
        raise DecodeError(f"Request decode failed: {mismatch.text()}") from None
    except (JSONError, DurationError, _UnknownField) as error:
        raise DecodeError(f"Request decode failed: {error}") from None
    return decoded


def decode_answer(body: bytes, shape: type[T]) -> T:
    """An answer of a Consul server as a shape, or as a list or dict of shapes.

    Fields that are missing, null or unknown are tolerated, and so is a null instead of a list or dict. Raises
    DecodeError for anything that cannot be understood.
    """
    declared: Any = shape
    try:
        answer: T = _fast_decoder(declared).decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    else:
        return answer
    try:
        value = _reader_of(declared, strict=False)(read_json(body))
        answer = _zero_of(declared) if value is None else value
    except _Mismatch as mismatch:
        raise DecodeError(mismatch.text()) from None
    except (JSONError, DurationError, TypeError) as error:
        raise DecodeError(str(error)) from None
    return answer


# ----- tables ---------------------------------------------------------------------------------------------------------


def _snake_case(*attributes: str) -> Mapping[str, str]:
    """Aliases that are the attributes' own names."""
    return {attribute: attribute for attribute in attributes}


_CHECK_ALIASES: Final = {
    "args": "script_args",
    **_snake_case(
        "script_args",
        "deregister_critical_service_after",
        "docker_container_id",
        "tls_server_name",
        "tls_skip_verify",
        "tcp_use_tls",
        "grpc_use_tls",
        "h2ping_use_tls",
        "disable_redirects",
        "service_id",
    ),
}

_ALIASES: Final[Mapping[type[Struct], Mapping[str, str]]] = {
    consul.AgentCheck: _CHECK_ALIASES,
    consul.CheckRegistration: _CHECK_ALIASES,
    consul.ServiceRegistration: _snake_case("enable_tag_override", "tagged_addresses"),
    consul_mesh.Connect: _snake_case("sidecar_service"),
    consul_mesh.Proxy: _snake_case(
        "destination_service_name",
        "destination_service_id",
        "local_service_address",
        "local_service_port",
        "local_service_socket_path",
        "mesh_gateway",
        "transparent_proxy",
        "access_logs",
    ),
    consul_mesh.Upstream: _snake_case(
        "destination_type",
        "destination_partition",
        "destination_namespace",
        "destination_peer",
        "destination_name",
        "local_bind_address",
        "local_bind_port",
        "local_bind_socket_path",
        "local_bind_socket_mode",
        "mesh_gateway",
    ),
    consul_mesh.ExposePath: _snake_case("listener_port", "local_path_port", "parsed_from_check"),
}
"""Second names of fields, and the attribute that they set unless its own name did."""

_GO_TYPES: Final[Mapping[type[Struct], str]] = {
    consul.AgentCheck: "structs.CheckType",
    consul.CatalogCheckBody: "structs.HealthCheck",
    consul.CatalogDeregistration: "structs.DeregisterRequest",
    consul.CatalogRegistration: "structs.RegisterRequest",
    consul.CatalogServiceBody: "structs.NodeService",
    consul.CheckRegistration: "structs.CheckDefinition",
    consul.CheckUpdate: "agent.checkUpdate",
    consul.ServiceRegistration: "structs.ServiceDefinition",
    consul_mesh.AccessLogs: "structs.AccessLogsConfig",
    consul_mesh.Connect: "structs.ServiceConnect",
    consul_mesh.Expose: "structs.ExposeConfig",
    consul_mesh.MeshGateway: "structs.MeshGatewayConfig",
    consul_mesh.Proxy: "structs.ConnectProxyConfig",
    consul_mesh.TransparentProxy: "structs.TransparentProxyConfig",
}
"""Go's names of the types, where they are not ``structs.`` and the name of the shape."""

_GO_FIELD_TYPES: Final[Mapping[tuple[type[Struct], str], str]] = {
    (consul.ServiceRegistration, "Kind"): "structs.ServiceKind",
    (consul.ServiceRegistration, "Checks"): "structs.CheckTypes",
    (consul.AgentCheck, "CheckID"): "types.CheckID",
    (consul.CheckRegistration, "ID"): "types.CheckID",
    (consul.CatalogRegistration, "ID"): "types.NodeID",
    (consul.CatalogRegistration, "Checks"): "structs.HealthChecks",
    (consul.CatalogServiceBody, "Kind"): "structs.ServiceKind",
    (consul.CatalogCheckBody, "CheckID"): "types.CheckID",
    (consul.CatalogDeregistration, "CheckID"): "types.CheckID",
    (consul_mesh.MeshGateway, "Mode"): "structs.MeshGatewayMode",
    (consul_mesh.Proxy, "Mode"): "structs.ProxyMode",
    (consul_mesh.Proxy, "Upstreams"): "structs.Upstreams",
}
"""Go's names of the types of single fields, where the type here does not tell."""

_OWN_DECODERS: Final = frozenset(
    (
        consul.AgentCheck,
        consul.CatalogDeregistration,
        consul.CheckRegistration,
        consul.HealthCheckDefinition,
        consul.ServiceRegistration,
        consul_mesh.Connect,
        consul_mesh.ExposePath,
        consul_mesh.Proxy,
        consul_mesh.Upstream,
    )
)
"""Shapes that Consul decodes by a method of its own: a mistake inside is reported at the field that holds them."""

_MESH_BLOCKS: Final[Mapping[str | None, type[Struct]]] = {"proxy": consul_mesh.Proxy, "connect": consul_mesh.Connect}
"""What stands in the blocks that shapes carry as JSON, by the title of their type."""

_ENTERPRISE_FIELDS: Final = {"Namespace": " - Namespaces are a Consul Enterprise feature"}
_ENTERPRISE_HINT_IN: Final = frozenset((consul.CatalogRegistration, consul.CatalogDeregistration))


# ----- the fast way ---------------------------------------------------------------------------------------------------


@cache
def _fast_decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def _has_mesh_blocks(body: Struct) -> bool:
    """Whether a body has blocks that the fast decoder does not look into."""
    service = body.service if isinstance(body, consul.CatalogRegistration) else body
    if isinstance(service, consul.ServiceRegistration | consul.CatalogServiceBody):
        return service.proxy is not None or service.connect is not None
    return False


# ----- the slow way ---------------------------------------------------------------------------------------------------

_Reader = Callable[[Any], Any]
"""Turns a value of ``read_json`` into an attribute; None stands for null, that is for "not given"."""

_INT64_MAXIMUM: Final = 2**63 - 1
_UINT64_MAXIMUM: Final = 2**64 - 1


class _UnknownField(ValueError):
    pass


class _Mismatch(ValueError):
    """A value has the wrong type. On its way out it collects where, in the words of Go's UnmarshalTypeError."""

    def __init__(self, found: str, wanted: str) -> None:
        super().__init__()
        self._found = found
        self._wanted = wanted
        self._struct: str | None = None
        self._path: tuple[str, ...] = ()

    def inside(self, struct: str, field: str) -> None:
        """The value is (in) this field; the innermost struct names the whole path."""
        self._path = (field, *self._path)
        if self._struct is None:
            self._struct = struct

    def forget_place(self) -> None:
        """What follows is all that the field holding this value will say."""
        self._struct = None
        self._path = ()

    def text(self) -> str:
        """Go's message."""
        place = f"struct field {self._struct}.{'.'.join(self._path)}" if self._path else "value"
        return f"json: cannot unmarshal {self._found} into Go {place} of type {self._wanted}"


def _unwrapped(value: Any) -> Any:
    """The inner object of ``{"service": {…}}``; Consul's own agent configuration files have that form."""
    if isinstance(value, Pairs) and len(value) == 1:
        (name, inner) = value[0]
        if name.casefold() == "service" and isinstance(inner, Pairs):
            return inner
    return value


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Number):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Pairs) else "array"


def _reader_of(declared: Any, *, strict: bool, go_type: str | None = None) -> _Reader:
    """The reader of a declared type: a struct, list, dict, scalar, or one of these and None."""
    declared, title = _without_decoration(declared)
    if title == "duration":
        return _duration_text if declared is str else _duration_number
    if title in _MESH_BLOCKS:
        read_block = _struct_reader(_MESH_BLOCKS[title], strict=strict)
        return lambda value: msgspec.to_builtins(read_block(value))
    if declared is Raw:
        return lambda value: None if value is None else Raw(msgspec.json.encode(plain(value)))
    if declared is Any:
        return plain
    if isinstance(declared, type) and issubclass(declared, Struct):
        return _struct_reader(declared, strict=strict)
    wanted = go_type or _go_type(declared)
    origin = get_origin(declared)
    if origin is list:
        return _list_reader(get_args(declared)[0], wanted=wanted, strict=strict)
    if origin is dict:
        return _dict_reader(get_args(declared)[1], wanted=wanted, strict=strict)
    # Bodies hold Go's ints; answers also hold its uint64.
    return _scalar_reader(declared, wanted=wanted, largest=_INT64_MAXIMUM if strict else _UINT64_MAXIMUM)


def _without_decoration(declared: Any) -> tuple[Any, str | None]:
    """The type without ``Annotated`` and without None and UNSET beside it, and its title."""
    title = None
    if metadata := getattr(declared, "__metadata__", None):
        title = next((item.title for item in metadata if isinstance(item, msgspec.Meta)), None)
        declared = get_args(declared)[0]
    if get_origin(declared) in (Union, types.UnionType):
        members = [member for member in get_args(declared) if member not in (type(None), msgspec.UnsetType)]
        return _without_decoration(members[0])
    return declared, title


def _go_type(declared: Any) -> str:
    if isinstance(declared, type) and issubclass(declared, Struct):
        return _GO_TYPES.get(declared) or f"structs.{declared.__name__}"
    arguments = [_go_type(_without_decoration(argument)[0]) for argument in get_args(declared)]
    if get_origin(declared) is list:
        return f"[]{arguments[0]}"
    if get_origin(declared) is dict:
        return f"map[{arguments[0]}]{arguments[1]}"
    return {str: "string", int: "int", bool: "bool", bytes: "[]uint8", Any: "interface {}"}[declared]


def _scalar_reader(declared: type, *, wanted: str, largest: int) -> _Reader:
    def read(value: Any) -> Any:
        if value is None:
            return None
        kind = _kind_of(value)
        if declared is bool and kind == "bool":
            return value
        if declared is str and kind == "string":
            return without_surrogates(value)
        if declared is bytes and kind == "string":
            return msgspec.convert(value, bytes)
        if declared is int and kind == "number":
            return _integer(value, wanted=wanted, largest=largest)
        raise _Mismatch(kind, wanted)

    return read


def _integer(number: Number, *, wanted: str, largest: int) -> int:
    # A longer text cannot fit, and converting a million digits would take long.
    if number.removeprefix("-").isdigit() and len(number) <= 20:
        value = int(number)
        if -_INT64_MAXIMUM - 1 <= value <= largest:
            return value
    raise _Mismatch(f"number {number}", wanted)


def _struct_reader(shape: type[Struct], *, strict: bool) -> _Reader:
    def read(value: Any) -> Any:
        try:
            return _struct_plan(shape, strict=strict).read(value)
        except _Mismatch as mismatch:
            if shape in _OWN_DECODERS:
                mismatch.forget_place()
            raise

    return read


def _list_reader(item_type: Any, *, wanted: str, strict: bool) -> _Reader:
    read_item = _reader_of(item_type, strict=strict)

    def read(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, list) or isinstance(value, Pairs):
            raise _Mismatch(_kind_of(value), wanted)
        items = [read_item(item) for item in value]
        if _is_struct(item_type):
            return [item for item in items if item is not None]
        return [_zero_of(item_type) if item is None else item for item in items]

    return read


def _dict_reader(value_type: Any, *, wanted: str, strict: bool) -> _Reader:
    read_member = _reader_of(value_type, strict=strict)

    def read(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, Pairs):
            raise _Mismatch(_kind_of(value), wanted)
        members = ((without_surrogates(name), read_member(member)) for name, member in value)
        if value_type is Any:
            return dict(members)
        return {name: _zero_of(value_type) if member is None else member for name, member in members}

    return read


def _is_struct(declared: Any) -> bool:
    declared, _ = _without_decoration(declared)
    return isinstance(declared, type) and issubclass(declared, Struct)


def _zero_of(declared: Any) -> Any:
    """Go's zero value, which a null in a list or map leaves behind."""
    declared, _ = _without_decoration(declared)
    return (get_origin(declared) or declared)()


def _duration_text(value: Any) -> str | None:
    nanoseconds = _duration_number(value)
    if isinstance(value, str) and not isinstance(value, Number):
        return value
    return format_nanoseconds(nanoseconds) if nanoseconds else None


def _duration_number(value: Any) -> int | None:
    """Nanoseconds of a Go text or of a number; everything else is ignored, as Consul ignores it."""
    if isinstance(value, Number):
        return max(-_INT64_MAXIMUM - 1, min(int(min(max(float(value), -1e19), 1e19)), _INT64_MAXIMUM))
    return parse_nanoseconds(value) if isinstance(value, str) else None


class _Field(NamedTuple):
    attribute: str
    wire_name: str
    read: _Reader
    is_alias: bool
    is_duration: bool


class _StructPlan(NamedTuple):
    """How the object of one shape is read, prepared once."""

    shape: type[Struct]
    go_name: str
    fields: Mapping[str, _Field]
    """By case-folded name, aliases included."""
    strict: bool
    """Whether unknown fields are refused."""
    hint_enterprise: bool

    def read(self, value: Any) -> Any:
        """The shape, or None for null. Raises _Mismatch or _UnknownField."""
        if value is None:
            return None
        if not isinstance(value, Pairs):
            raise _Mismatch(_kind_of(value), _go_type(self.shape))
        return self.shape(**self._attributes(value))

    def _attributes(self, pairs: Pairs) -> dict[str, Any]:
        given: dict[str, Any] = {}
        aliased: dict[str, Any] = {}
        durations: list[tuple[_Field, Any]] = []
        for name, value in pairs:
            field = self.fields.get(name.casefold())
            if field is None:
                self._refuse(name)
            elif field.is_duration:
                durations.append((field, value))
            else:
                attribute = self._read(field, value)
                if attribute is not None:
                    (aliased if field.is_alias else given)[field.attribute] = attribute
        # Consul reads the texts of durations last, so any other mistake is reported first.
        for field, value in sorted(
            durations, key=lambda duration: self.shape.__struct_fields__.index(duration[0].attribute)
        ):
            if (duration := field.read(value)) is not None:
                (aliased if field.is_alias else given)[field.attribute] = duration
        return given | {name: value for name, value in aliased.items() if not given.get(name)}

    def _read(self, field: _Field, value: Any) -> Any:
        try:
            return field.read(value)
        except _Mismatch as mismatch:
            mismatch.inside(self.go_name, field.wire_name)
            raise

    def _refuse(self, name: str) -> None:
        if self.strict:
            hint = _ENTERPRISE_FIELDS.get(name, "") if self.hint_enterprise else ""
            raise _UnknownField(f"json: unknown field {quote(without_surrogates(name))}{hint}")


@cache
def _struct_plan(shape: type[Struct], *, strict: bool) -> _StructPlan:
    hints = get_type_hints(shape, include_extras=True)
    fields: dict[str, _Field] = {}
    by_attribute: dict[str, _Field] = {}
    for attribute, wire_name in zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True):
        go_type = _GO_FIELD_TYPES.get((shape, wire_name))
        field = _Field(
            attribute,
            wire_name,
            _reader_of(hints[attribute], strict=strict, go_type=go_type),
            is_alias=False,
            is_duration=_without_decoration(hints[attribute])[1] == "duration",
        )
        fields[wire_name.casefold()] = by_attribute[attribute] = field
    for alias, attribute in _ALIASES.get(shape, {}).items():
        fields.setdefault(alias.casefold(), by_attribute[attribute]._replace(wire_name=alias, is_alias=True))
    return _StructPlan(
        shape,
        "" if shape in _OWN_DECODERS else _go_type(shape).rpartition(".")[2],
        fields,
        strict=strict and bool(shape.__struct_config__.forbid_unknown_fields),
        hint_enterprise=shape in _ENTERPRISE_HINT_IN,
    )
