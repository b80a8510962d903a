"""The section ``consul`` of the settings file: how Consul is reached, and how services are registered with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from homeport.connections.backend_url import parse_host_port
from homeport.errors import InvalidValue, SettingsError
from homeport.model import frozen_meta

from .tls_files import TLSFiles

SECTION = "consul"
_DEFAULT_PORT = 8500


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where the agent is: ``host:port``, or with ``http://`` or ``https://`` before it."""

    address: str = ""
    datacenter: str = ""

    def __post_init__(self) -> None:
        scheme, separator, rest = self.address.partition("://")
        if separator and scheme not in ("http", "https"):
            raise SettingsError(
                f"consul.server.address begins with {scheme}://; give host:port, http://host:port or https://host:port"
            )
        if self.address:
            try:
                parse_host_port((rest if separator else self.address).rstrip("/"), default_port=_DEFAULT_PORT)
            except SettingsError as error:
                raise SettingsError(f"consul.server.address: {error}") from None


class Authentication(msgspec.Struct, frozen=True, kw_only=True):
    """The token: by value, by file, or by the name of a variable; one of them."""

    token: str = ""
    token_file: str = ""
    token_env: str = ""

    def __post_init__(self) -> None:
        given = [name for name in self.__struct_fields__ if getattr(self, name)]
        if len(given) > 1:
            raise SettingsError(f"consul.authentication gives {' and '.join(given)}; one of them is enough")


class ServiceRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """Whether definitions are registered on start-up and removed on exit, and what they have in common."""

    auto_register: bool | None = None
    deregister_on_exit: bool | None = None
    tags: tuple[str, ...] = ()
    meta: dict[str, Any] = {}

    def __post_init__(self) -> None:
        try:
            frozen_meta(self.meta)
        except InvalidValue as error:
            raise SettingsError(f"consul.service_registration.meta: {error}") from None


class HealthChecks(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks of definitions take when they do not say; seconds."""

    enabled: bool | None = None
    interval: float | None = None
    timeout: float | None = None
    deregister_after: float | None = None

    def __post_init__(self) -> None:
        for name in ("interval", "timeout", "deregister_after"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"consul.health_checks.{name} is {value}; it must be above 0")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """How services are followed; seconds. They stand for ``client.cache``."""

    refresh_interval: float | None = None
    cache_ttl: float | None = None
    watch_services: bool | None = None


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    """Consul's service mesh, which is not set up by Homeport: only "no" can be obeyed."""

    enabled: bool = False
    sidecar_proxy: bool = False
    intentions: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        for name in ("sidecar_proxy", "enabled", "intentions"):
            if getattr(self, name):
                raise SettingsError(
                    f"consul.connect.{name} asks for Consul's service mesh, which this version does not set up; "
                    "take consul.connect out, or switch it off there"
                )


class ConsulSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section as a whole."""

    server: Server = Server()
    authentication: Authentication = Authentication()
    tls: TLSFiles | None = None
    service_registration: ServiceRegistration = ServiceRegistration()
    health_checks: HealthChecks = HealthChecks()
    discovery: Finding = Finding()
    connect: Connect = Connect()

    def describes(self) -> bool:
        """Whether it says where Consul is, so that Consul is meant where no backend is named."""
        return bool(self.server.address)

    def url(self, environ: Mapping[str, str]) -> str:
        """What ``consul`` stands for: that name itself, or a URL that names the variable with the token."""
        variable = "" if _has_token(environ) else self.authentication.token_env
        return f"consul://?{urlencode({'token_env': variable})}" if variable else "consul"

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What the section says in Consul's own variables, as far as ``environ`` does not say it itself."""
        said = {"CONSUL_HTTP_ADDR": self.server.address, "CONSUL_DATACENTER": self.server.datacenter}
        if not _has_token(environ):
            said |= {
                "CONSUL_HTTP_TOKEN": self.authentication.token,
                "CONSUL_HTTP_TOKEN_FILE": self.authentication.token_file,
            }
        if self.tls is not None:
            said["CONSUL_HTTP_SSL"] = _truth_text(self.tls.enabled)
            if self.tls.enabled:
                said |= {
                    "CONSUL_CACERT": self.tls.ca_file,
                    "CONSUL_CLIENT_CERT": self.tls.cert_file,
                    "CONSUL_CLIENT_KEY": self.tls.key_file,
                    "CONSUL_HTTP_SSL_VERIFY": _truth_text(self.tls.verify_ssl),
                }
        return {name: text for name, text in said.items() if text and not environ.get(name, "").strip()}

    def implied(self) -> dict[str, tuple[object, str]]:
        """What it says about settings of the client, each with the key here."""
        return {
            f"cache.{setting}": (value, f"{SECTION}.discovery.{key}")
            for setting, key, value in (
                ("refresh_interval", "refresh_interval", self.discovery.refresh_interval),
                ("ttl", "cache_ttl", self.discovery.cache_ttl),
                ("watch", "watch_services", self.discovery.watch_services),
            )
            if value is not None
        }


def _has_token(environ: Mapping[str, str]) -> bool:
    return any(environ.get(name, "").strip() for name in ("CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE"))


def _truth_text(value: bool) -> str:  # noqa: FBT001 - a conversion
    return "true" if value else "false"
