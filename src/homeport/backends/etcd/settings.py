"""How to reach etcd: from a URL and the environment.

A parameter of the URL wins over a variable of the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from homeport.connections.access import Access
from homeport.connections.backend_url import BackendURL, HostPort, parse_backend_url, parse_host_port
from homeport.connections.tls import TLS
from homeport.connections.tls_parameters import speaks_tls, tls_of
from homeport.connections.token import FileToken, FixedToken, Token, VariableToken, source_of
from homeport.errors import SettingsError

DEFAULT_PORT = 2379
DEFAULT_PREFIX = "/services/"
LONGEST_CONFIRM_INTERVAL = 60.0
"""A watch that says nothing for longer than that counts as dead (`homeport.spi`)."""

PARAMETERS = (
    "user", "password", "password_file", "password_env", "scheme", "ca_file", "ca_path", "cert_file", "key_file",
    "verify", "server_name", "timeout", "connect_timeout", "confirm_interval",
)  # fmt: skip

_PASSWORD_SOURCES = ("password", "password_file", "password_env")


class EtcdSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how. ``tls`` None is plain HTTP; an empty ``user`` asks without authentication.

    ``prefix`` is what the keys of all services begin with; it ends in a slash. ``password`` is a source, not a secret,
    so that a representation of these settings shows none. ``confirm_interval`` is after how many seconds a silent
    watch asks whether anything changed.
    """

    addresses: tuple[HostPort, ...] = (HostPort("127.0.0.1", DEFAULT_PORT),)
    prefix: str = DEFAULT_PREFIX
    user: str = ""
    password: Token = FixedToken()
    tls: TLS | None = None
    timeout: float = 10.0
    connect_timeout: float = 5.0
    confirm_interval: float = 30.0

    def __repr__(self) -> str:
        return f"EtcdSettings({self.url!r})"

    @property
    def url(self) -> str:
        """The URL for people and for logs: no credentials, no options."""
        return f"etcd://{','.join(map(str, self.addresses))}/{self.prefix.removeprefix('/')}"

    @property
    def access(self) -> Access:
        """How etcd is reached, for diagnosis."""
        who = f'the user "{self.user}" with the password in {source_of(self.password)}' if self.user else ""
        return Access(addresses=self.addresses, tls=self.tls, credentials=who)

    @classmethod
    def from_url(cls, url: str, environ: Mapping[str, str]) -> EtcdSettings:
        """Settings from a URL such as ``etcd://h1,h2:2379/services/?user=app&password_file=PATH``.

        ``ETCD_ENDPOINTS``, ``ETCD_DISCOVERY_PREFIX``, ``ETCD_USERNAME`` and ``ETCD_PASSWORD`` complete it.

        Raises:
            SettingsError: a part cannot be read, is unknown, or contradicts another.
        """
        parsed = parse_backend_url(url, default_port=DEFAULT_PORT)
        parsed.only(PARAMETERS)
        address_given = bool(url.partition("://")[2].partition("?")[0].partition("/")[0])
        addresses, secure = (parsed.addresses, None) if address_given else _from_endpoints_variable(environ)
        prefix = parsed.path or environ.get("ETCD_DISCOVERY_PREFIX", "").strip() or DEFAULT_PREFIX
        user = parsed.parameters.get("user", "") or environ.get("ETCD_USERNAME", "").strip()
        return cls(
            addresses=addresses,
            prefix=prefix if prefix.endswith("/") else f"{prefix}/",
            user=user,
            password=_password(parsed, environ, user=user),
            tls=_tls(parsed, secure=secure),
            timeout=parsed.seconds("timeout") or 10.0,
            connect_timeout=parsed.seconds("connect_timeout") or 5.0,
            confirm_interval=_confirm_interval(parsed),
        )


def _from_endpoints_variable(environ: Mapping[str, str]) -> tuple[tuple[HostPort, ...], bool | None]:
    """``ETCD_ENDPOINTS``: ``host:port`` separated by commas, each of which may carry ``http://`` or ``https://``."""
    texts = [text.strip() for text in environ.get("ETCD_ENDPOINTS", "").split(",") if text.strip()]
    if not texts:
        return (HostPort("127.0.0.1", DEFAULT_PORT),), None
    addresses, schemes = [], set()
    for text in texts:
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "", text
        if scheme not in ("", "http", "https"):
            raise SettingsError(
                f"ETCD_ENDPOINTS names {scheme}://; give host:port, http://host:port or https://host:port"
            )
        schemes.add(scheme)
        try:
            addresses.append(parse_host_port(rest.rstrip("/"), default_port=DEFAULT_PORT))
        except SettingsError as error:
            raise SettingsError(f"ETCD_ENDPOINTS: {error}") from None
    if len(schemes) > 1:
        raise SettingsError("ETCD_ENDPOINTS mixes http:// and https://; write all endpoints in the same way")
    return tuple(addresses), {"http": False, "https": True}.get(schemes.pop())


def _password(url: BackendURL, environ: Mapping[str, str], *, user: str) -> Token:
    given = [name for name in _PASSWORD_SOURCES if url.parameters.get(name)]
    if len(given) > 1:
        raise SettingsError(f"{url}: {' and '.join(given)} are both given; one of them is enough")
    if given and not user:
        raise SettingsError(f"{url}: {given[0]} is given without a user; give user= too, or set ETCD_USERNAME")
    if path := url.parameters.get("password_file"):
        return FileToken(Path(path).expanduser())
    if name := url.parameters.get("password_env"):
        return VariableToken(name, environ)
    password = url.parameters.get("password", "") or environ.get("ETCD_PASSWORD", "")
    if user and not password:
        raise SettingsError(
            f"{url}: a user is given without a password; give password_file= or password_env= too, or set ETCD_PASSWORD"
        )
    return FixedToken(password, source="the URL" if url.parameters.get("password") else "ETCD_PASSWORD")


def _tls(url: BackendURL, *, secure: bool | None) -> TLS | None:
    asked = speaks_tls(url)
    return tls_of(url, url.parameters) if (secure if asked is None else asked) else None


def _confirm_interval(url: BackendURL) -> float:
    seconds = url.seconds("confirm_interval") or 30.0
    if seconds > LONGEST_CONFIRM_INTERVAL:
        raise SettingsError(
            f"{url}: confirm_interval is {seconds:g} s; it must not be above {LONGEST_CONFIRM_INTERVAL:g}"
        )
    return seconds
