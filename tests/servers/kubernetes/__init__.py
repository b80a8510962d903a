"""API servers of Kubernetes on loopback: a real one where its programs are found, else a stand-in.

Neither runs a controller: a test writes EndpointSlices, the status of Pods and ServiceAccounts itself, and a namespace
that is deleted stays `Terminating`, as on a cluster without its controller manager. EndpointSlices refuse addresses of
loopback.
"""

from tests.servers.kubernetes.api_server import ApiError, ApiServer, Rule
from tests.servers.kubernetes.real import KubernetesServer
from tests.servers.kubernetes.stand_in import KubernetesStandIn

__all__ = ["ApiError", "ApiServer", "KubernetesServer", "KubernetesStandIn", "Rule"]
