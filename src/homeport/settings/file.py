"""The one file of settings, ``homeport.yaml``: where it is, and what may stand at its top."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from homeport.errors import SettingsError

from .shapes import unknown_key

if TYPE_CHECKING:
    import yaml

FILE_NAME = "homeport.yaml"
SECTIONS = ("backend", "client", "server", "health_checks")
NOT_YET = (
    "services", "sources", "service_definition", "consul", "kubernetes_discovery", "etcd", "dns_discovery",
    "connect_intentions", "sidecar_proxies", "dynamic_configuration", "discovery_metrics", "datacenter_federation",
    "acl_policies", "high_availability",
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
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: it is not text in UTF-8") from error
    content = _parsed(text, path)
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise SettingsError(f'{path}: there must be settings in it, such as "server:" with its keys below')
    return SettingsFile(name=str(path), content=content)


def _parsed(text: str, path: Path) -> object:
    import yaml

    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SettingsError(f"{path}: {place}{error.problem or 'it is not YAML'}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: it is not YAML: {' '.join(str(error).split())}") from error


def _loader() -> type[yaml.SafeLoader]:
    """A loader of plain data that refuses a key given twice, which YAML forbids (1.2.2, 3.2.1.1) and PyYAML allows."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        def construct_mapping(
            self,
            node: yaml.MappingNode,
            deep: bool = False,  # noqa: FBT001, FBT002 - PyYAML's signature
        ) -> dict[Hashable, Any]:
            seen: set[object] = set()
            for key_node, _ in node.value:
                if key_node.tag == "tag:yaml.org,2002:merge":
                    continue
                problem = ""
                if not isinstance(key_node, yaml.ScalarNode):
                    problem = "a key must be a word"
                elif key_node.value in seen:
                    problem = f"{key_node.value} is given twice"
                if problem:
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                seen.add(key_node.value)
            return super().construct_mapping(node, deep)

    return StrictLoader
