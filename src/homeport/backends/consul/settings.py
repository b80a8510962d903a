"""How to reach a Consul agent or a Homeport registry: from a URL and the environment.

A parameter of the URL wins over a variable of the environment. The variables of ``consul://`` are those of Consul's
own command line (https://developer.hashicorp.com/consul/commands#environment-variables); those of ``homeport://``
begin with ``HOMEPORT_``.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

import msgspec

from homeport.connections.access import Access
from homeport.connections.backend_url import BackendURL, HostPort, parse_backend_url, parse_host_port, truth
from homeport.connections.tls import TLS
from homeport.connections.tls_parameters import speaks_tls, tls_of
from homeport.connections.token import FileToken, FixedToken, Token, VariableToken, source_of
from homeport.errors import SettingsError

DEFAULT_PORT = 8500
LONGEST_WAIT = 600.0
"""What Consul cuts ``wait`` to (https://developer.hashicorp.com/consul/api-docs/features/blocking)."""

DEFAULT_MAX_AGE = 10.0

Consistency: TypeAlias = Literal["default", "stale", "consistent"]
Via: TypeAlias = Literal["service", "query"]

PARAMETERS = (
    "dc", "token", "token_file", "token_env", "scheme", "ca_file", "ca_path", "cert_file", "key_file", "verify",
    "server_name", "timeout", "connect_timeout", "wait",
)  # fmt: skip
CONSUL_PARAMETERS = (
    *PARAMETERS, "namespace", "partition", "consistency", "cached", "max_age", "via", "near", "limit",
)  # fmt: skip
"""What only Consul has a meaning for: a Homeport registry has one store, no agents and no namespaces."""

_VARIABLES = {
    "consul": {
        "dc": "CONSUL_DATACENTER",
        "namespace": "CONSUL_NAMESPACE",
        "partition": "CONSUL_PARTITION",
        "token": "CONSUL_HTTP_TOKEN",
        "token_file": "CONSUL_HTTP_TOKEN_FILE",
        "ca_file": "CONSUL_CACERT",
        "ca_path": "CONSUL_CAPATH",
        "cert_file": "CONSUL_CLIENT_CERT",
        "key_file": "CONSUL_CLIENT_KEY",
        "server_name": "CONSUL_TLS_SERVER_NAME",
        "verify": "CONSUL_HTTP_SSL_VERIFY",
    },
    "homeport": {
        "dc": "HOMEPORT_DATACENTER",
        "token": "HOMEPORT_TOKEN",
        "token_file": "HOMEPORT_TOKEN_FILE",
        "ca_file": "HOMEPORT_CACERT",
        "ca_path": "HOMEPORT_CAPATH",
        "cert_file": "HOMEPORT_CLIENT_CERT",
        "key_file": "HOMEPORT_CLIENT_KEY",
        "server_name": "HOMEPORT_TLS_SERVER_NAME",
        "verify": "HOMEPORT_TLS_VERIFY",
    },
}
_TOKEN_SOURCES = ("token", "token_file", "token_env")


class ConsulSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how. ``tls`` None is plain HTTP; ``wait`` is how long one blocking query may last.

    ``token`` is a source, not a secret, so that a representation of these settings shows none; ``basic_auth`` is
    ``user:password`` for a proxy in front of the agent.

    ``consistency`` says which server answers a read: the leader (``default``), the leader after it made sure that it
    still is (``consistent``), or any server (``stale``). With ``cached`` the agent may answer from its cache. Neither
    may be older than ``max_age`` seconds.

    With ``via`` a ``query``, the name of a service is that of a prepared query, whose result its instances are: the
    ``limit`` of them that are nearest to the node ``near`` (``_agent`` is the agent's), or as many as the query says.

    Raises:
        SettingsError: a value cannot be right, or contradicts another.
    """

    scheme: str = "consul"
    addresses: tuple[HostPort, ...] = (HostPort("127.0.0.1", DEFAULT_PORT),)
    datacenter: str = ""
    namespace: str = ""
    partition: str = ""
    token: Token = FixedToken()
    basic_auth: str = ""
    tls: TLS | None = None
    timeout: float = 10.0
    connect_timeout: float = 5.0
    wait: float = 55.0
    consistency: Consistency = "default"
    cached: bool = False
    max_age: float = DEFAULT_MAX_AGE
    via: Via = "service"
    near: str = ""
    limit: int = 0

    def __post_init__(self) -> None:
        for name, kind in (("consistency", Consistency), ("via", Via)):
            if getattr(self, name) not in get_args(kind):
                raise SettingsError(
                    f'{self.url}: {name} is "{getattr(self, name)}"; give {" or ".join(get_args(kind))}'
                )
        if self.cached and self.consistency == "consistent":
            raise SettingsError(f"{self.url}: cached=true and consistency=consistent contradict each other; keep one")
        for name in ("near", "limit"):
            if getattr(self, name) and self.via != "query":
                raise SettingsError(
                    f"{self.url}: {name} chooses among the instances of a prepared query; add via=query too"
                )
        if self.limit < 0:
            raise SettingsError(f"{self.url}: limit is {self.limit}; it must be above 0")

    def __repr__(self) -> str:
        return f"ConsulSettings({self.url!r})"

    @property
    def url(self) -> str:
        """The URL for people and for logs: no credentials, no options but the datacenter."""
        datacenter = f"?dc={self.datacenter}" if self.datacenter else ""
        return f"{self.scheme}://{','.join(map(str, self.addresses))}{datacenter}"

    @property
    def may_lag(self) -> bool:
        """Whether an answer may be older than the one before it."""
        return self.cached or self.consistency == "stale"

    @property
    def access(self) -> Access:
        """How the agent is reached, for diagnosis."""
        source = source_of(self.token)
        return Access(addresses=self.addresses, tls=self.tls, credentials=f"the token in {source}" if source else "")

    @property
    def headers(self) -> dict[str, str]:
        """Headers that every request carries, the token aside."""
        found = {}
        if self.basic_auth:
            found["Authorization"] = f"Basic {base64.b64encode(self.basic_auth.encode()).decode()}"
        if self.cached:
            found["Cache-Control"] = f"max-age={math.ceil(self.max_age)}"
        return found

    @classmethod
    def from_url(cls, url: str, environ: Mapping[str, str]) -> ConsulSettings:
        """Settings from a URL such as ``consul://host:8500?dc=dc1&token_file=PATH``, completed from the environment.

        Raises:
            SettingsError: a part cannot be read, is unknown, or contradicts another.
        """
        parsed = parse_backend_url(url, default_port=DEFAULT_PORT)
        parsed.only(CONSUL_PARAMETERS if parsed.scheme == "consul" else PARAMETERS)
        if parsed.path:
            raise SettingsError(f"{parsed}: a {parsed.scheme} backend has no path; leave {parsed.path} out")
        address_given = bool(url.partition("://")[2].partition("?")[0].strip("/"))
        addresses, secure = parsed.addresses, None
        if parsed.scheme == "consul" and not address_given:
            addresses, secure = _from_address_variable(environ)
        options = _options(parsed, environ)
        return cls(
            scheme=parsed.scheme,
            addresses=addresses,
            datacenter=options.get("dc", ""),
            namespace=options.get("namespace", ""),
            partition=options.get("partition", ""),
            token=_token(parsed, options, environ),
            basic_auth=environ.get("CONSUL_HTTP_AUTH", "") if parsed.scheme == "consul" else "",
            tls=_tls(parsed, options, environ, secure=secure),
            timeout=parsed.seconds("timeout") or 10.0,
            connect_timeout=parsed.seconds("connect_timeout") or 5.0,
            wait=_wait(parsed),
            consistency=cast("Consistency", parsed.parameters.get("consistency", "default")),  # checked when it is made
            cached=parsed.flag("cached") or False,
            max_age=_max_age(parsed),
            via=cast("Via", parsed.parameters.get("via", "service")),
            near=parsed.parameters.get("near", ""),
            limit=_limit(parsed),
        )


def _options(url: BackendURL, environ: Mapping[str, str]) -> dict[str, str]:
    """What the environment says, overridden by what the URL says."""
    variables = _VARIABLES[url.scheme]
    options = {name: environ[variable] for name, variable in variables.items() if environ.get(variable)}
    if any(name in url.parameters for name in _TOKEN_SOURCES):
        for name in _TOKEN_SOURCES:
            options.pop(name, None)
    return {**options, **url.parameters}


def _from_address_variable(environ: Mapping[str, str]) -> tuple[tuple[HostPort, ...], bool | None]:
    """``CONSUL_HTTP_ADDR``, which may be ``host:port`` or carry ``http://`` or ``https://``."""
    text = environ.get("CONSUL_HTTP_ADDR", "").strip()
    if not text:
        return (HostPort("127.0.0.1", DEFAULT_PORT),), None
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    if scheme == "unix":
        raise SettingsError("CONSUL_HTTP_ADDR names a unix socket, which is not supported; give host:port")
    if scheme not in ("", "http", "https", "tcp"):
        raise SettingsError(
            f"CONSUL_HTTP_ADDR begins with {scheme}://; give host:port, http://host:port or https://host:port"
        )
    try:
        address = parse_host_port(rest.rstrip("/"), default_port=DEFAULT_PORT)
    except SettingsError as error:
        raise SettingsError(f"CONSUL_HTTP_ADDR: {error}") from None
    return (address,), {"http": False, "https": True}.get(scheme)


def _token(url: BackendURL, options: Mapping[str, str], environ: Mapping[str, str]) -> Token:
    given = [name for name in _TOKEN_SOURCES if url.parameters.get(name)]
    if len(given) > 1:
        raise SettingsError(f"{url}: {' and '.join(given)} are both given; one of them is enough")
    # Consul's own client prefers the file when both variables are set.
    if path := options.get("token_file"):
        return FileToken(Path(path).expanduser())
    if name := options.get("token_env"):
        return VariableToken(name, environ)
    source = "the URL" if url.parameters.get("token") else _VARIABLES[url.scheme]["token"]
    return FixedToken(options.get("token", ""), source=source)


def _tls(url: BackendURL, options: Mapping[str, str], environ: Mapping[str, str], *, secure: bool | None) -> TLS | None:
    asked = speaks_tls(url)
    if asked is None:
        asked = secure
    if asked is None:
        variable = "CONSUL_HTTP_SSL" if url.scheme == "consul" else "HOMEPORT_TLS"
        asked = truth(environ[variable], place=variable) if environ.get(variable) else False
    return tls_of(url, options) if asked else None


def _wait(url: BackendURL) -> float:
    wait = url.seconds("wait") or 55.0
    if not 1.0 <= wait <= LONGEST_WAIT:
        raise SettingsError(f"{url}: wait is {wait:g} s; it must lie between 1 and {LONGEST_WAIT:g}")
    return wait


def _max_age(url: BackendURL) -> float:
    seconds = url.seconds("max_age")
    if seconds is not None and not url.flag("cached") and url.parameters.get("consistency") != "stale":
        raise SettingsError(
            f"{url}: max_age is given, but answers are never old without cached=true or consistency=stale; "
            "add one of them, or leave it out"
        )
    return seconds or DEFAULT_MAX_AGE


def _limit(url: BackendURL) -> int:
    text = url.parameters.get("limit", "")
    if text and not (text.isascii() and text.isdigit() and int(text)):
        raise SettingsError(f'{url}: limit is "{text}"; give a whole number above 0')
    return int(text or 0)
