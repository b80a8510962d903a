"""Which file, and how often it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import msgspec

from homeport.connections.backend_url import BackendURL
from homeport.errors import SettingsError

FILE_VARIABLE = "HOMEPORT_STATIC_FILE"
PARAMETERS = ("reload_interval",)


class StaticSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The file, and after how many seconds a watch looks whether it has changed."""

    path: Path
    reload_interval: float = 1.0

    @property
    def url(self) -> str:
        """The URL for people and for logs."""
        return f"static://{self.path}"

    @classmethod
    def from_url(cls, url: str, environ: Mapping[str, str]) -> StaticSettings:
        """Settings from ``static:///etc/services.yaml?reload_interval=5``; a relative path is ``static://file.yaml``.

        Raises:
            SettingsError: no file is named, or a parameter is unknown or cannot be right.
        """
        place, _, query = url.partition("://")[2].partition("?")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=50)
        except ValueError as error:
            raise SettingsError(
                f"the parameters of static://{place} cannot be read; write for example "
                f"static:///etc/services.yaml?reload_interval=5"
            ) from error
        path = unquote(place) or environ.get(FILE_VARIABLE, "").strip()
        if not path:
            raise SettingsError(
                f"a static backend needs a file; write static:///path/services.yaml, or name it by {FILE_VARIABLE}"
            )
        parsed = BackendURL(scheme="static", path=path, parameters=dict(pairs))
        parsed.only(PARAMETERS)
        return cls(path=Path(path).expanduser(), reload_interval=parsed.seconds("reload_interval") or 1.0)
