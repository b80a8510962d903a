"""The section ``etcd`` of the settings file: how etcd is reached, and how services are registered in it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from homeport.connections.backend_url import parse_host_port
from homeport.errors import SettingsError

from .policy import DEFAULT_TTL
from .tls_files import TLSFiles

SECTION = "etcd"
_DEFAULT_PORT = 2379


class Authentication(msgspec.Struct, frozen=True, kw_only=True):
    """The user and the password: by value, by the name of a variable, or, for the password, by file."""

    username: str = ""
    username_env: str = ""
    password: str = ""
    password_env: str = ""
    password_file: str = ""

    def __post_init__(self) -> None:
        for names in (("username", "username_env"), ("password", "password_env", "password_file")):
            given = [name for name in names if getattr(self, name)]
            if len(given) > 1:
                raise SettingsError(f"{SECTION}.authentication gives {' and '.join(given)}; one of them is enough")
        has_user = bool(self.username or self.username_env)
        if has_user != bool(self.password or self.password_env or self.password_file):
            lonely, missing = ("a user", "a password") if has_user else ("a password", "a user")
            raise SettingsError(f"{SECTION}.authentication gives {lonely} without {missing}; give both, or none")


class ServiceRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """Where definitions are registered, and for how long; seconds."""

    key_prefix: str = ""
    ttl: float | None = None
    refresh_interval: float | None = None

    def __post_init__(self) -> None:
        if self.ttl is not None and not self.ttl >= 1:
            raise SettingsError(f"{SECTION}.service_registration.ttl is {self.ttl}; it must be 1 s or more")
        ttl = self.ttl or DEFAULT_TTL
        if self.refresh_interval is not None and not 0 < self.refresh_interval < ttl:
            raise SettingsError(
                f"{SECTION}.service_registration.refresh_interval is {self.refresh_interval}; "
                f"it must be above 0 and below the ttl, which is {ttl:g} s"
            )


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Where services are looked for. Instances are below the name of their service, so it cannot but be recursive."""

    watch_prefix: str = ""
    recursive: bool = True

    def __post_init__(self) -> None:
        if not self.recursive:
            raise SettingsError(
                f"{SECTION}.discovery.recursive is false, but instances are kept below the name of their service, "
                "as PREFIX/SERVICE/ID; set it to true, or take it out"
            )


class EtcdSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section as a whole."""

    endpoints: tuple[str, ...] = ()
    authentication: Authentication = Authentication()
    tls: TLSFiles | None = None
    service_registration: ServiceRegistration = ServiceRegistration()
    discovery: Finding = Finding()

    def __post_init__(self) -> None:
        for position, endpoint in enumerate(self.endpoints):
            _check_endpoint(endpoint, place=f"{SECTION}.endpoints[{position}]")
        written, watched = _with_slash(self.service_registration.key_prefix), _with_slash(self.discovery.watch_prefix)
        if written and watched and written != watched:
            raise SettingsError(
                f"{SECTION}.service_registration.key_prefix and {SECTION}.discovery.watch_prefix differ, but a program "
                "finds services where it registers them; give one prefix to both"
            )

    def describes(self) -> bool:
        """Whether it says where etcd is, so that etcd is meant where no backend is named."""
        return bool(self.endpoints)

    def url(self, environ: Mapping[str, str]) -> str:
        """What ``etcd`` stands for: that name itself, or a URL with what no variable can say."""
        parameters = {}
        if self.tls is not None:
            parameters["scheme"] = "https" if self.tls.enabled else "http"
            if self.tls.enabled:
                parameters |= {
                    "ca_file": self.tls.ca_file, "cert_file": self.tls.cert_file, "key_file": self.tls.key_file,
                    "verify": "" if self.tls.verify_ssl else "false",
                }  # fmt: skip
        if not environ.get("ETCD_PASSWORD", "").strip():
            parameters["password_env"] = self.authentication.password_env
            parameters["password_file"] = self.authentication.password_file
        given = {name: text for name, text in parameters.items() if text}
        return f"etcd://?{urlencode(given)}" if given else "etcd"

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What the section says in etcd's variables, as far as ``environ`` does not say it itself.

        Raises:
            SettingsError: the variable that should hold the user is not set.
        """
        said = {
            "ETCD_ENDPOINTS": ",".join(self.endpoints),
            "ETCD_DISCOVERY_PREFIX": self.service_registration.key_prefix or self.discovery.watch_prefix,
            "ETCD_PASSWORD": self.authentication.password,
        }
        if not environ.get("ETCD_USERNAME", "").strip():
            said["ETCD_USERNAME"] = self._user(environ)
        return {name: text for name, text in said.items() if text and not environ.get(name, "").strip()}

    def named_variables(self) -> tuple[str, ...]:
        """The variables of the environment that it names."""
        return tuple(filter(None, (self.authentication.username_env, self.authentication.password_env)))

    def implied(self) -> dict[str, tuple[object, str]]:
        """What it says about settings of the client, each with the key here."""
        interval = self.service_registration.refresh_interval
        key = f"{SECTION}.service_registration.refresh_interval"
        return {} if interval is None else {"renew_interval": (interval, key)}

    def _user(self, environ: Mapping[str, str]) -> str:
        name = self.authentication.username_env
        if not name:
            return self.authentication.username
        user = environ.get(name, "").strip()
        if not user:
            raise SettingsError(
                f"{SECTION}.authentication.username_env names the variable {name}, which is not set; set it"
            )
        return user


def _with_slash(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def _check_endpoint(endpoint: str, *, place: str) -> None:
    scheme, separator, rest = endpoint.partition("://")
    if separator and scheme not in ("http", "https"):
        raise SettingsError(f"{place} begins with {scheme}://; give host:port, http://host:port or https://host:port")
    try:
        parse_host_port((rest if separator else endpoint).rstrip("/"), default_port=_DEFAULT_PORT)
    except SettingsError as error:
        raise SettingsError(f"{place}: {error}") from None
