"""Consul's ``?filter=``: an expression, compiled for the rows of one endpoint into a function that keeps or drops one.

Source: https://developer.hashicorp.com/consul/api-docs/features/filtering, and Consul's answers. Selectors are Go's
field names, case-sensitive, so the wire names of the shapes in ``homeport.wire.consul``. What may be asked of a field
follows from its type; a list of structs is true if any of them is, also for ``!=``; a key that a map has not makes
every operator true but ``==``, ``in`` and ``is not empty``.
"""

from __future__ import annotations

import ipaddress
import types
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from homeport.wire import consul, consul_mesh, golang
from homeport.wire.consul_decode import DecodeError, decode_answer

from .filter_syntax import Comparison, Every, Expression, FilterError, Negation, Operator, parse
from .go_numbers import NumberError, parse_bool, parse_int, parse_uint
from .regexp import Budget, Regexp, RegexpTooExpensive
from .regexp_syntax import RegexpError

R = TypeVar("R", bound=msgspec.Struct)
Test: TypeAlias = Callable[[Any], bool]

PREFIX: Final = "Failed to create boolean expression evaluator: "
MAXIMUM_COMPARISONS: Final = 256


def compile_filter(expression: str, row_type: type[R]) -> Callable[[R], bool]:
    """The function that says whether a row is to be kept. An empty expression keeps all; a space is an error.

    The function belongs to one request: it remembers what its regular expressions cost and raises FilterError when
    that is too much. Raises FilterError with Consul's whole message, to be answered with status 500.
    """
    if not expression:
        return lambda _: True
    try:
        tree = parse(expression)
        _limit(tree)
        test = _compile(tree, _schema(row_type), Budget())
    except FilterError as error:
        raise FilterError(f"{PREFIX}{error}") from None
    return test


def filtered(expression: str, row_type: type[R], rows: Iterable[R]) -> list[R]:
    """The rows that an expression keeps, in their order. Raises FilterError."""
    return list(filter(compile_filter(expression, row_type), rows))


def _limit(tree: Expression) -> None:
    waiting, count = [tree], 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, Comparison):
            count += 1
        else:
            waiting += [node.operand] if isinstance(node, Negation) else node.operands
    if count > MAXIMUM_COMPARISONS:
        raise FilterError(f"Number of match expressions ({count}) exceeds the limit ({MAXIMUM_COMPARISONS})")


def _compile(tree: Expression, schema: _Struct, budget: Budget) -> Test:
    if isinstance(tree, Comparison):
        return _comparison(tree, schema, budget)
    if isinstance(tree, Negation):
        operand = _compile(tree.operand, schema, budget)
        return lambda row: not operand(row)
    operands = tuple(_compile(operand, schema, budget) for operand in tree.operands)
    if isinstance(tree, Every):
        return lambda row: all(test(row) for test in operands)
    return lambda row: any(test(row) for test in operands)


# ----- what can be selected -------------------------------------------------------------------------------------------


class _Scalar(NamedTuple):
    """A value that is compared as a whole; ``coerce`` turns the text of an expression into its type."""

    coerce: Callable[[str], Any]
    is_text: bool = False


class _Scalars(NamedTuple):
    """A list of scalars."""

    coerce: Callable[[str], Any]


class _Structs(NamedTuple):
    """A list of structs."""

    item: _Struct


class _Map(NamedTuple):
    """A map with keys of any name."""

    value: _Schema


class _Struct(NamedTuple):
    """A struct: by Go's name, how to get the field and what it is."""

    fields: Mapping[str, tuple[Callable[[Any], Any], _Schema]]


_Schema: TypeAlias = _Scalar | _Scalars | _Structs | _Map | _Struct


def _text(value: str) -> str:
    return value


def _octets(address: str) -> list[int]:
    """An address as Go keeps it: its bytes."""
    try:
        return list(ipaddress.ip_address(address).packed)
    except ValueError:
        return []


_NOT_SELECTABLE: Final = frozenset(
    ("CreateIndex", "ModifyIndex", "Locality", "ServiceLocality", "Definition", "ContentHash")
)
_NOT_SELECTABLE_IN: Final[Mapping[type[msgspec.Struct], frozenset[str]]] = {
    consul.AgentService: frozenset(("Datacenter",)),
    consul_mesh.Connect: frozenset(("SidecarService",)),
    consul_mesh.EnvoyExtension: frozenset(("Arguments",)),
    consul_mesh.Proxy: frozenset(("Config",)),
    consul_mesh.Upstream: frozenset(("Config", "CentrallyConfigured")),
}
_OPAQUE: Final[Mapping[str, type[msgspec.Struct]]] = {
    "Proxy": consul_mesh.Proxy,
    "ServiceProxy": consul_mesh.Proxy,
    "Connect": consul_mesh.Connect,
    "ServiceConnect": consul_mesh.Connect,
}
"""Fields that rows carry as JSON, and what is in it."""
_UNSIGNED_BITS: Final[Mapping[str, int]] = {
    "Port": 16,
    **dict.fromkeys(("ProtocolMin", "ProtocolMax", "ProtocolCur", "DelegateMin", "DelegateMax", "DelegateCur"), 8),
}
"""The fields of Member that are unsigned and small, which decides what literals they accept."""


@cache
def _schema(shape: type[msgspec.Struct]) -> _Struct:
    hints = get_type_hints(shape, include_extras=True)
    excluded = _NOT_SELECTABLE | _NOT_SELECTABLE_IN.get(shape, frozenset())
    fields: dict[str, tuple[Callable[[Any], Any], _Schema]] = {}
    for attribute, name in zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True):
        if name in excluded:
            continue
        if name in _OPAQUE:
            fields[name] = (_opaque_reader(attribute, _OPAQUE[name]), _schema(_OPAQUE[name]))
        elif shape is consul.Member and name == "Addr":
            fields[name] = (lambda member: _octets(member.addr), _Scalars(lambda text: parse_uint(text, bits=8)))
        elif shape is consul.Member and name in _UNSIGNED_BITS:
            fields[name] = (attrgetter(attribute), _Scalar(_unsigned(_UNSIGNED_BITS[name])))
        else:
            fields[name] = (attrgetter(attribute), _schema_of(hints[attribute]))
    if shape in (consul.Node, consul.CatalogService, consul.NodeService, consul.HealthCheck):
        fields.setdefault("PeerName", (lambda _: "", _Scalar(_text, is_text=True)))
    if shape is consul.Node:
        fields["Partition"] = (lambda _: "", _Scalar(_text, is_text=True))
    return _Struct(fields)


def _unsigned(bits: int) -> Callable[[str], int]:
    return lambda text: parse_uint(text, bits=bits)


def _schema_of(declared: Any) -> _Schema:
    declared = _bare(declared)
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        return _schema(declared)
    if get_origin(declared) is dict:
        return _Map(_schema_of(get_args(declared)[1]))
    if get_origin(declared) is list:
        item = _schema_of(get_args(declared)[0])
        return _Scalars(item.coerce) if isinstance(item, _Scalar) else _Structs(_as_struct(item))
    scalars = {str: _Scalar(_text, is_text=True), int: _Scalar(parse_int), bool: _Scalar(parse_bool)}
    return scalars[declared]


def _as_struct(schema: _Schema) -> _Struct:
    if not isinstance(schema, _Struct):
        raise TypeError("a list in a row must hold scalars or structs")
    return schema


def _bare(declared: Any) -> Any:
    """The type without ``Annotated`` and without None beside it."""
    if hasattr(declared, "__metadata__"):
        declared = get_args(declared)[0]
    if get_origin(declared) in (Union, types.UnionType):
        declared = _bare(next(member for member in get_args(declared) if member is not type(None)))
    return declared


def _opaque_reader(attribute: str, shape: type[msgspec.Struct]) -> Callable[[Any], Any]:
    def read(row: Any) -> Any:
        block = getattr(row, attribute)
        if not isinstance(block, msgspec.Raw):
            return shape()
        try:
            return decode_answer(bytes(block), shape)
        except DecodeError:
            # It was accepted as it came; a field of the wrong type in it selects nothing.
            return shape()

    return read


# ----- comparisons ----------------------------------------------------------------------------------------------------

_OPPOSITES: Final = {
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.NOT_IN: Operator.IN,
    Operator.IS_NOT_EMPTY: Operator.IS_EMPTY,
    Operator.NOT_MATCHES: Operator.MATCHES,
}
_FALSE_FOR_MISSING_KEYS: Final = frozenset((Operator.EQUAL, Operator.IS_NOT_EMPTY, Operator.IN))
_EQUALITY: Final = frozenset((Operator.EQUAL, Operator.NOT_EQUAL))
_MEMBERSHIP: Final = frozenset((Operator.IN, Operator.NOT_IN))
_EMPTINESS: Final = frozenset((Operator.IS_EMPTY, Operator.IS_NOT_EMPTY))
_MATCHING: Final = frozenset((Operator.MATCHES, Operator.NOT_MATCHES))


def _comparison(comparison: Comparison, schema: _Struct, budget: Budget) -> Test:
    target = _selected(comparison.selector, schema)
    test = _test(comparison, target, budget)
    return _along(comparison.selector, schema, test, comparison.operator)


def _selected(selector: tuple[str, ...], schema: _Struct) -> _Schema:
    """What a selector ends at. Raises FilterError if it is not valid."""
    current: _Schema = schema
    for length, name in enumerate(selector, start=1):
        if isinstance(current, _Structs):
            current = current.item
        if isinstance(current, _Map):
            current = current.value
        elif isinstance(current, _Struct) and name in current.fields:
            current = current.fields[name][1]
        else:
            raise FilterError(f"Selector {_dotted(selector[:length])} is not valid")
    return current


def _dotted(selector: tuple[str, ...]) -> str:
    return golang.quote(".".join(selector))


def _along(selector: tuple[str, ...], schema: _Schema, test: Test, operator: Operator) -> Test:
    """The test, applied to what the selector finds in a value of this schema."""
    if not selector:
        return test
    if isinstance(schema, _Structs):
        inner = _along(selector, schema.item, test, operator)
        return lambda items: any(inner(item) for item in items or ())
    name, rest = selector[0], selector[1:]
    if isinstance(schema, _Map):
        inner = _along(rest, schema.value, test, operator)
        missing = operator not in _FALSE_FOR_MISSING_KEYS
        return lambda members: inner(members[name]) if members and name in members else missing
    assert isinstance(schema, _Struct)  # _selected has walked the same way
    read, following = schema.fields[name]
    inner = _along(rest, following, test, operator)
    return lambda struct: inner(read(struct))


def _test(comparison: Comparison, target: _Schema, budget: Budget) -> Test:
    """The test of the value that is selected. Raises FilterError for an operator or a literal that does not fit."""
    operator = comparison.operator
    if operator not in _operators(target):
        name = golang.quote(operator.value)
        raise FilterError(f"Invalid match operator {name} for selector {_dotted(comparison.selector)}")
    if operator in _OPPOSITES:
        positive = _test(Comparison(comparison.selector, _OPPOSITES[operator], comparison.value), target, budget)
        return lambda value: not positive(value)
    if operator is Operator.IS_EMPTY:
        return lambda value: not value
    literal = _literal(comparison, target)
    if operator is Operator.EQUAL:
        return lambda value: value == literal
    if operator is Operator.IN:
        return lambda value: value is not None and literal in value
    return _matching(literal, budget)


def _operators(target: _Schema) -> frozenset[Operator]:
    if isinstance(target, _Scalar):
        return _EQUALITY | _MEMBERSHIP | _MATCHING if target.is_text else _EQUALITY
    if isinstance(target, _Structs):
        return _EMPTINESS
    return frozenset() if isinstance(target, _Struct) else _MEMBERSHIP | _EMPTINESS


def _literal(comparison: Comparison, target: _Schema) -> Any:
    text = comparison.value or ""
    if not isinstance(target, _Scalar | _Scalars):
        return text
    try:
        return target.coerce(text)
    except NumberError as error:
        raise FilterError(
            f"Failed to coerce value {golang.quote(text)} for selector {_dotted(comparison.selector)}: {error}"
        ) from None


def _matching(pattern: str, budget: Budget) -> Test:
    try:
        regexp = Regexp(pattern, budget=budget)
    except RegexpError as error:
        raise FilterError(f"Failed to compile regular expression {golang.quote(pattern)}: {error}") from None
    except RegexpTooExpensive as error:
        raise FilterError(str(error)) from None

    def matches(value: str) -> bool:
        try:
            return regexp.found_in(value)
        except RegexpTooExpensive as error:
            raise FilterError(f"{PREFIX}{error}") from None

    return matches
