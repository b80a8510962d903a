"""A health check as people write it in a dictionary or a file: ``{"http": URL, "interval": "10s"}``."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from homeport.connections.near_miss import did_you_mean
from homeport.errors import InvalidValue
from homeport.model import AliasCheck, Check, GRPCCheck, HealthCheck, HTTPCheck, ScriptCheck, TCPCheck, TTLCheck
from homeport.wire.durations import DurationError, parse_duration


def health_check(form: Check | Mapping[str, object]) -> HealthCheck:
    """The check that ``form`` means; a check is returned as it is.

    The form has one of ``http``, ``tcp``, ``grpc``, ``script``, ``ttl`` and ``alias``, and any field of that kind of
    check by its name; durations are numbers of seconds or texts such as ``"10s"``. Consul's words ``header`` and
    ``deregister_critical_service_after`` are taken too.

    Raises:
        InvalidValue: it has none or several of these, a field that the kind does not have, or a value that cannot be
        right.
    """
    if isinstance(form, HealthCheck):
        return form
    kind = kind_of(form)
    assert isinstance(form, Mapping)
    make, subject = _KINDS[kind]
    known = {field.name: field.type for field in msgspec.structs.fields(make) if field.name != subject}
    fields: dict[str, Any] = {subject: _subject(kind, form[kind])}
    for word, value in form.items():
        if word == kind:
            continue
        name = _CONSULS_WORDS.get(word, word)
        if name not in known:
            raise InvalidValue(f'a health check by {kind} has no "{word}"{did_you_mean(str(word), known)}')
        read = _READERS.get(name)
        fields[name] = read(word, value) if read else _of_type(word, value, known[name])
    _refuse_nonsense(kind, fields, subject)
    check: HealthCheck = make(**fields)
    return check


def kind_of(form: object) -> str:
    """Which kind of check a form means.

    Raises:
        InvalidValue: it is no form, or means none or several.
    """
    if not isinstance(form, Mapping):
        raise InvalidValue(f"{form!r} is no health check; give an HTTPCheck, a TCPCheck, … or a dictionary")
    kinds = [name for name in _KINDS if name in form]
    if len(kinds) != 1:
        said = f"has {' and '.join(kinds)}" if kinds else "says not what to check"
        raise InvalidValue(f"a health check {said}; give one of {', '.join(_KINDS)}")
    return kinds[0]


_CONSULS_WORDS = {"header": "headers", "deregister_critical_service_after": "deregister_after"}
_KINDS: dict[str, tuple[Any, str]] = {
    "http": (HTTPCheck, "url"),
    "tcp": (TCPCheck, "target"),
    "grpc": (GRPCCheck, "target"),
    "script": (ScriptCheck, "command"),
    "ttl": (TTLCheck, "ttl"),
    "alias": (AliasCheck, "service"),
}


def duration(name: str, value: object) -> float:
    """Seconds from a number or a text such as ``"1m30s"``.

    Raises:
        InvalidValue: it is neither.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except DurationError as error:
            raise InvalidValue(f'the {name} of a health check is "{value}"; write for example "10s"') from error
    raise InvalidValue(f'the {name} of a health check is {value!r}; give a number of seconds, or a text such as "10s"')


def _subject(kind: str, value: object) -> object:
    if kind == "ttl":
        return duration("ttl", value)
    if kind == "script":
        if isinstance(value, str):
            return _words(value) if "\n" not in value.strip() else ("/bin/sh", "-c", value)
        if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise InvalidValue("the script of a health check must be a command line or a list of texts")
    if not isinstance(value, str) or not value:
        raise InvalidValue(f"the {kind} of a health check must be a text")
    return value


def _words(line: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(line))
    except ValueError as error:
        reason = str(error).lower()
        raise InvalidValue(f"the script of a health check is {line!r}, which is no command line: {reason}") from error


def _refuse_nonsense(kind: str, fields: Mapping[str, Any], subject: str) -> None:
    """Refuse what could never be asked, where it is written rather than at each interval."""
    asked = fields[subject]
    if kind == "http" and not (asked.startswith(("http://", "https://")) and urlsplit(asked).netloc):
        raise InvalidValue(f'the http of a health check is "{asked}"; write http://HOST:PORT/PATH')
    if kind in ("tcp", "grpc"):
        place = asked.partition("/")[0] if kind == "grpc" else asked
        host, _, port = place.rpartition(":")
        if not (host and port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
            form = "HOST:PORT/SERVICE or HOST:PORT" if kind == "grpc" else "HOST:PORT"
            raise InvalidValue(f'the {kind} of a health check is "{asked}"; write {form}')
    if kind == "script" and not asked:
        raise InvalidValue("the script of a health check is empty; give a command line")
    for name in ("interval", "timeout", "ttl"):
        if name in fields and not fields[name] > 0:
            raise InvalidValue(f"the {name} of a health check is {fields[name]:g} s; it must be above 0")


def _headers(name: str, value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise InvalidValue(f"the {name} of a health check must be a mapping of names to texts")
    return {str(key): (one,) if isinstance(one, str) else tuple(map(str, one)) for key, one in value.items()}


def _optional_duration(name: str, value: object) -> float | None:
    return None if value is None else duration(name, value)


def _of_type(name: str, value: object, kind: Any) -> object:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InvalidValue(f"the {name} of a health check is {value!r}: {error}") from error


_READERS: dict[str, Callable[[str, object], object]] = {
    "interval": duration,
    "timeout": duration,
    "deregister_after": _optional_duration,
    "headers": _headers,
}
