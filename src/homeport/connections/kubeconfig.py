"""What stands in the files of a kubeconfig, as far as it is used here; several files are read as one.

The rules of merging are those of kubectl
(https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/), the names those of
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/. What would change who asks, or whom, and is not
supported, is known by name, so that it can be refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from homeport.errors import SettingsError

_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_KINDS = ("cluster", "context", "user")


class Cluster(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Where a cluster is, and whether it is that one."""

    server: str
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool | None = None
    tls_server_name: str | None = None
    proxy_url: str | None = None

    @property
    def unsupported(self) -> str:
        """The first key that is given and not supported, or ""."""
        return "proxy-url" if self.proxy_url else ""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Which user asks which cluster, and in which namespace."""

    cluster: str
    user: str | None = None
    namespace: str | None = None


class Variable(msgspec.Struct, frozen=True):
    """One variable of the environment of a command."""

    name: str
    value: str


class Exec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A command that gives out credentials."""

    api_version: str
    command: str
    args: list[str] | None = None
    env: list[Variable] | None = None
    install_hint: str | None = None
    provide_cluster_info: bool | None = None


class User(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Who asks."""

    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    token: str | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    username: str | None = None
    password: str | None = None
    exec: Exec | None = None
    auth_provider: dict[str, Any] | None = None
    as_: str | None = msgspec.field(default=None, name="as")
    as_uid: str | None = None
    as_groups: list[str] | None = None
    as_user_extra: dict[str, list[str]] | None = None

    def __repr__(self) -> str:
        return "User(…)"  # it may hold secrets

    @property
    def unsupported(self) -> str:
        """The first key that is given and not supported, or ""."""
        keys = {
            "auth-provider": self.auth_provider,
            "as": self.as_,
            "as-uid": self.as_uid,
            "as-groups": self.as_groups,
            "as-user-extra": self.as_user_extra,
        }
        return next((key for key, value in keys.items() if value), "")


class KubeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All files together; ``places`` are their names, for people."""

    places: str
    current_context: str
    clusters: dict[str, Cluster]
    contexts: dict[str, Context]
    users: dict[str, User]


def read_kubeconfig(files: tuple[str, ...]) -> KubeConfig:
    """The files as one: of what several define, the first counts. Files that are not there are passed over.

    Raises:
        SettingsError: there is none, or one cannot be read or is not what it should be.
    """
    places = ", ".join(files)
    merged: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
    current = ""
    found = False
    for file in files:
        path = Path(file).expanduser()
        content = _content(path)
        if content is None:
            continue
        found = True
        current = current or str(content.get("current-context") or "")
        for kind, known in merged.items():
            for name, details in _entries(content, kind, path):
                known.setdefault(name, details)
    if not found:
        raise SettingsError(
            f"there is no kubeconfig {' or '.join(files)}; name one by KUBECONFIG or kubeconfig=PATH, or run in a pod"
        )
    try:
        return KubeConfig(
            places=places,
            current_context=current,
            clusters=msgspec.convert(merged["cluster"], dict[str, Cluster]),
            contexts=msgspec.convert(merged["context"], dict[str, Context]),
            users=msgspec.convert(merged["user"], dict[str, User]),
        )
    except msgspec.ValidationError as error:
        raise SettingsError(f"the kubeconfig {places} is not as Kubernetes defines it: {error}") from error


def _content(path: Path) -> dict[str, Any] | None:
    """What stands in one file, None if there is no such file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the kubeconfig {path} cannot be read: {words_of(error)}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"the kubeconfig {path} is no YAML") from error
    if not isinstance(content, dict):
        raise SettingsError(f"the kubeconfig {path} is not a kubeconfig")
    return content


def _entries(content: Mapping[str, Any], kind: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The clusters, contexts or users of one file, with paths that no longer depend on where it is."""
    for entry in content.get(f"{kind}s") or ():
        if not isinstance(entry, dict) or "name" not in entry or not isinstance(entry.get(kind) or {}, dict):
            raise SettingsError(f"the kubeconfig {path} has {kind}s that are none")
        details = dict(entry.get(kind) or {})
        for key in _PATHS:
            if details.get(key):
                details[key] = str(path.parent / os.fspath(details[key]))
        command = details.get("exec")
        if isinstance(command, dict) and os.sep in str(command.get("command") or ""):
            details["exec"] = {**command, "command": str(path.parent / command["command"])}
        yield str(entry["name"]), details


def words_of(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read, as a part of a sentence."""
    return error.strerror.lower() if isinstance(error, OSError) and error.strerror else "it is not text"
