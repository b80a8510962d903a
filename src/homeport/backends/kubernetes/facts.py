"""What matters here of Kubernetes' objects; pure.

Two versions of an object with the same facts are the same to everybody who follows a service, so what the cluster
writes all the time (heartbeats, conditions, resource versions) wakes nobody.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from . import shapes
from .settings import AnnotationKeys

SERVICE_LABEL = "kubernetes.io/service-name"
"""The label of a slice that names its service (https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/)."""
MANAGER_LABEL = "endpointslice.kubernetes.io/managed-by"
"""The label of a slice that names its writer, so that no other one takes it for its own."""
MANAGER = "homeport"
LEASE_MANAGER_LABEL = "app.kubernetes.io/managed-by"
"""The same for the leases of registrations."""
LEASE_SELECTOR = f"{LEASE_MANAGER_LABEL}={MANAGER}"
REGISTRATION = "homeport/registration"
"""The annotation of a slice that is a registration of Homeport; it holds a `mapping.Registration`."""

# Kubernetes' own marks of which version of its template a pod is made from: they say nothing and change with each.
_MARKS = frozenset((
    "pod-template-hash", "controller-revision-hash", "pod-template-generation",
    "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
))  # fmt: skip

Key = tuple[str, str]
"""The namespace and the name of an object."""


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Of a Service."""

    key: Key
    labels: dict[str, str]
    annotations: dict[str, str]
    selector: dict[str, str]
    families: tuple[str, ...] = ()


class SliceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Of an EndpointSlice. ``registration`` is not empty for what Homeport registered."""

    key: Key
    service: str
    family: str
    endpoints: tuple[shapes.Endpoint, ...]
    ports: tuple[shapes.Port, ...]
    labels: dict[str, str]
    annotations: dict[str, str]
    registration: str = ""


class PodFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Of a Pod; ``address`` is empty until it has one, and after it ended."""

    key: Key
    uid: str
    address: str
    ready: bool
    terminating: bool
    node: str
    started_at: str
    ports: tuple[shapes.Port, ...]
    labels: dict[str, str]
    annotations: dict[str, str]


class LeaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Of a Lease that keeps a registration; ``duration`` is in seconds."""

    key: Key
    holder: str
    duration: int
    renewed: str


def service_facts(found: shapes.Service, keys: AnnotationKeys) -> ServiceFacts:
    """What matters of a Service."""
    return ServiceFacts(
        key=key_of(found.metadata),
        labels=dict(found.metadata.labels or {}),
        annotations=_wanted(found.metadata.annotations, keys),
        selector=dict(found.spec.selector or {}),
        families=found.spec.ip_families or (),
    )


def slice_facts(found: shapes.EndpointSlice, keys: AnnotationKeys) -> SliceFacts:
    """What matters of an EndpointSlice."""
    labels = found.metadata.labels or {}
    registered = labels.get(MANAGER_LABEL) == MANAGER
    return SliceFacts(
        key=key_of(found.metadata),
        service=labels.get(SERVICE_LABEL, ""),
        family=found.address_type,
        endpoints=found.endpoints or (),
        ports=found.ports or (),
        labels={key: value for key, value in labels.items() if key not in (SERVICE_LABEL, MANAGER_LABEL)},
        annotations=_wanted(found.metadata.annotations, keys),
        registration=(found.metadata.annotations or {}).get(REGISTRATION, "") if registered else "",
    )


def pod_facts(found: shapes.Pod, keys: AnnotationKeys) -> PodFacts:
    """What matters of a Pod."""
    ended = found.status.phase in ("Succeeded", "Failed")
    conditions = {one.type: one.status for one in found.status.conditions or ()}
    return PodFacts(
        key=key_of(found.metadata),
        uid=found.metadata.uid,
        address="" if ended else found.status.pod_ip,
        ready=conditions.get("Ready") == "True",
        terminating=found.metadata.deletion_timestamp is not None,
        node=found.spec.node_name,
        started_at=found.status.start_time or "",
        ports=tuple(
            shapes.Port(name=port.name, port=port.container_port, protocol=port.protocol)
            for container in found.spec.containers or ()
            for port in container.ports or ()
        ),
        labels={key: value for key, value in (found.metadata.labels or {}).items() if key not in _MARKS},
        annotations=_wanted(found.metadata.annotations, keys),
    )


def lease_facts(found: shapes.Lease) -> LeaseFacts:
    """What matters of a Lease."""
    return LeaseFacts(
        key=key_of(found.metadata),
        holder=found.spec.holder_identity or "",
        duration=found.spec.lease_duration_seconds or 0,
        renewed=found.spec.renew_time or "",
    )


def key_of(metadata: shapes.Metadata) -> Key:
    """The key of an object."""
    return metadata.namespace, metadata.name


def _wanted(annotations: Mapping[str, str] | None, keys: AnnotationKeys) -> dict[str, str]:
    """The annotations that are read; others are often large, and change often."""
    if not annotations:
        return {}
    return {key: annotations[key] for key in msgspec.structs.astuple(keys) if key in annotations}
