"""How to reach Eureka, and how to read it: from a URL and the environment.

A parameter of the URL wins over what stands before the hosts, and that over the variable of the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import unquote

import msgspec

from homeport.connections.access import Access
from homeport.connections.backend_url import BackendURL, HostPort, parse_backend_url
from homeport.connections.tls import TLS
from homeport.connections.tls_parameters import speaks_tls, tls_of
from homeport.connections.token import FileToken, FixedToken, Token, VariableToken, source_of
from homeport.errors import SettingsError

DEFAULT_PORT = 8761
DEFAULT_PATH = "/eureka"
SERVERS_VARIABLE = "EUREKA_CLIENT_SERVICEURL_DEFAULTZONE"
"""What Spring Cloud calls ``eureka.client.serviceUrl.defaultZone`` in the environment."""
LONGEST_POLL_INTERVAL = 60.0
"""A watch that says nothing for longer than that counts as dead (`homeport.spi`)."""

PARAMETERS = (
    "user", "password", "password_file", "password_env", "scheme", "ca_file", "ca_path", "cert_file", "key_file",
    "verify", "server_name", "timeout", "connect_timeout", "poll_interval", "by", "prefer_ip",
)  # fmt: skip

By: TypeAlias = Literal["app", "vip"]

_BY_URL = "the URL"
_PASSWORD_SOURCES = ("password", "password_file", "password_env")


class EurekaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how. ``tls`` None is plain HTTP; an empty ``user`` asks without authentication.

    ``path`` is what stands before ``/apps``. ``password`` is a source, not a secret, so that a representation of these
    settings shows none. ``poll_interval`` is after how many seconds a watch asks for what changed. ``by`` says what a
    service is known by, the name of its application or its VIP address, and ``prefer_ip`` whether an instance is
    called by its IP address or by its host name.
    """

    addresses: tuple[HostPort, ...] = (HostPort("127.0.0.1", DEFAULT_PORT),)
    path: str = DEFAULT_PATH
    user: str = ""
    password: Token = FixedToken()
    tls: TLS | None = None
    timeout: float = 10.0
    connect_timeout: float = 5.0
    poll_interval: float = 10.0
    by: By = "app"
    prefer_ip: bool = False

    def __repr__(self) -> str:
        return f"EurekaSettings({self.url!r})"

    @property
    def url(self) -> str:
        """The URL for people and for logs: no credentials, no options."""
        return f"eureka://{','.join(map(str, self.addresses))}{self.path}"

    @property
    def access(self) -> Access:
        """How Eureka is reached, for diagnosis."""
        who = f'the user "{self.user}" with the password in {source_of(self.password)}' if self.user else ""
        return Access(addresses=self.addresses, tls=self.tls, credentials=who)

    @classmethod
    def from_url(cls, url: str, environ: Mapping[str, str]) -> EurekaSettings:
        """Settings from a URL such as ``eureka://user:password@h1,h2:8761/eureka?poll_interval=5``.

        Without a host, ``EUREKA_CLIENT_SERVICEURL_DEFAULTZONE`` names the servers.

        Raises:
            SettingsError: a part cannot be read, is unknown, or contradicts another.
        """
        plain, credentials = _without_credentials(url, where="the eureka backend URL")
        parsed = parse_backend_url(plain, default_port=DEFAULT_PORT)
        parsed.only(PARAMETERS)
        servers = _Servers(parsed.addresses, parsed.path, credentials, secure=None, source=_BY_URL)
        if not plain.partition("://")[2].partition("?")[0].partition("/")[0]:
            named = _from_variable(environ)
            if named is not None:
                servers = named._replace(path=parsed.path or named.path)
        user, password = _who(parsed, environ, servers)
        return cls(
            addresses=servers.addresses,
            path=_tidy(servers.path) or DEFAULT_PATH,
            user=user,
            password=password,
            tls=_tls(parsed, secure=servers.secure),
            timeout=parsed.seconds("timeout") or 10.0,
            connect_timeout=parsed.seconds("connect_timeout") or 5.0,
            poll_interval=_poll_interval(parsed),
            by=_by(parsed),
            prefer_ip=parsed.flag("prefer_ip") or False,
        )


class _Servers(NamedTuple):
    """Where servers are, as one text names them, and which; ``secure`` is None where it does not say."""

    addresses: tuple[HostPort, ...]
    path: str
    credentials: tuple[str, str] | None
    secure: bool | None
    source: str


def _tidy(path: str) -> str:
    """A path without the empty parts that servers refuse; "" without any other."""
    return "".join(f"/{part}" for part in path.split("/") if part)


def _without_credentials(url: str, *, where: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without ``user:password@`` before its hosts, which Eureka's own clients give there, and these two."""
    scheme, separator, rest = url.partition("://")
    ends = [end for mark in "/?#" if (end := rest.find(mark)) >= 0]
    hosts, tail = rest[: min(ends)] if ends else rest, rest[min(ends) :] if ends else ""
    unclear = SettingsError(
        f"{where} has something before an @ that is not USER:PASSWORD; write %40 for an @, %3A for a colon, %2F for a "
        "slash and %2C for a comma in them"
    )
    if "@" not in hosts:
        if "@" in tail.partition("?")[0]:
            raise unclear
        return url, None
    found: set[str] = set()
    addresses = []
    for part in hosts.split(","):
        credentials, at, address = part.rpartition("@")
        addresses.append(address)
        if at:
            found.add(credentials)
        elif not found:
            raise unclear  # what an error would show of it may be the beginning of a password
    if len(found) > 1:
        raise SettingsError(f"{where} has several users; all servers are asked by one, so give it once")
    user, colon, password = found.pop().partition(":")
    if not user or not colon:
        raise unclear
    return f"{scheme}{separator}{','.join(addresses)}{tail}", (unquote(user), unquote(password))


def _from_variable(environ: Mapping[str, str]) -> _Servers | None:
    """The servers of the variable: URLs separated by commas, alike but for their hosts."""
    texts = [text.strip() for text in environ.get(SERVERS_VARIABLE, "").split(",") if text.strip()]
    if not texts:
        return None
    found = [_server(text) for text in texts]
    for part, words in (
        ("secure", "http:// and https://"),
        ("path", "several paths"),
        ("credentials", "several users or passwords"),
    ):
        if len({getattr(one, part) for one in found}) > 1:
            raise SettingsError(f"{SERVERS_VARIABLE} mixes {words}; write all URLs in the same way")
    return found[0]._replace(addresses=tuple(address for one in found for address in one.addresses))


def _server(text: str) -> _Servers:
    plain, credentials = _without_credentials(text, where=SERVERS_VARIABLE)
    scheme, _, _ = plain.partition("://")
    if scheme.lower() not in ("http", "https"):
        raise SettingsError(f"{SERVERS_VARIABLE} must have URLs such as http://host:8761/eureka/, separated by commas")
    secure = scheme.lower() == "https"
    try:
        # Where the URL says no port, it is that of its scheme.
        parsed = parse_backend_url(plain, default_port=443 if secure else 80)
    except SettingsError as error:
        raise SettingsError(f"{SERVERS_VARIABLE}: {error}") from None
    return _Servers(parsed.addresses, _tidy(parsed.path), credentials, secure, f"the variable {SERVERS_VARIABLE}")


def _who(url: BackendURL, environ: Mapping[str, str], servers: _Servers) -> tuple[str, Token]:
    given = [name for name in _PASSWORD_SOURCES if url.parameters.get(name)]
    if len(given) > 1:
        raise SettingsError(f"{url}: {' and '.join(given)} are both given; one of them is enough")
    user, known = servers.credentials or ("", "")
    user = url.parameters.get("user", "") or user
    if given and not user:
        raise SettingsError(f"{url}: {given[0]} is given without a user; give user= too")
    if path := url.parameters.get("password_file"):
        return user, FileToken(Path(path).expanduser())
    if name := url.parameters.get("password_env"):
        return user, VariableToken(name, environ)
    password = url.parameters.get("password", "") or known
    if user and not password:
        raise SettingsError(f"{url}: a user is given without a password; give password_file= or password_env= too")
    by_url = bool(url.parameters.get("password")) or servers.source == _BY_URL
    return user, FixedToken(password, source=_BY_URL if by_url else servers.source)


def _tls(url: BackendURL, *, secure: bool | None) -> TLS | None:
    asked = speaks_tls(url)
    return tls_of(url, url.parameters) if (secure if asked is None else asked) else None


def _poll_interval(url: BackendURL) -> float:
    seconds = url.seconds("poll_interval") or 10.0
    if seconds > LONGEST_POLL_INTERVAL:
        raise SettingsError(f"{url}: poll_interval is {seconds:g} s; it must not be above {LONGEST_POLL_INTERVAL:g}")
    return seconds


def _by(url: BackendURL) -> By:
    match url.parameters.get("by", "app"):
        case "app":
            return "app"
        case "vip":
            return "vip"
        case other:
            raise SettingsError(f'{url}: by is "{other}"; give app or vip')
