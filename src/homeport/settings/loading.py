"""Which of several sources decides: argument > environment > file > default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec
import msgspec.inspect as kinds

from .file import SettingsFile
from .shapes import Place, build, convert, field_values, struct_fields, unknown_key

S = TypeVar("S", bound=msgspec.Struct)

_Path = tuple[str, ...]


def load(
    shape: type[S],
    *,
    prefix: str,
    arguments: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    file: SettingsFile | None = None,
    other_variables: Mapping[str, str] | None = None,
    implied: Mapping[str, tuple[object, str]] | None = None,
) -> S:
    """Settings of the form ``shape``, each value from the first source that has it.

    ``prefix`` is the section of the file (``server``) and part of the names of the variables: ``limits.body_bytes`` is
    ``HOMEPORT_SERVER_LIMITS_BODY_BYTES``. An argument is named like its setting; None means that it was not given. An
    empty variable counts as not set. A variable that is no setting is not looked at, since the environment belongs to
    others too: Kubernetes sets ``HOMEPORT_SERVER_SERVICE_HOST`` for a service called ``homeport-server``. The file is
    checked as a whole, also where another source decides; of the variables and arguments only those that decide.

    ``other_variables`` gives, by setting, one more variable each, which decides where the first one does not.
    ``implied`` gives, by setting, what other sections of the file say about it, each with the key where they do: it
    decides where nothing else does.

    Raises:
        SettingsError: a key is unknown or a value cannot be right; it names file and key, variable, or argument.
    """
    section = Place(file.name if file else "", prefix)
    written = file.content.get(prefix) if file else None
    field_values(written, shape, section)
    names = {".".join(path): kind for path, kind in _leaves(shape)}
    given = {name: value for name, value in (arguments or {}).items() if value is not None}
    for name in given:
        if name not in names:
            raise unknown_key("", prefix, name, known=names)
    surroundings = environ or {}
    decided: dict[_Path, object] = {}
    for path, kind in _leaves(shape):
        name, variable = ".".join(path), variable_name(prefix, path)
        if name in given:
            decided[path] = convert(given[name], kind, Place("", f"--{_dashed(name)}", textual=True))
            continue
        for one in (variable, (other_variables or {}).get(name, "")):
            if surroundings.get(one) and _fits_a_variable(kind):
                decided[path] = convert(surroundings[one], kind, Place("", one, textual=True))
                break
        else:
            if name in (implied or {}) and not _is_written(written, path):
                value, key = (implied or {})[name]
                decided[path] = convert(value, kind, Place(section.source, key))
    return _assembled(shape, written, decided, section)


def variables(shape: type[msgspec.Struct], *, prefix: str) -> dict[str, str]:
    """The environment variables that `load` looks at, and the setting each stands for."""
    settable = [path for path, kind in _leaves(shape) if _fits_a_variable(kind)]
    return {variable_name(prefix, path): ".".join((prefix, *path)) for path in settable}


def variable_name(prefix: str, path: _Path) -> str:
    """The environment variable of a setting."""
    return "_".join(("HOMEPORT", prefix, *path)).upper()


def _assembled(shape: type[S], written: object, decided: Mapping[_Path, object], place: Place) -> S:
    """The Struct made of what the file says, with what was decided elsewhere put over it.

    Nested Structs are made from both, so that one argument does not hide the rest of its section.
    """
    own = dict(written) if isinstance(written, Mapping) else {}
    values: dict[str, object] = {}
    for field in struct_fields(shape):
        deeper = {path[1:]: value for path, value in decided.items() if path[0] == field.encode_name}
        if () in deeper:
            values[field.name] = deeper[()]
            continue
        below = place.below(field.encode_name)
        if isinstance(field.type, kinds.StructType) and (deeper or field.encode_name in own):
            values[field.name] = _assembled(field.type.cls, own.get(field.encode_name), deeper, below)
        elif field.encode_name in own:
            values[field.name] = convert(own[field.encode_name], field.type, below)
    result: S = build(shape, values, place)
    return result


def _is_written(written: object, path: _Path) -> bool:
    """Whether the section of the file says something about the setting itself."""
    for name in path:
        if not isinstance(written, Mapping) or name not in written:
            return False
        written = written[name]
    return True


def _leaves(shape: type[msgspec.Struct], above: _Path = ()) -> Iterator[tuple[_Path, kinds.Type]]:
    """Every setting that is a value of its own: nested Structs are walked into, lists and mappings are values."""
    for field in struct_fields(shape):
        path = (*above, field.encode_name)
        if isinstance(field.type, kinds.StructType):
            yield from _leaves(field.type.cls, path)
        else:
            yield path, field.type


def _fits_a_variable(kind: kinds.Type) -> bool:
    """Whether one text can say it: a scalar, or a list of such."""
    if isinstance(kind, kinds.Metadata):
        return _fits_a_variable(kind.type)
    if isinstance(kind, kinds.UnionType):
        return all(_fits_a_variable(one) for one in kind.types)
    if isinstance(kind, kinds.VarTupleType | kinds.ListType):
        return _fits_a_variable(kind.item_type)
    scalars = (kinds.StrType, kinds.BoolType, kinds.IntType, kinds.FloatType, kinds.LiteralType, kinds.NoneType)
    return isinstance(kind, scalars)


def _dashed(name: str) -> str:
    return name.replace("_", "-").replace(".", "-")
