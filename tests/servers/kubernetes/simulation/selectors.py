"""Label and field selectors (API concepts, "Labels and Selectors", "Field Selectors")."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tests.servers.kubernetes.simulation.statuses import bad_request

Selector: TypeAlias = Callable[[Mapping[str, Any]], bool]
_SET = re.compile(r"^(?P<key>[\w./-]+)\s+(?P<operator>in|notin)\s*(?P<rest>.*)$")
_EQUALITY = re.compile(r"^(?P<key>[\w./-]+)\s*(?P<operator>!=|==|=)\s*(?P<value>[\w.-]*)$")
_EXISTS = re.compile(r"^(?P<absent>!?)\s*(?P<key>[\w./-]+)$")
_FIELD = re.compile(r"^(?P<field>[^=!]*)(?P<operator>!=|==|=)(?P<value>.*)$")
_BETWEEN = re.compile(r",(?![^(]*\))")


def label_selector(text: str) -> Selector:
    """What a `labelSelector` says; 400 if it cannot be read."""
    requirements = [_requirement(part.strip()) for part in _BETWEEN.split(text)] if text else []
    return lambda found: all(holds((found["metadata"].get("labels")) or {}) for holds in requirements)


def _requirement(text: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _SET.match(text):
        key, rest = match["key"], match["rest"].strip()
        if not (rest.startswith("(") and rest.endswith(")")):
            found = rest.partition(" ")[0]
            raise bad_request(f"unable to parse requirement: found '{found}' expected: '('")
        values = {value.strip() for value in rest[1:-1].split(",")}
        if match["operator"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUALITY.match(text):
        key, value = match["key"], match["value"]
        if match["operator"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTS.match(text):
        key, absent = match["key"], bool(match["absent"])
        return lambda labels: (key in labels) != absent
    raise bad_request(f"found '{text[:2]}', expected: !, identifier, or 'end of string'")


def field_selector(text: str, *, fields: Sequence[str]) -> tuple[Selector, str]:
    """What a `fieldSelector` says, and the name if it asks for one; 400 for a field that cannot be selected by."""
    terms: list[tuple[list[str], bool, str]] = []
    name = ""
    for part in filter(None, text.split(",")):
        match = _FIELD.match(part)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        if match["field"] not in {"metadata.name", "metadata.namespace", *fields}:
            raise bad_request(f"field label not supported: {match['field']}")
        equal = match["operator"] != "!="
        if equal and match["field"] == "metadata.name":
            name = match["value"]
        terms.append((match["field"].split("."), equal, match["value"]))

    def holds(found: Mapping[str, Any]) -> bool:
        return all((_field(found, path) == value) == equal for path, equal, value in terms)

    return holds, name


def _field(found: Mapping[str, Any], path: Sequence[str]) -> str:
    value: Any = found
    for key in path:
        value = value.get(key, {}) if isinstance(value, dict) else {}
    return value if isinstance(value, str) else ""
