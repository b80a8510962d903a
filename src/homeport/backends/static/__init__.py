"""Instances from a file that is followed, or from code; it needs nothing but the core."""

from __future__ import annotations

from collections.abc import Mapping

from .backend import StaticBackend
from .file_backend import StaticFileBackend
from .settings import StaticSettings

__all__ = ["StaticBackend", "StaticFileBackend", "StaticSettings", "open_static"]


def open_static(url: str, environ: Mapping[str, str]) -> StaticFileBackend:
    """The backend of a ``static://`` URL; a bare one takes the file that ``HOMEPORT_STATIC_FILE`` names."""
    return StaticFileBackend(StaticSettings.from_url(url, environ))
