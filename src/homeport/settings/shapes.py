"""From the values of a file, a variable or an argument to the types that a Struct declares; errors name the place.

A plain ``float`` is a duration in seconds, as everywhere here, and may be written as text (``10s``). A number
that is none declares a unit: ``Annotated[float, msgspec.Meta(extra={"unit": "ratio"})]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

import msgspec
import msgspec.inspect as kinds

from homeport.errors import InvalidValue, SettingsError

from .duration import seconds

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_SECRET_WORDS = ("token", "password", "secret", "credential", "auth")
_SHOWN_LENGTH = 60

V = TypeVar("V", str, int, float)


class Place(msgspec.Struct, frozen=True):
    """Where a value was found: ``source`` is a file or "", ``key`` the dotted name of a setting, a variable or a flag.

    ``textual`` says that values are text by nature, which then stands for numbers, truth values and lists.
    """

    source: str
    key: str
    textual: bool = False

    def __str__(self) -> str:
        return f"{self.source}: {self.key}" if self.source else self.key

    def below(self, key: object) -> Place:
        """The place of a key in the mapping here."""
        return Place(self.source, f"{self.key}.{key}" if self.key else str(key), self.textual)

    def item(self, position: int) -> Place:
        """The place of an item (from 0) in the list here."""
        return Place(self.source, f"{self.key}[{position}]", self.textual)

    def as_text(self) -> Place:
        """The same place, for a value that is text by nature."""
        return Place(self.source, self.key, textual=True)

    def wrong(self, value: object, wanted: str) -> SettingsError:
        """The error for a value that is not what is ``wanted``; a secret is not repeated."""
        if any(word in self.key.lower() for word in _SECRET_WORDS):
            return SettingsError(f"{self} is not what it should be; give {wanted}")
        return SettingsError(f"{self} is {_shown(value)}; give {wanted}")


def unknown_key(source: str, prefix: str, key: str, *, known: Iterable[str]) -> SettingsError:
    """The error for a key that does not exist, with the known one that was probably meant."""
    dotted = f"{prefix}." if prefix else ""
    place = f"{source}: " if source else ""
    close = get_close_matches(key, sorted(known), n=1, cutoff=0.6)
    hint = f"; did you mean {dotted}{close[0]}?" if close else ""
    return SettingsError(f"{place}{dotted}{key} is not a setting{hint}")


def convert(value: object, kind: kinds.Type, place: Place) -> Any:
    """``value`` as the type that ``kind`` describes.

    Raises:
        SettingsError: it cannot be.
    """
    convert_kind = _CONVERTERS.get(type(kind))
    if convert_kind is None:
        raise TypeError(f"{place} has a type that no setting can have: {kind}")
    return convert_kind(value, kind, place)


def field_values(values: object, shape: type[msgspec.Struct], place: Place) -> dict[str, Any]:
    """The fields of ``shape`` that ``values`` gives, each of its type; nested Structs whole.

    Raises:
        SettingsError: ``values`` is not a mapping, a key is unknown, or a value is not of its type.
    """
    fields = {field.encode_name: field for field in struct_fields(shape)}
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise place.wrong(values, "its keys below it")
    for key in values:
        if key not in fields:
            raise unknown_key(place.source, place.key, str(key), known=fields)
    return {fields[key].name: convert(value, fields[key].type, place.below(key)) for key, value in values.items()}


def struct_fields(shape: type[msgspec.Struct]) -> tuple[kinds.Field, ...]:
    """The fields of a Struct."""
    info = kinds.type_info(shape)
    assert isinstance(info, kinds.StructType)
    return info.fields


def build(shape: type[msgspec.Struct], values: Mapping[str, Any], place: Place) -> Any:
    """A ``shape`` of these fields; what its own validation says is told with the place.

    Raises:
        SettingsError: a field is missing, or the values contradict each other.
    """
    for field in struct_fields(shape):
        if field.required and field.name not in values:
            raise SettingsError(f"{place.below(field.encode_name)} is missing")
    try:
        return shape(**values)
    except (InvalidValue, ValueError) as error:
        raise SettingsError(f"{place.source}: {error}" if place.source else str(error)) from error


def _struct(value: object, kind: kinds.Type, place: Place) -> Any:
    assert isinstance(kind, kinds.StructType)
    return build(kind.cls, field_values(value, kind.cls, place), place)


def _text(value: object, kind: kinds.Type, place: Place) -> str:
    assert isinstance(kind, kinds.StrType)
    if isinstance(value, str):
        return _constrained(value, kind, place)
    quoted = isinstance(value, bool | int | float)
    raise place.wrong(value, "text, in quotes" if quoted else "text")


def _truth(value: object, _kind: kinds.Type, place: Place) -> bool:
    if isinstance(value, bool):
        return value
    found = _TRUTH.get(value.strip().lower()) if place.textual and isinstance(value, str) else None
    if found is None:
        raise place.wrong(value, "true or false")
    return found


def _whole_number(value: object, kind: kinds.Type, place: Place) -> int:
    assert isinstance(kind, kinds.IntType)
    if place.textual and isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            raise place.wrong(value, _described(kind)) from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise place.wrong(value, _described(kind))
    return _constrained(value, kind, place)


def _duration(value: object, kind: kinds.Type, place: Place) -> float:
    assert isinstance(kind, kinds.FloatType)
    if isinstance(value, str):
        try:
            value = seconds(value)
        except InvalidValue:
            raise place.wrong(value, _described(kind)) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise place.wrong(value, _described(kind))
    return _constrained(float(value), kind, place)


def _measure(value: object, kind: kinds.Type, place: Place) -> Any:
    """A type with metadata: a float with a unit is a number, not a duration."""
    assert isinstance(kind, kinds.Metadata)
    if not (isinstance(kind.type, kinds.FloatType) and (kind.extra or {}).get("unit")):
        return convert(value, kind.type, place)
    if place.textual and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise place.wrong(value, f"a number{_bounds(kind.type)}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise place.wrong(value, f"a number{_bounds(kind.type)}")
    return _constrained(float(value), kind.type, place, wanted="a number")


def _choice(value: object, kind: kinds.Type, place: Place) -> Any:
    assert isinstance(kind, kinds.LiteralType)
    if value not in kind.values:
        *others, last = map(str, kind.values)
        raise place.wrong(value, f"{', '.join(others)} or {last}" if others else last)
    return value


def _alternatives(value: object, kind: kinds.Type, place: Place) -> Any:
    """An optional value: None where nothing is given, else its type."""
    assert isinstance(kind, kinds.UnionType)
    real = [one for one in kind.types if not isinstance(one, kinds.NoneType)]
    if value is None and len(real) < len(kind.types):
        return None
    if len(real) != 1:
        raise TypeError(f"{place} has more than one type, which no setting can have: {kind}")
    return convert(value, real[0], place)


def _list(value: object, kind: kinds.Type, place: Place) -> Any:
    assert isinstance(kind, kinds.VarTupleType | kinds.ListType)
    if place.textual and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise place.wrong(value, "a list")
    items = [convert(item, kind.item_type, place.item(position)) for position, item in enumerate(value)]
    return tuple(items) if isinstance(kind, kinds.VarTupleType) else items


def _mapping(value: object, kind: kinds.Type, place: Place) -> Any:
    assert isinstance(kind, kinds.DictType)
    if not isinstance(value, Mapping):
        raise place.wrong(value, "names with their values below it")
    return {
        convert(key, kind.key_type, place.below(key)): convert(item, kind.value_type, place.below(key))
        for key, item in value.items()
    }


def _anything(value: object, _kind: kinds.Type, _place: Place) -> object:
    return value


_Converter = Callable[[object, kinds.Type, Place], Any]
_CONVERTERS: dict[type[kinds.Type], _Converter] = {
    kinds.StructType: _struct,
    kinds.StrType: _text,
    kinds.BoolType: _truth,
    kinds.IntType: _whole_number,
    kinds.FloatType: _duration,
    kinds.Metadata: _measure,
    kinds.LiteralType: _choice,
    kinds.UnionType: _alternatives,
    kinds.VarTupleType: _list,
    kinds.ListType: _list,
    kinds.DictType: _mapping,
    kinds.AnyType: _anything,
}


def _constrained(value: V, kind: kinds.Type, place: Place, *, wanted: str = "") -> V:
    """``value`` if it keeps what msgspec.Meta demands of it (bounds, lengths, pattern)."""
    demands = {name: demand for name in kind.__struct_fields__ if (demand := getattr(kind, name)) is not None}
    if demands:
        try:
            msgspec.convert(value, Annotated[type(value), msgspec.Meta(**demands)])
        except msgspec.ValidationError:
            raise place.wrong(value, f"{wanted}{_bounds(kind)}" if wanted else _described(kind)) from None
    return value


def _described(kind: kinds.Type) -> str:
    if isinstance(kind, kinds.IntType):
        return f"a whole number{_bounds(kind)}"
    if isinstance(kind, kinds.FloatType):
        return f'a duration such as "10s", or seconds{_bounds(kind)}'
    return f"text{_bounds(kind)}"


def _bounds(kind: kinds.Type) -> str:
    words = {
        "ge": "at least", "gt": "above", "le": "at most", "lt": "below", "multiple_of": "a multiple of",
        "min_length": "not shorter than", "max_length": "not longer than", "pattern": "of the form",
    }  # fmt: skip
    parts = [f"{word} {demand}" for name, word in words.items() if (demand := getattr(kind, name, None)) is not None]
    return f", {' and '.join(parts)}" if parts else ""


def _shown(value: object) -> str:
    if isinstance(value, str):
        text = value if len(value) <= _SHOWN_LENGTH else f"{value[:_SHOWN_LENGTH]}…"
        return f'"{" ".join(text.split())}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "empty"
    if isinstance(value, int | float):
        return str(value)
    return "a list" if isinstance(value, Sequence) else "a mapping"
