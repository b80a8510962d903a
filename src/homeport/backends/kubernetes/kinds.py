"""The kinds of objects that are read and written: where they are, and how they are decoded."""

from __future__ import annotations

from typing import Generic, TypeVar
from urllib.parse import quote

import msgspec

from .settings import ALL_NAMESPACES
from .shapes import EndpointSlice, EventOf, KubernetesObject, Lease, ListOf, Namespace, Pod, Service, Status

T = TypeVar("T", bound=KubernetesObject)


class Kind(Generic[T]):
    """A kind: its ``name`` (``Pod``), its ``plural`` as RBAC calls it (``pods``), and the ``group`` it belongs to."""

    def __init__(
        self, name: str, plural: str, shape: type[T], page: type[ListOf[T]], event: type[EventOf[T]], *, group: str = ""
    ) -> None:
        self.name = name
        self.plural = plural
        self.group = group
        self.api_version = f"{group}/v1" if group else "v1"
        self.one = msgspec.json.Decoder(shape)
        self.page = msgspec.json.Decoder(page)
        self.event = msgspec.json.Decoder(event)

    def path(self, namespace: str, name: str = "") -> str:
        """The path of all objects in a namespace (``*``: everywhere; "" for what is in none), or of one of them."""
        root = f"/apis/{self.api_version}" if self.group else "/api/v1"
        within = "" if namespace in ("", ALL_NAMESPACES) else f"/namespaces/{quote(namespace, safe='')}"
        return f"{root}{within}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


SLICES = Kind(
    "EndpointSlice",
    "endpointslices",
    EndpointSlice,
    ListOf[EndpointSlice],
    EventOf[EndpointSlice],
    group="discovery.k8s.io",
)
SERVICES = Kind("Service", "services", Service, ListOf[Service], EventOf[Service])
PODS = Kind("Pod", "pods", Pod, ListOf[Pod], EventOf[Pod])
LEASES = Kind("Lease", "leases", Lease, ListOf[Lease], EventOf[Lease], group="coordination.k8s.io")
NAMESPACES = Kind("Namespace", "namespaces", Namespace, ListOf[Namespace], EventOf[Namespace])

FAILED_EVENT = msgspec.json.Decoder(EventOf[Status])
