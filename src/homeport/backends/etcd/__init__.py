"""etcd, version 3, over its HTTP/JSON gateway; it needs nothing but the core."""

from __future__ import annotations

from collections.abc import Mapping

from .backend import EtcdBackend
from .settings import EtcdSettings

__all__ = ["EtcdBackend", "EtcdSettings", "open_etcd"]


def open_etcd(url: str, environ: Mapping[str, str]) -> EtcdBackend:
    """The backend of an ``etcd://`` URL; ``ETCD_ENDPOINTS`` and the like fill in what it leaves out."""
    return EtcdBackend(EtcdSettings.from_url(url, environ))
