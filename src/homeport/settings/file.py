"""The one file of settings, ``homeport.yaml``: where it is, and what may stand at its top."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from homeport.errors import SettingsError

from .shapes import unknown_key
from .yaml_file import read_documents

FILE_NAME = "homeport.yaml"
SECTIONS = (
    "backend", "client", "services", "server", "health_checks", "service_definition", "consul", "etcd",
    "kubernetes_discovery", "dns_discovery", "high_availability", "sources",
)  # fmt: skip
NOT_YET = (
    "connect_intentions", "sidecar_proxies", "dynamic_configuration", "discovery_metrics", "datacenter_federation",
    "acl_policies",
)  # fmt: skip
"""Keys that a later version takes; refused by name, so that nobody believes them to be obeyed."""


class SettingsFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a file of settings says; ``name`` is how errors call it."""

    name: str = FILE_NAME
    content: Mapping[str, object] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.content:
            if key in NOT_YET:
                raise SettingsError(f"{self.name}: {key} is known but not available in this version; take it out")
            if key not in SECTIONS:
                raise unknown_key(self.name, "", str(key), known=SECTIONS)


def find_file(argument: str | None, environ: Mapping[str, str]) -> Path | None:
    """The file that is meant: ``argument``, else ``HOMEPORT_CONFIG``, else the user's ``homeport/homeport.yaml``.

    The last is looked for in ``XDG_CONFIG_HOME``, by default ``~/.config`` (XDG Base Directory Specification 0.8), not
    in the current folder: what a program does must not depend on where it is started. None when no file is named and
    the user has none.

    Raises:
        SettingsError: the file that was named does not exist.
    """
    named = argument or environ.get("HOMEPORT_CONFIG", "")
    if named:
        chosen = Path(named).expanduser()
        if not chosen.is_file():
            source = "" if argument else " (named by HOMEPORT_CONFIG)"
            raise SettingsError(f"{named}: there is no such file{source}")
        return chosen
    folder = environ.get("XDG_CONFIG_HOME", "")
    home = environ.get("HOME", "")
    # The specification ignores a relative path.
    if not folder.startswith("/"):
        if not home:
            return None
        folder = f"{home}/.config"
    path = Path(folder) / "homeport" / FILE_NAME
    return path if path.is_file() else None


def read_file(path: Path) -> SettingsFile:
    """Read a file of settings; only its top level is looked at, each section when it is loaded.

    Raises:
        SettingsError: it cannot be read, is not YAML, says something twice, or has a key that is not one.
    """
    documents = [one for one in read_documents(path) if one is not None]
    if len(documents) > 1:
        raise SettingsError(f'{path}: it has {len(documents)} parts between lines of "---"; settings are in one')
    content = documents[0] if documents else {}
    if not isinstance(content, dict):
        raise SettingsError(f'{path}: there must be settings in it, such as "server:" with its keys below')
    return SettingsFile(name=str(path), content=content)
