"""Which zones are served, and from where: ``dns_discovery.zones`` of the settings file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from homeport.client.configuration.backend_sections import BackendSections, scheme_of
from homeport.settings import SettingsFile
from homeport.spi import Backend

_TTL = 5.0

OwnRegistry: TypeAlias = None
"""Stands for the registry that serves the zone."""


class ZoneSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One zone; durations are seconds.

    ``backend`` is a URL or a name, None for the registry of this process, and ``environ`` what it is opened with. For
    the rest see `homeport.protocols.dns.zone.Zone`.
    """

    name: str
    backend: str | Backend | OwnRegistry
    environ: Mapping[str, str]
    ttl: float = _TTL
    negative_ttl: float = _TTL
    unhealthy_weight: int = 0
    health_aware: bool = True

    def __repr__(self) -> str:
        return f"<ZoneSettings of {self.name}>"  # the environment may hold secrets


def zones_in(file: SettingsFile | None, environ: Mapping[str, str]) -> tuple[ZoneSettings, ...]:
    """The zones of a settings file.

    Raises:
        SettingsError: the section, or that of a backend, cannot be right.
    """
    if file is None:
        return ()
    sections = BackendSections(file)
    found = []
    for one in sections.dns.zones:
        (backend,), completed = sections.completed([one.type], environ)
        own = scheme_of(backend, bare=True) == "homeport"
        caching, health = sections.dns.caching, sections.dns.health_awareness
        found.append(
            ZoneSettings(
                name=one.name, backend=None if own else backend, environ=completed,
                ttl=_chosen(caching.ttl) if caching.enabled else 0.0,
                negative_ttl=_chosen(caching.negative_ttl) if caching.enabled else 0.0,
                unhealthy_weight=health.unhealthy_weight, health_aware=health.enabled,
            )
        )  # fmt: skip
    return tuple(found)


def _chosen(ttl: float | None) -> float:
    return _TTL if ttl is None else ttl
