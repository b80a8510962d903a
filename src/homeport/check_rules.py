"""What the fields of a health check may be, whoever wrote it: a program or a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

Rule: TypeAlias = Callable[[object], str | None]
"""What is wrong with a value, as the end of a sentence that begins with its field; None if nothing is."""

_LONGEST = 2**63 / 1e9
"""Seconds: the registries keep a duration as 64 bits of nanoseconds (https://pkg.go.dev/time#Duration)."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_URL = re.compile(r"https?://(?:[^/?#\s]*@)?(?P<host>\[[^]\s]+\]|[^][/?#:@\s]+)(?::(?P<port>[0-9]*))?(?:[/?#]\S*)?")
_PLACE = re.compile(r"(?P<host>\[[^]\s]+\]|[^][/:\s]+):(?P<port>[0-9]+)")
_CONTROLS = re.compile(r"[\r\n\0]")
_CREDENTIALS = re.compile(r"^([a-z]*://)?.*@")
_KINDS = {"http": "HTTP", "tcp": "TCP", "grpc": "gRPC", "script": "script", "ttl": "TTL", "alias": "alias"}
_SUBJECTS = ("url", "target", "command", "service")


def wrong_field(kind: str, values: Mapping[str, object]) -> str | None:
    """The sentence about the first field that cannot be right, or None; secrets are left out of it.

    ``kind`` is the tag of the class of the check, ``values`` are all its fields.
    """
    for field, value in values.items():
        rule = _RULES.get((kind, field)) or _RULES.get(field)
        wrong = None if rule is None else rule(value)
        if wrong is not None:
            return f"the {field} of the {_KINDS.get(kind, 'health')} check{_label(values, beside=field)} {wrong}"
    return None


def _label(values: Mapping[str, object], *, beside: str) -> str:
    """The name, the id, or what is checked; ``beside`` is the field that is told anyway."""
    for field in ("name", "id", *_SUBJECTS):
        value = values.get(field)
        if value and field != beside:
            if field == "command":
                value = value[0] if isinstance(value, tuple | list) else ""  # what follows may be a secret
            return f' "{_shown(value)}"' if isinstance(value, str) and value else ""
    return ""


def _shown(text: str) -> str:
    """A text without the credentials and the query of a URL."""
    return _CREDENTIALS.sub(r"\1***@", _CONTROLS.sub(" ", text.partition("?")[0]))


def _text(value: object) -> str | None:
    return None if isinstance(value, str) else f"is of the type {type(value).__name__}; give a text"


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else f"is {value!r}; give True or False"


def _status(value: object) -> str | None:
    if value is None or value in ("passing", "warning", "critical", "maintenance"):
        return None
    return f"is {value!r}; give passing, warning or critical"


def _count(value: object) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return f"is {value!r}; give a whole number"
    return None if value >= 0 else f"is {value}; it must not be below 0"


def _http_status(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        return f"is {value!r}; give a whole number"
    return None if 100 <= value <= 599 else f"is {value}; it must lie between 100 and 599"


def _seconds(value: object) -> str | None:
    wrong = _finite(value)
    if wrong is None and isinstance(value, int | float) and not value > 0:
        return f"is {value:g} s; it must be above 0"
    return wrong


def _removal(value: object) -> str | None:
    """As Consul takes it: 0 and nothing at all are never."""
    if value is None:
        return None
    wrong = _finite(value)
    if wrong is None and isinstance(value, int | float) and value < 0:
        return f"is {value:g} s; it must not be below 0"
    return wrong


def _finite(value: object) -> str | None:
    if isinstance(value, str):
        return f'is "{value}"; give a number of seconds, in a file or a dictionary also a text such as "10s"'
    if not isinstance(value, int | float) or isinstance(value, bool):
        return f"is {value!r}; give a number of seconds"
    return None if -_LONGEST < value < _LONGEST else "must be a finite number of seconds, 292 years at most"


def _url(value: object) -> str | None:
    if not isinstance(value, str):
        return _text(value)
    match = _URL.fullmatch(value)
    if match is None:
        return f'is "{_shown(value)}"; write http://HOST:PORT/PATH'
    return _port(value, match["port"])


def _target(value: object) -> str | None:
    return _place(value, value, form="HOST:PORT")


def _grpc_target(value: object) -> str | None:
    place = value.partition("/")[0] if isinstance(value, str) else value
    return _place(value, place, form="HOST:PORT/SERVICE or HOST:PORT")


def _place(value: object, place: object, *, form: str) -> str | None:
    if not isinstance(value, str) or not isinstance(place, str):
        return _text(value)
    match = _PLACE.fullmatch(place)
    if match is not None:
        return _port(value, match["port"])
    if "[" not in place and place.count(":") > 1:
        return f'is "{_shown(value)}"; write an IPv6 address in brackets, as in [::1]:80'
    return f'is "{_shown(value)}"; write {form}'


def _port(value: str, port: str | None) -> str | None:
    if not port or (len(port) <= 5 and 0 < int(port) <= 65535):
        return None
    return f'is "{_shown(value)}"; the port must lie between 1 and 65535'


def _method(value: object) -> str | None:
    if not isinstance(value, str):
        return _text(value)
    return None if _TOKEN.fullmatch(value) else f"is {value!r}; give a method such as GET"


def _headers(value: object) -> str | None:
    """The values are not told, for they may be secrets."""
    if not isinstance(value, Mapping):
        return "must be a mapping of names to texts"
    for name, texts in value.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            return f"have the name {name!r}, which a header cannot have"
        if not isinstance(texts, tuple | list) or not all(isinstance(text, str) for text in texts):
            return f'must give "{name}" a tuple of texts, as in {{"{name}": ("…",)}}'
        if any(_CONTROLS.search(text) for text in texts):
            return f'have a line break in the value of "{name}"; take it out'
    return None


def _command(value: object) -> str | None:
    """The words are not told, for they may be secrets."""
    if not isinstance(value, tuple | list) or not all(isinstance(word, str) for word in value):
        return 'must be a list of texts, as in ("/bin/check", "--now")'
    if not value or not value[0]:
        return "is empty; give a command line"
    return "has a zero byte in it; take it out" if any("\0" in word for word in value) else None


def _service(value: object) -> str | None:
    wrong = _text(value)
    return 'is ""; give the name of a service' if not value and wrong is None else wrong


_RULES: dict[str | tuple[str, str], Rule] = {
    "id": _text,
    "name": _text,
    "notes": _text,
    "status": _status,
    "success_before_passing": _count,
    "failures_before_warning": _count,
    "failures_before_critical": _count,
    "deregister_after": _removal,
    "url": _url,
    "interval": _seconds,
    "timeout": _seconds,
    "ttl": _seconds,
    "method": _method,
    "headers": _headers,
    "body": _text,
    "expected_status": _http_status,
    "expected_body": _optional_text,
    "follow_redirects": _flag,
    "tls": _flag,
    "tls_server_name": _text,
    "tls_skip_verify": _flag,
    "target": _target,
    ("grpc", "target"): _grpc_target,
    "command": _command,
    "service": _service,
}
