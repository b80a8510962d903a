"""Kubernetes: EndpointSlices with their Services and Pods."""

from __future__ import annotations

from collections.abc import Mapping

from .backend import KubernetesBackend
from .settings import AnnotationKeys, EndpointRules, KubernetesSettings, LabelKeys, label_selector_of

__all__ = [
    "AnnotationKeys", "EndpointRules", "KubernetesBackend", "KubernetesSettings", "LabelKeys", "label_selector_of",
    "open_kubernetes",
]  # fmt: skip


def open_kubernetes(url: str, environ: Mapping[str, str]) -> KubernetesBackend:
    """The backend of a ``kubernetes://`` URL; ``K8S_NAMESPACE`` and the like fill in what it leaves out."""
    return KubernetesBackend(KubernetesSettings.from_url(url, environ))
