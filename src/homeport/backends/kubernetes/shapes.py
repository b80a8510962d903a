"""The objects of Kubernetes' API, with the fields that are read here (https://kubernetes.io/docs/reference/kubernetes-api/).

What is empty may be missing or null there.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class OwnerReference(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Whose end is the end of an object, too."""

    api_version: str
    kind: str
    name: str
    uid: str


class Metadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What every object has."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class KubernetesObject(msgspec.Struct, frozen=True, rename="camel"):
    """Any object. In lists ``api_version`` and ``kind`` are left out."""

    metadata: Metadata = Metadata()
    api_version: str = ""
    kind: str = ""


class Conditions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of an endpoint; None is unknown, which counts as ready and as not terminating."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Reference(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which object an endpoint stands for."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""


class Endpoint(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One backend of a service; of several addresses any may be used."""

    addresses: tuple[str, ...] = ()
    conditions: Conditions = Conditions()
    hostname: str | None = None
    target_ref: Reference | None = None
    node_name: str | None = None
    zone: str | None = None


class Port(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A port of all endpoints of a slice."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class EndpointSlice(KubernetesObject, frozen=True, rename="camel"):
    """Some of the endpoints of a service, all of one family of addresses."""

    address_type: str = ""
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[Port, ...] | None = None


class ServiceSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a service selects and offers."""

    selector: dict[str, str] | None = None
    ip_families: tuple[str, ...] | None = None


class Service(KubernetesObject, frozen=True, rename="camel"):
    """A name for some pods, or for endpoints that somebody else writes."""

    spec: ServiceSpec = ServiceSpec()


class ContainerPort(msgspec.Struct, frozen=True, rename="camel"):
    """A port that a container says it has."""

    container_port: int
    name: str | None = None
    protocol: str | None = None


class Container(msgspec.Struct, frozen=True):
    """One of a pod."""

    ports: tuple[ContainerPort, ...] | None = None


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    """Where a pod runs, and what."""

    node_name: str = ""
    containers: tuple[Container, ...] | None = None


class PodCondition(msgspec.Struct, frozen=True):
    """One of several statements about a pod."""

    type: str
    status: str


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    """How a pod is."""

    phase: str = ""
    pod_ip: str = msgspec.field(name="podIP", default="")
    start_time: str | None = None
    conditions: tuple[PodCondition, ...] | None = None


class PodMetadata(Metadata, frozen=True, rename="camel"):
    """Of a pod it also matters whether it is about to end."""

    deletion_timestamp: str | None = None


class Pod(KubernetesObject, frozen=True, rename="camel"):
    """A running program."""

    metadata: PodMetadata = PodMetadata()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who holds a lease, since when, and for how many seconds."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: str | None = None


class Lease(KubernetesObject, frozen=True, rename="camel"):
    """A statement that somebody lives, to be renewed."""

    spec: LeaseSpec = LeaseSpec()


class Namespace(KubernetesObject, frozen=True, rename="camel"):
    """A room for objects."""


class ListMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """At which version a list was made, and where the rest of it is."""

    resource_version: str = ""
    rest: str = msgspec.field(name="continue", default="")


class ListOf(msgspec.Struct, Generic[T], frozen=True):
    """One page of objects."""

    kind: str
    metadata: ListMetadata
    items: tuple[T, ...] | None = None


class EventOf(msgspec.Struct, Generic[T], frozen=True):
    """One line of a watch."""

    type: str
    object: T


class StatusDetails(msgspec.Struct, frozen=True):
    """What a refusal is about."""

    kind: str = ""


class Status(msgspec.Struct, frozen=True):
    """The answer to what was not done."""

    kind: str
    code: int = 0
    reason: str = ""
    message: str = ""
    details: StatusDetails | None = None


class Version(msgspec.Struct, frozen=True, rename="camel"):
    """Of the API server."""

    git_version: str
