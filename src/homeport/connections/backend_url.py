"""The grammar of backend URLs: ``scheme://host:port[,host:port…][/path][?parameter=value&…]``.

Hosts may be names, IPv4 addresses or IPv6 addresses in brackets (RFC 3986, 3.2.2). Credentials have no place before
an ``@``: they are parameters (``token_file=`` and the like), which never appear in an error or a log.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from homeport.errors import SettingsError

from .near_miss import did_you_mean, near_miss

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_HOST = re.compile(r"[A-Za-z0-9._~-]+\Z|[0-9A-Fa-f:.]+(%[A-Za-z0-9._~-]+)?\Z")
_WORDS_OF_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class HostPort(msgspec.Struct, frozen=True):
    """An address of a server. ``host`` is without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnknownParameter(SettingsError):
    """A parameter of a URL that its backend does not have; ``explained`` says that it resembles one that it has."""

    def __init__(self, message: str, name: str, *, explained: bool) -> None:
        super().__init__(message)
        self.name = name
        self.explained = explained


class BackendURL(msgspec.Struct, frozen=True, kw_only=True):
    """A backend URL, taken apart. ``parameters`` may hold secrets; ``str()`` shows none of them."""

    scheme: str
    addresses: tuple[HostPort, ...] = ()
    path: str = ""
    parameters: dict[str, str] = msgspec.field(default_factory=dict)

    def __str__(self) -> str:
        """As it is written, without its parameters; a default address without a port stands for no address."""
        return f"{self.scheme}://{','.join(str(one) for one in self.addresses if one.port)}{self.path}"

    def __repr__(self) -> str:
        return f"BackendURL({str(self)!r})"

    def only(self, known: Collection[str]) -> None:
        """Refuse a parameter that is not among the ``known`` ones.

        Raises:
            SettingsError: names the parameter and the known one that it resembles.
        """
        for name in self.parameters:
            if name not in known:
                article = "an" if self.scheme[0] in "aeiou" else "a"
                raise UnknownParameter(
                    f"{self}: {name} is not a parameter of {article} {self.scheme} backend{did_you_mean(name, known)}",
                    name,
                    explained=bool(near_miss(name, known)),
                )

    def flag(self, name: str) -> bool | None:
        """A parameter that is true or false, None when it is not given.

        Raises:
            SettingsError: it is neither.
        """
        text = self.parameters.get(name)
        return None if text is None else truth(text, place=f"{self}: {name}")

    def seconds(self, name: str) -> float | None:
        """A parameter that is a positive number of seconds (``2.5`` or ``2.5s``), None when it is not given.

        Raises:
            SettingsError: it is not.
        """
        text = self.parameters.get(name)
        if text is None:
            return None
        try:
            value = float(text.removesuffix("s"))
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise SettingsError(f'{self}: {name} is "{text}"; give a number of seconds above 0')
        return value


def truth(text: str, *, place: str) -> bool:
    """Whether a text says true or false, as ``true``/``1``/``yes`` and ``false``/``0``/``no`` do.

    Raises:
        SettingsError: it says neither; the message begins with ``place``.
    """
    value = _WORDS_OF_TRUTH.get(text.strip().lower())
    if value is None:
        raise SettingsError(f'{place} is "{text}"; give true or false')
    return value


def parse_backend_url(text: str, *, default_port: int) -> BackendURL:
    """Take a backend URL apart; without a host it is ``127.0.0.1``, without a port ``default_port``.

    Raises:
        SettingsError: it cannot be read; the message repeats nothing that may be a secret.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.match(scheme):
        raise SettingsError(f'"{scheme}" is not a backend URL; write for example homeport://127.0.0.1:8500')
    scheme = scheme.lower()
    try:
        parts = urlsplit(f"//{rest}")
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), max_num_fields=50)
    except ValueError as error:
        raise SettingsError(
            f"the {scheme} backend URL cannot be read; write for example {scheme}://127.0.0.1:{default_port}"
        ) from error
    if "@" in parts.netloc:
        raise SettingsError(
            f"the {scheme} backend URL has credentials before an @; give them as parameters, from a file or a variable"
        )
    if parts.fragment:
        raise SettingsError(f'the {scheme} backend URL has a part after "#"; write %23 for that sign in a parameter')
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name in parameters:
            raise SettingsError(f"the {scheme} backend URL gives {name} twice")
        parameters[name] = value
    addresses = tuple(
        _address(part, scheme=scheme, default_port=default_port) for part in parts.netloc.split(",") if part
    )
    path = unquote(parts.path)
    return BackendURL(
        scheme=scheme,
        addresses=addresses or (HostPort("127.0.0.1", default_port),),
        path="" if path == "/" else path,
        parameters=parameters,
    )


def parse_host_port(text: str, *, default_port: int) -> HostPort:
    """``host:port``, ``host``, ``[v6]:port`` or ``[v6]`` as an address.

    Raises:
        SettingsError: it is none of these.
    """
    return _address(text, scheme="", default_port=default_port)


def _address(text: str, *, scheme: str, default_port: int) -> HostPort:
    where = f"the {scheme} backend URL" if scheme else "the address"
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or ":" not in host or (rest and not rest.startswith(":")):
            raise SettingsError(f'{where} names "{text}"; write an IPv6 address as [::1]:{default_port}')
        port_text = rest[1:]
    else:
        host, _, port_text = text.partition(":")
    if not _HOST.match(host):
        raise SettingsError(
            f'{where} names "{text}", which is no host and port; write for example 127.0.0.1:{default_port}'
        )
    if not port_text:
        return HostPort(host, default_port)
    if not port_text.isascii() or not port_text.isdigit() or not 0 < int(port_text) < 65536:
        raise SettingsError(f'{where} names the port "{port_text}"; it must lie between 1 and 65535')
    return HostPort(host, int(port_text))
