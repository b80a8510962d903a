"""The section ``kubernetes_discovery`` of the settings file: which cluster, and what in it are instances."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec

from homeport.errors import SettingsError

SECTION = "kubernetes_discovery"

# Keys and values of labels, and no sign that has a meaning in a selector
# (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set).
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]*\Z")
_VALUE = re.compile(r"[A-Za-z0-9._-]*\Z")


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """The kubeconfig and the context in it; without either, as ``K8S_IN_CLUSTER`` and ``KUBECONFIG`` say."""

    kubeconfig: str = ""
    context: str = ""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Where services are looked for; the labels of ``selectors`` must all be there."""

    namespaces: tuple[str, ...] = ()
    selectors: dict[str, str] = {}

    def __post_init__(self) -> None:
        for key, value in self.selectors.items():
            if not _KEY.match(key) or not _VALUE.match(value):
                raise SettingsError(
                    f'{SECTION}.service_discovery.selectors has "{key}: {value}", which no label can be; '
                    "give KEY: VALUE as Kubernetes has them"
                )


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoints are instances; see `homeport.backends.kubernetes`."""

    enabled: bool | None = None
    ready_only: bool | None = None
    include_not_ready: bool | None = None

    def __post_init__(self) -> None:
        if self.ready_only is not None and self.ready_only == self.include_not_ready:
            raise SettingsError(
                f"{SECTION}.endpoints.ready_only and .include_not_ready are both {_truth_text(self.ready_only)}, which "
                "contradict each other; keep one of them"
            )


class AnnotationKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of the annotations that say more about an instance."""

    service_port: str = ""
    health_path: str = ""
    metrics_path: str = ""
    tags: str = ""
    weight: str = ""
    meta: str = ""


class LabelKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of the labels that name the service, its version and its environment."""

    service_name: str = ""
    service_version: str = ""
    environment: str = ""


class KubernetesSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section as a whole."""

    cluster_config: Cluster = Cluster()
    service_discovery: Scope = Scope()
    endpoints: Endpoints = Endpoints()
    annotations: AnnotationKeys = AnnotationKeys()
    labels: LabelKeys = LabelKeys()

    def describes(self) -> bool:
        """Whether it says something, so that Kubernetes is meant where no backend is named."""
        return self != KubernetesSection()

    def url(self, environ: Mapping[str, str]) -> str:
        """What ``kubernetes`` stands for: that name itself, or a URL with what ``environ`` does not say."""
        context, kubeconfig = self._cluster(environ)
        namespaces = "" if _is_set(environ, "K8S_NAMESPACE") else ",".join(self.service_discovery.namespaces)
        parameters = {"kubeconfig": kubeconfig}
        if not _is_set(environ, "K8S_LABEL_SELECTOR"):
            selectors = self.service_discovery.selectors
            parameters["label_selector"] = ",".join(f"{key}={value}" for key, value in selectors.items())
        for name in self.endpoints.__struct_fields__:
            value = getattr(self.endpoints, name)
            parameters["endpoints" if name == "enabled" else name] = "" if value is None else _truth_text(value)
        for keys, kind in ((self.annotations, "annotation"), (self.labels, "label")):
            parameters |= {f"{name}_{kind}": getattr(keys, name) for name in keys.__struct_fields__}
        given = {name: text for name, text in parameters.items() if text}
        place = f"{quote(context, safe='')}{f'/{namespaces}' if namespaces else ''}"
        if not place and not given:
            return "kubernetes"
        return f"kubernetes://{place}{f'?{urlencode(given)}' if given else ''}"

    def variables(self, _environ: Mapping[str, str]) -> dict[str, str]:
        """Nothing: the URL says it all."""
        return {}

    def _cluster(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """The context and the kubeconfig, unless the environment says which cluster is meant."""
        if _is_set(environ, "K8S_IN_CLUSTER") and environ["K8S_IN_CLUSTER"].strip().lower() not in _FALSE:
            return "", ""
        kubeconfig = "" if _is_set(environ, "KUBECONFIG") else self.cluster_config.kubeconfig
        return self.cluster_config.context, kubeconfig


_FALSE = ("false", "no", "0")


def _is_set(environ: Mapping[str, str], name: str) -> bool:
    return bool(environ.get(name, "").strip())


def _truth_text(value: bool) -> str:  # noqa: FBT001 - a conversion
    return "true" if value else "false"
