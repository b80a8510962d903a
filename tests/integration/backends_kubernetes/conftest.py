"""What the integration tests of the Kubernetes backend share."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeAlias
from uuid import uuid4

import pytest

from homeport.backends.kubernetes import KubernetesBackend, open_kubernetes
from homeport.spi import Observed
from tests.servers.kubernetes import ApiServer

PATIENCE = 60.0

Open: TypeAlias = Callable[..., KubernetesBackend]


class Room:
    """A namespace of the test's own."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server = server
        self.namespace = namespace
        self.core = f"/api/v1/namespaces/{namespace}"
        self.slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self.leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        server.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})

    def service(self, name: str, *, labels: Any = None, annotations: Any = None, selector: Any = None) -> None:
        """A Service with one port."""
        body = {
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
            "spec": {"selector": selector, "ports": [{"port": 80}]},
        }
        self.server.request("POST", f"{self.core}/services", body)

    def pod(self, name: str, *, labels: Any = None, annotations: Any = None, ip: str = "10.1.0.1") -> None:
        """A Pod that is ready at an address."""
        container = {"name": "main", "image": "none", "ports": [{"name": "http", "containerPort": 8080}]}
        body = {
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
            "spec": {"nodeName": "node-1", "containers": [container]},
        }
        self.server.request("POST", f"{self.core}/pods", body)
        self.pod_status(name, ip)

    def pod_status(self, name: str, ip: str, **more: Any) -> None:
        """What a kubelet reports."""
        conditions = [{"type": "Ready", "status": "True", **more}]
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}
        self.server.request("PATCH", f"{self.core}/pods/{name}/status", {"status": status})

    def slice(self, name: str, service: str, endpoints: Any, *, family: str = "IPv4", **labels: str) -> None:
        """Create or replace an EndpointSlice."""
        body = {
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service, **labels}},
            "addressType": family,
            "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080}, {"name": "metrics", "port": 9090}],
        }
        if self.server.exchange("POST", self.slices, body)[0] == 409:
            self.server.request("PUT", f"{self.slices}/{name}", body)

    def registered(self) -> list[dict[str, Any]]:
        """The slices that Homeport wrote."""
        path = f"{self.slices}?labelSelector=endpointslice.kubernetes.io/managed-by%3Dhomeport"
        items: list[dict[str, Any]] = self.server.request("GET", path)["items"]
        return items

    def held(self) -> list[dict[str, Any]]:
        """The leases."""
        items: list[dict[str, Any]] = self.server.request("GET", self.leases)["items"]
        return items


def endpoint(ip: str, pod: str = "", *, ready: bool = True, **more: Any) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {"addresses": [ip], "conditions": {"ready": ready}, **target, **more}


@pytest.fixture
def new_room(kubernetes: ApiServer) -> Callable[[], Room]:
    """Makes namespaces."""
    return lambda: Room(kubernetes, f"t-{uuid4().hex[:12]}")


@pytest.fixture
def room(new_room: Callable[[], Room]) -> Room:
    """A namespace of the test's own."""
    return new_room()


@pytest.fixture
def opened(kubernetes: ApiServer, room: Room) -> Open:
    """Makes backends for the namespace, by a query, as the administrator or with a token."""

    def open_it(query: str = "", *, namespaces: str = "", user: str = "", address: str = "") -> KubernetesBackend:
        kubeconfig = kubernetes.kubeconfig_for(address or kubernetes.address, user=user)
        url = f"kubernetes://test/{namespaces or room.namespace}?kubeconfig={kubeconfig}&{query}".rstrip("&")
        return open_kubernetes(url, {})

    return open_it


async def following(stream: AsyncGenerator[Observed, None]) -> Observed:
    async with asyncio.timeout(PATIENCE):
        return await anext(stream)


async def arriving(stream: AsyncGenerator[Observed, None], wanted: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """The first statuses by id that are as wanted."""
    async with asyncio.timeout(PATIENCE):
        while not wanted(found := statuses(await anext(stream))):
            pass
        return found


def statuses(observed: Observed) -> dict[str, str]:
    return {one.id: one.status for one in observed.instances}
