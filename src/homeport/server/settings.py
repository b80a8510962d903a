"""What ``homeport serve`` can be told."""

from __future__ import annotations

import ipaddress
from typing import Literal

import msgspec

from homeport.errors import SettingsError
from homeport.registry.health.settings import HealthSettings


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one client may ask of the server.

    ``header_bytes`` bounds a request's line and headers (431), ``body_bytes`` its body (413). ``header_timeout``
    bounds, in seconds, the arrival of its head (408), ``body_timeout`` that of its body (408). A connection without a
    request is closed after ``idle_timeout`` seconds; one whose client takes nothing of its answer for that long is cut.
    ``connections_per_client`` counts per address and never applies to loopback; 0 is no limit, what is too many gets
    429.
    """

    body_bytes: int = 1 << 20
    header_bytes: int = 16 << 10
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 60.0
    connections_per_client: int = 0

    def __post_init__(self) -> None:
        for name in ("header_timeout", "body_timeout", "idle_timeout"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"server.limits.{name} is {getattr(self, name)}; it must be more than 0 seconds")
        for name, least in (("body_bytes", 1), ("header_bytes", 256), ("connections_per_client", 0)):
            if getattr(self, name) < least:
                raise SettingsError(f"server.limits.{name} is {getattr(self, name)}; it must be at least {least}")


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a registry server.

    ``http`` is where it listens, HOST:PORT; port 0 takes a free one. ``dns`` is the same for questions in DNS, by UDP
    and TCP, if there are zones to answer for. ``data_dir`` "" is the platform's user data folder. ``advertise`` is the
    address of this host that others are told, by default the one it listens on, or from which it reaches others when it
    listens on all. ``dev`` keeps everything in memory. ``node`` and ``datacenter`` are taken from the store once it has
    them; naming others is refused. ``store_max_bytes`` bounds the database file. ``answers_bytes`` bounds the memory
    for kept answers. ``allowed_origins`` are the web origins (``https://registry.example``) whose pages may write;
    pages that this server itself gives out at an IP address or at localhost always may. ``log_format`` "auto" is text
    on a terminal and JSON elsewhere.
    """

    http: str = "127.0.0.1:8500"
    dns: str = "127.0.0.1:8600"
    advertise: str = ""
    data_dir: str = ""
    dev: bool = False
    node: str | None = None
    datacenter: str | None = None
    store_max_bytes: int | None = None
    answers_bytes: int = 256 << 20
    allowed_origins: tuple[str, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "text", "json"] = "auto"
    limits: Limits = Limits()
    health: HealthSettings = HealthSettings()

    def __post_init__(self) -> None:
        if self.answers_bytes < 0:
            raise SettingsError(f"server.answers_bytes is {self.answers_bytes}; it must not be negative")
        if self.store_max_bytes is not None and self.store_max_bytes < _SMALLEST_STORE:
            raise SettingsError(
                f"server.store_max_bytes is {self.store_max_bytes}; it must be at least {_SMALLEST_STORE}"
            )
        if self.advertise and not _is_address(self.advertise):
            raise SettingsError(
                f'server.advertise is "{self.advertise}"; give an IP address by which others reach this host'
            )
        for name in ("node", "datacenter"):
            if getattr(self, name) == "":
                raise SettingsError(f"server.{name} is empty; leave it out, or give a name")


_SMALLEST_STORE = 1 << 16


def _is_address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False
