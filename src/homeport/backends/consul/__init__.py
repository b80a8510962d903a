"""Consul, and Homeport's own registry, which speaks Consul's HTTP API: one client for both."""

from __future__ import annotations

from collections.abc import Mapping

from .backend import ConsulBackend
from .settings import ConsulSettings

__all__ = ["ConsulBackend", "ConsulSettings", "open_consul", "open_homeport"]


def open_consul(url: str, environ: Mapping[str, str]) -> ConsulBackend:
    """The backend of a ``consul://`` URL; the variables of Consul's own command line fill in what it leaves out."""
    return ConsulBackend(ConsulSettings.from_url(url, environ))


def open_homeport(url: str, environ: Mapping[str, str]) -> ConsulBackend:
    """The backend of a ``homeport://`` URL; the variables ``HOMEPORT_TOKEN`` and so on fill in what it leaves out."""
    return ConsulBackend(ConsulSettings.from_url(url, environ))
