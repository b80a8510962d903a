"""Everything that is wrong with a section of a file, not only the first thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import msgspec.inspect as kinds

from homeport.errors import SettingsError

from .shapes import Place, build, convert, struct_fields, unknown_key


def problems(written: object, shape: type[msgspec.Struct], place: Place) -> list[SettingsError]:
    """Every unknown key, every value that is not of its type, and, where there is none of these, what contradicts."""
    if written is None:
        written = {}
    if not isinstance(written, Mapping):
        return [place.wrong(written, "its keys below it")]
    found: list[SettingsError] = []
    values: dict[str, object] = {}
    fields = {field.encode_name: field for field in struct_fields(shape)}
    for key, value in written.items():
        if key not in fields:
            found.append(unknown_key(place.source, place.key, str(key), known=fields))
            continue
        inner = list(_of_value(value, fields[key].type, place.below(key)))
        found += inner
        if not inner:
            values[fields[key].name] = convert(value, fields[key].type, place.below(key))
    if not found:
        try:
            build(shape, values, place)
        except SettingsError as error:
            found.append(error)
    return found


def _of_value(value: object, kind: kinds.Type, place: Place) -> Iterator[SettingsError]:
    if isinstance(kind, kinds.StructType):
        yield from problems(value, kind.cls, place)
    elif isinstance(kind, kinds.VarTupleType) and isinstance(value, Sequence) and not isinstance(value, str):
        for position, item in enumerate(value):
            yield from _of_value(item, kind.item_type, place.item(position))
    else:
        try:
            convert(value, kind, place)
        except SettingsError as error:
            yield error
