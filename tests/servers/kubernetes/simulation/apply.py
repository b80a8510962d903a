"""Patches: merge patch (RFC 7386), and server-side apply with field managers; lists are replaced whole."""

import copy
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from tests.servers.kubernetes.simulation.statuses import Refusal

Path: TypeAlias = tuple[str, ...]
# What an applied object says about which one it is, and nobody owns.
IDENTITY = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"), ("metadata", "uid")}
IDENTITY |= {("metadata", "resourceVersion"), ("metadata", "creationTimestamp"), ("metadata", "managedFields")}


def merge(target: Any, patch: Any) -> Any:
    """A merge patch applied to a value."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def apply(current: Mapping[str, Any] | None, applied: Mapping[str, Any], *, manager: str, force: bool) -> Any:
    """The object after a manager applied its intent; 409 with every field that another manager holds otherwise."""
    result: dict[str, Any] = copy.deepcopy(dict(current or {}))
    wanted = {path: value for path, value in _leaves(applied, ()) if path not in IDENTITY}
    entries = list((result.get("metadata") or {}).get("managedFields") or [])
    owned = {entry["manager"]: set(_paths(entry["fieldsV1"], ())) for entry in entries}
    conflicts = sorted(
        (
            (path, other)
            for other, paths in owned.items()
            if other != manager
            for path in paths
            if path in wanted and _value(result, path) != wanted[path]
        ),
        key=lambda found: _members_first(found[0]),
    )
    if conflicts and not force:
        raise _conflict(conflicts)
    taken = {path for path, _ in conflicts}
    for other in owned:
        if other != manager:
            owned[other] -= taken
    held_by_others = set().union(*(paths for other, paths in owned.items() if other != manager))
    for path in owned.get(manager, set()) - wanted.keys() - held_by_others:
        _remove(result, path)
    for path, value in wanted.items():
        _set(result, path, copy.deepcopy(value))
    owned[manager] = set(wanted)
    times = {entry["manager"]: entry["time"] for entry in entries}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    result.setdefault("metadata", {})["managedFields"] = [
        {
            "manager": name,
            "operation": "Apply",
            "apiVersion": applied["apiVersion"],
            "time": times.get(name, now) if name != manager else now,
            "fieldsType": "FieldsV1",
            "fieldsV1": _fields(paths),
        }
        for name, paths in owned.items()
        if paths
    ]
    return result


def _members_first(path: Path) -> list[tuple[bool, str]]:
    """The order of fields: at each level first what has nothing below it."""
    return [(number < len(path) - 1, name) for number, name in enumerate(path)]


def _conflict(conflicts: list[tuple[Path, str]]) -> Refusal:
    fields = [("".join(f".{key}" for key in path), other) for path, other in conflicts]
    others = sorted({other for _, other in fields})
    told = "\n".join(
        f'conflicts with "{other}":\n' + "\n".join(f"- {field}" for field, by in fields if by == other)
        for other in others
    )
    if len(fields) == 1:
        field, other = fields[0]
        told = f'conflict with "{other}": {field}'
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{other}"', "field": field}
        for field, other in fields
    ]
    number = f"{len(fields)} conflict{'s' if len(fields) > 1 else ''}"
    return Refusal(409, "Conflict", f"Apply failed with {number}: {told}", details={"causes": causes})


def _leaves(value: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, below in value.items():
        if isinstance(below, dict) and below:
            yield from _leaves(below, (*path, key))
        else:
            yield (*path, key), below


def _paths(fields: Mapping[str, Any], path: Path) -> Iterator[Path]:
    for key, below in fields.items():
        if below:
            yield from _paths(below, (*path, key.removeprefix("f:")))
        else:
            yield (*path, key.removeprefix("f:"))


def _fields(paths: set[Path]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for path in sorted(paths):
        place = fields
        for key in path:
            place = place.setdefault(f"f:{key}", {})
    return fields


def _value(found: Any, path: Path) -> Any:
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _set(found: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        found = found.setdefault(key, {})
    found[path[-1]] = value


def _remove(found: dict[str, Any], path: Path) -> None:
    for key in path[:-1]:
        found = found.get(key) or {}
    found.pop(path[-1], None)
