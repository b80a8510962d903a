"""What the contract suite needs of an API server of Kubernetes."""

import asyncio
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from homeport.backends import open_backend
from homeport.model import Service
from homeport.spi import Backend
from homeport.testing import FaultProxy
from homeport.testing.contract import HEALTH, HTTP_GARBAGE, ProxiedHarness
from tests.servers.kubernetes import ApiError, ApiServer, Rule

HASTE = "timeout=10s&connect_timeout=10s&confirm_interval=1s"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
PAGE = Path(__file__).parents[3] / "docs" / "backends-kubernetes.md"


def documented_rules(*, registering: bool) -> list[Rule]:
    """The rules that the documentation tells people to give, to find or also to register."""
    role, more = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    rules: list[Rule] = yaml.safe_load(role)["rules"]
    return [*rules, *yaml.safe_load(more)] if registering else rules


def _http(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


class KubernetesHarness(ProxiedHarness):
    """An API server behind a proxy. What is arranged aside are slices as anybody writes them, by its plain API.

    The garbage stands in the place of TLS; answers of HTTP are those of `PlainHarness`.
    """

    garbage: Mapping[str, bytes] = {"no TLS": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"}
    restarts = True
    wipes = True
    compacts = True
    cannot: Mapping[str, str] = {HEALTH: "It takes no reports: whether a pod is ready, its kubelet asks it."}

    def __init__(self, server: ApiServer, proxy: FaultProxy) -> None:
        super().__init__(server.address, proxy)
        self.server = server
        self.kubeconfigs = {address: server.kubeconfig_for(address) for address in (server.address, proxy.address)}

    def connect(self, address: str) -> Backend:
        return open_backend(f"kubernetes://test/default?kubeconfig={self.kubeconfigs[address]}&{HASTE}", {})

    async def write(self, service: Service) -> None:
        await asyncio.to_thread(write_slice, self.server, service)

    async def remove(self, service: Service) -> None:
        await asyncio.to_thread(remove_slices, self.server, service)

    async def listed(self, service: str) -> list[str]:
        return await asyncio.to_thread(lambda: sorted(map(_id, slices_of(self.server, service))))

    async def restart(self) -> None:
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)

    async def wipe(self) -> None:
        """A new server answers before it is ready; the way to it opens when it is."""
        await asyncio.to_thread(self.proxy.stop)
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.wipe)
        await asyncio.to_thread(self.server.start)
        await asyncio.to_thread(self.proxy.start)

    async def compact(self) -> None:
        await asyncio.to_thread(self.server.compact)


class InClusterHarness(KubernetesHarness):
    """As seen from a pod: a service account with no more rights than it needs, whose token stands in a file."""

    rotates = True
    restarts = wipes = compacts = False

    def __init__(self, server: ApiServer, proxy: FaultProxy, folder: Path) -> None:
        super().__init__(server, proxy)
        self._folder = folder
        self._account = f"in-cluster-{uuid4().hex[:8]}"
        self._token = ""
        (folder / "namespace").write_text("default")
        shutil.copy(server.authority.certificate, folder / "ca.crt")
        self._renew()

    def connect(self, address: str) -> Backend:
        host, _, port = address.rpartition(":")
        environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        return open_backend(f"kubernetes://in-cluster?service_account_dir={self._folder}&{HASTE}", environ)

    async def rotate(self) -> None:
        await asyncio.to_thread(self._rotate)

    def _rotate(self) -> None:
        old = self._token
        self._renew()
        self.server.revoke(old)

    def _renew(self) -> None:
        self._token = self.server.user(self._account, documented_rules(registering=True))
        (self._folder / "token").write_text(self._token)


class PlainHarness(KubernetesHarness):
    """An API server without TLS, so that the proxy can answer in its place."""

    garbage: Mapping[str, bytes] = {
        **HTTP_GARBAGE,
        "HTML": _http("200 OK", b"<html>log in here</html>"),
        "half a list": _http("200 OK", b'{"kind":"EndpointSliceList","metadata":{"resourceVersion":"9"},"items":[{"me'),
        "a list without a version": _http("200 OK", b'{"kind":"EndpointSliceList","metadata":{},"items":[]}'),
        "another kind": _http("200 OK", b'{"kind":"ConfigMapList","metadata":{"resourceVersion":"9"},"items":[]}'),
        "an internal error": _http(
            "500 Internal Server Error",
            b'{"kind":"Status","status":"Failure","message":"etcdserver: leader changed","code":500}',
        ),
        "an event that is an error": _http(
            "200 OK", b'{"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"oops","code":500}}\n'
        ),
    }
    restarts = wipes = compacts = False

    def __init__(self, server: ApiServer, proxy: FaultProxy) -> None:
        super().__init__(server, proxy)
        path = self.kubeconfigs[proxy.address]
        path.write_text(path.read_text().replace("https://", "http://"))


def write_slice(server: ApiServer, service: Service) -> None:
    """Create or replace the slice of an instance that no Pod stands for: its host name is its id."""
    annotations = {"homeport/tags": ",".join(service.tags), "homeport/meta": json.dumps(service.meta)}
    labels = {
        "kubernetes.io/service-name": service.name,
        "endpointslice.kubernetes.io/managed-by": "somebody",
        "app.kubernetes.io/version": service.version,
        "app.kubernetes.io/environment": service.environment,
    }
    body: dict[str, Any] = {
        "metadata": {"name": service.id, "labels": labels, "annotations": annotations},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [service.address], "hostname": service.id, "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": service.port}],
    }
    try:
        server.request("POST", SLICES, body)
    except ApiError as error:
        if error.code != 409:
            raise
        server.request("PUT", f"{SLICES}/{service.id}", body)


def slices_of(server: ApiServer, service: str) -> list[dict[str, Any]]:
    """All slices of a service."""
    selector = f"?labelSelector=kubernetes.io/service-name%3D{service}"
    items: list[dict[str, Any]] = server.request("GET", f"{SLICES}{selector}")["items"]
    return items


def remove_slices(server: ApiServer, service: Service) -> None:
    """Remove the slices of an instance, whoever wrote them."""
    for found in slices_of(server, service.name):
        if _id(found) == service.id:
            with suppress(ApiError):
                server.request("DELETE", f"{SLICES}/{found['metadata']['name']}")


def _id(found: Mapping[str, Any]) -> str:
    registration = found["metadata"].get("annotations", {}).get("homeport/registration")
    if registration:
        return str(json.loads(registration)["id"])
    return str(found["endpoints"][0]["hostname"])
