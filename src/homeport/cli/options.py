"""The options that several commands share, and reading their texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias

import typer

from homeport.errors import InvalidValue
from homeport.settings import seconds

from .exits import Misuse

Form: TypeAlias = Literal["table", "json", "ndjson"]


def _none_is_empty(urls: list[str] | None) -> list[str] | None:
    """The same; an empty one is what a script makes of a variable that is not set, and must not mean the default.

    Raises:
        Misuse: one is empty.
    """
    if urls and not all(one.strip() for one in urls):
        raise Misuse("--backend is empty; name a backend, or leave it out")
    return urls


Name = Annotated[str, typer.Argument(metavar="NAME", help="The service.", show_default=False)]
AnyName = Annotated[
    str, typer.Argument(metavar="NAME", help="The service; every service by default.", show_default=False)
]
Backend = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        metavar="URL",
        help="Where the services are: homeport://HOST:PORT, consul://HOST:PORT, etcd://HOST:PORT, "
        "kubernetes://CONTEXT/NAMESPACE, eureka://HOST:PORT/eureka, dns://SERVER/DOMAIN, static:///FILE, or a bare "
        "name such as consul. Given again, it names who answers while the ones before cannot.",
        show_default=False,
        callback=_none_is_empty,
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The settings file; else HOMEPORT_CONFIG, else homeport/homeport.yaml in the user's config folder.",
        show_default=False,
    ),
]
Format = Annotated[
    Form,
    typer.Option(
        "--format",
        help="A table for people (also when piped), one JSON document, or one JSON object a line.",
    ),
]
Datacenter = Annotated[
    str, typer.Option("--datacenter", metavar="DC", help="Look into another datacenter.", show_default=False)
]
Tag = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="Only with this tag; repeated: with all of them.", show_default=False),
]
Version = Annotated[
    str,
    typer.Option(
        "--version", metavar="RANGE", help='Only this version or range, for example ">=2,<3".', show_default=False
    ),
]
Environment = Annotated[
    str, typer.Option("--environment", metavar="ENV", help="Only in this environment.", show_default=False)
]
Meta = Annotated[
    list[str] | None,
    typer.Option("--meta", metavar="KEY=VALUE", help="Only with this metadata; may be repeated.", show_default=False),
]
ServiceId = Annotated[
    str, typer.Option("--service-id", "--id", metavar="ID", help="This instance of the service.", show_default=False)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value for the places {{ .KEY }} of service definitions; may be repeated.",
        show_default=False,
    ),
]


def examples(*lines: str) -> str:
    """The end of a command's help: command lines to copy."""
    return "\n\n".join(f"$ homeport {line}" for line in lines)


def as_help(text: str) -> str:
    """Text whose brackets stay brackets in a help page, where rich takes them for markup."""
    return text.replace("[", "\\[")


def in_datacenter(datacenter: str) -> str:
    """The words for where was looked, "" for the backend's own datacenter."""
    return f' in the datacenter "{datacenter}"' if datacenter else ""


def pairs(texts: Iterable[str] | None, *, option: str) -> dict[str, str]:
    """``KEY=VALUE`` texts as a dictionary.

    Raises:
        Misuse: one has no ``=``, no key, or a key that was given before.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise Misuse(f'{option} is "{text}"; write KEY=VALUE')
        if key in found:
            raise Misuse(f"{option} gives {key} twice")
        found[key] = value
    return found


def separated(lists: str | None, single: Iterable[str] | None = None) -> tuple[str, ...]:
    """The texts of a comma-separated list and of a repeated option, in order, none twice."""
    listed = [part.strip() for part in (lists or "").split(",")]
    return tuple(dict.fromkeys(part for part in (*listed, *(single or ())) if part))


def duration(text: str, *, option: str) -> float:
    """Seconds from a text such as ``10s``.

    Raises:
        Misuse: it is no duration.
    """
    try:
        return seconds(text)
    except InvalidValue as error:
        raise Misuse(f"{option}: {error}") from error


def interval(text: str, *, option: str) -> float:
    """Seconds above 0 from a text such as ``10s``.

    Raises:
        Misuse: it is no duration, or none at all.
    """
    value = duration(text, option=option)
    if not value > 0:
        raise Misuse(f'{option} is "{text}"; it must be above 0')
    return value
