"""Eureka, as Netflix and Spring Cloud serve it, over its REST API; it needs nothing but the core."""

from __future__ import annotations

from collections.abc import Mapping

from .backend import EurekaBackend
from .settings import EurekaSettings

__all__ = ["EurekaBackend", "EurekaSettings", "open_eureka"]


def open_eureka(url: str, environ: Mapping[str, str]) -> EurekaBackend:
    """The backend of an ``eureka://`` URL; where that names no host, ``EUREKA_CLIENT_SERVICEURL_DEFAULTZONE`` does."""
    return EurekaBackend(EurekaSettings.from_url(url, environ))
