"""How an API server is reached, for who looks for the reason why it is not."""

from __future__ import annotations

from homeport.connections.access import Access
from homeport.connections.kubernetes_access import KubernetesAccess
from homeport.connections.kubernetes_config import read_cluster_config
from homeport.connections.token import FixedToken, source_of


def access_of(access: KubernetesAccess) -> Access:
    """The address, TLS and credentials of a cluster. Reads its configuration: call it outside the event loop.

    Raises:
        SettingsError: it cannot be used.
    """
    config = read_cluster_config(access)
    own = "the pod's service account" if access.in_cluster else f'the kubeconfig (context "{config.name}")'
    if config.tls is not None and config.tls.pem.certificate:
        credentials = f"the client certificate of {own}"
    elif isinstance(config.token, FixedToken):
        credentials = f"the token of {own}" if source_of(config.token) else ""
    else:
        credentials = f"the token of {source_of(config.token) or own}"
    return Access(addresses=(config.address,), tls=config.tls, credentials=credentials)
