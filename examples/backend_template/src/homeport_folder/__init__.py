"""A backend for Homeport: services as JSON files in a folder."""

from __future__ import annotations

from collections.abc import Mapping

from .backend import FolderBackend
from .settings import FolderSettings

__all__ = ["FolderBackend", "FolderSettings", "open_folder"]


def open_folder(url: str, environ: Mapping[str, str]) -> FolderBackend:
    """The backend of a URL such as ``folder:///var/lib/services?interval=0.5``; the entry point names this function."""
    return FolderBackend(FolderSettings.from_url(url, environ))
