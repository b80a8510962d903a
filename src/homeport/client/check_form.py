"""A health check as people write it in a dictionary or a file: ``{"http": URL, "interval": "10s"}``.

What the values may be is for the check itself to say, as it does for one made in a program; see `homeport.check_rules`.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Mapping
from typing import Any

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
    known = [field.name for field in msgspec.structs.fields(make) if field.name != subject]
    fields: dict[str, Any] = {}
    for word, value in form.items():
        name = subject if word == kind else _CONSULS_WORDS.get(word, word)
        if word != kind and name not in known:
            raise InvalidValue(f'a health check by {kind} has no "{word}"{did_you_mean(str(word), known)}')
        read = _READERS.get(name)
        fields[name] = value if read is None else read(value)
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


def _duration(value: object) -> object:
    """The seconds that a text such as ``"1m30s"`` means; the check itself refuses what is left."""
    if isinstance(value, str):
        with contextlib.suppress(DurationError):
            return parse_duration(value)
    return value


def _command(value: object) -> object:
    if isinstance(value, str):
        return _words(value) if "\n" not in value.strip() else ("/bin/sh", "-c", value)
    return tuple(value) if isinstance(value, list) else value


def _words(line: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(line))
    except ValueError as error:
        reason = str(error).lower()
        raise InvalidValue(f"the command of a script check is no command line: {reason}") from error


def _headers(value: object) -> object:
    return {name: _header(one) for name, one in value.items()} if isinstance(value, Mapping) else value


def _header(value: object) -> object:
    if isinstance(value, str | int | float):
        return (str(value),)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else value


_READERS: dict[str, Callable[[object], object]] = {
    "interval": _duration,
    "timeout": _duration,
    "ttl": _duration,
    "deregister_after": _duration,
    "headers": _headers,
    "command": _command,
}
