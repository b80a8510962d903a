"""The target of a channel: which service is meant, and which of its instances."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from homeport.errors import InvalidValue
from homeport.model import Query

SCHEMES = ("discovery", "homeport")
_SINGLE = ("version", "environment", "datacenter")
_META = "meta."


def parse_target(target: str) -> Query:
    """The query that a target such as ``discovery:///billing?tag=eu&version=>=2`` stands for.

    ``tag`` may be repeated; ``version``, ``environment`` and ``datacenter`` may be given once; ``meta.KEY`` asks for
    metadata. Values are percent-encoded where they hold ``&``, ``+``, ``#`` or ``%``.

    Raises:
        InvalidValue: the target is of another form.
    """
    url = urlsplit(target)
    name = unquote(url.path.removeprefix("/"))
    if (
        url.scheme not in SCHEMES
        or url.netloc
        or url.fragment
        or not url.path.startswith("/")
        or not name
        or "/" in name
    ):
        raise InvalidValue(f'"{target}" is not a target of a discovery channel; write "discovery:///SERVICE"')
    tags: list[str] = []
    meta: dict[str, str] = {}
    single: dict[str, str] = {}
    for parameter, value in parse_qsl(url.query, keep_blank_values=True):
        if parameter == "tag":
            tags.append(value)
        elif parameter.startswith(_META) and parameter != _META:
            meta[parameter.removeprefix(_META)] = value
        elif parameter not in _SINGLE:
            raise InvalidValue(
                f'"{parameter}" in the target "{target}" is unknown; there is tag, {", ".join(_SINGLE)} and {_META}KEY'
            )
        elif parameter in single:
            raise InvalidValue(f'"{parameter}" stands twice in the target "{target}"; give it once')
        else:
            single[parameter] = value
    return Query(
        service=name,
        tags=tuple(tags),
        meta=meta,
        version=single.get("version", ""),
        environment=single.get("environment", ""),
        datacenter=single.get("datacenter", ""),
    )
