"""Where a Kubernetes cluster is and who asks: a context of a kubeconfig, or the service account of a pod."""

from __future__ import annotations

import msgspec

SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where the kubelet puts token, CA and namespace of a pod's service account, and keeps them fresh."""


class KubernetesAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a cluster; nothing of it is a secret.

    With an ``api_server`` (``https://HOST:PORT``), the service account in ``service_account_dir`` asks there, as inside
    a pod. Otherwise it is the ``context`` of the files in ``kubeconfig``, which are merged as kubectl does; an empty
    ``context`` is the current one.
    """

    kubeconfig: tuple[str, ...] = ("~/.kube/config",)
    context: str = ""
    api_server: str = ""
    service_account_dir: str = SERVICE_ACCOUNT_DIR

    @property
    def in_cluster(self) -> bool:
        """Whether the service account of a pod is used."""
        return bool(self.api_server)

    @property
    def name(self) -> str:
        """The context, ``in-cluster``, or "" for the current context."""
        return IN_CLUSTER if self.in_cluster else self.context


IN_CLUSTER = "in-cluster"
"""How the service account of a pod is called in the place of a context."""
