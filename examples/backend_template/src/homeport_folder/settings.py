"""Where the folder is, from a URL and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from homeport.connections.backend_url import parse_backend_url
from homeport.errors import SettingsError


class FolderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``interval`` is the time between two looks at the folder, in seconds."""

    path: Path
    interval: float = 0.2

    @property
    def url(self) -> str:
        """The URL for people."""
        return f"folder://{self.path}"

    @classmethod
    def from_url(cls, url: str, environ: Mapping[str, str]) -> FolderSettings:
        """Settings from ``folder:///path``; without a path ``HOMEPORT_FOLDER`` names it.

        Raises:
            SettingsError: there is no path, or a parameter is unknown or cannot be read.
        """
        parsed = parse_backend_url(url, default_port=0)
        parsed.only(("interval",))
        path = parsed.path or environ.get("HOMEPORT_FOLDER", "")
        if not path.startswith("/"):
            raise SettingsError("a folder backend needs a path: write folder:///path, or set HOMEPORT_FOLDER to one")
        return cls(path=Path(path), interval=parsed.seconds("interval") or 0.2)
