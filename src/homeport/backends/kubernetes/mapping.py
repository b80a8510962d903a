"""Between the facts of Kubernetes' objects and Homeport's model; pure.

An endpoint is an instance. What it is comes from the labels and annotations of its Pod, else of its EndpointSlice,
else of its Service.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping, Sequence

import msgspec

from homeport.abilities import CHECKS
from homeport.errors import InvalidValue, Unsupported
from homeport.model import Instance, Service, Status

from . import shapes
from .facts import MANAGER, MANAGER_LABEL, REGISTRATION, SERVICE_LABEL, PodFacts, ServiceFacts, SliceFacts
from .settings import AnnotationKeys, KubernetesSettings, LabelKeys

ZONE_LABEL = "topology.kubernetes.io/zone"
REGION_LABEL = "topology.kubernetes.io/region"
"""Kubernetes copies both from the node to the pod, since 1.35."""

_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?\Z")
_META = msgspec.json.Decoder(dict[str, str])


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the annotation of a registered slice holds: all that a slice has no word for."""

    id: str
    name: str
    address: str
    port: int = 0
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = msgspec.field(default_factory=dict)
    weight: int = 1
    version: str = ""
    environment: str = ""
    incarnation: str = ""
    ttl: float | None = None


_REGISTRATION = msgspec.json.Decoder(Registration)


def endpoint_instances(
    name: str,
    found: SliceFacts,
    service: ServiceFacts | None,
    pods: Mapping[tuple[str, str], PodFacts],
    settings: KubernetesSettings,
    *,
    prefix: str = "",
) -> dict[str, Instance]:
    """The instances that the endpoints of a slice are, by id, which begins with ``prefix``.

    The id is the name of the pod, else the endpoint's host name, else its address and port.
    """
    instances: dict[str, Instance] = {}
    without_pod = _Details(settings, None, found, service, found.ports)
    for endpoint in found.endpoints:
        if not endpoint.addresses:
            continue
        reference = endpoint.target_ref
        of_pod = reference is not None and reference.kind == "Pod"
        pod = pods.get((reference.namespace or found.key[0], reference.name)) if of_pod and reference else None
        details = without_pod if pod is None else _Details(settings, pod, found, service, found.ports)
        if of_pod and reference is not None:
            instance_id = reference.name
        else:
            instance_id = endpoint.hostname or _host_port(endpoint.addresses[0], details.port)
        instances[f"{prefix}{instance_id}"] = details.instance(
            id=f"{prefix}{instance_id}",
            name=name,
            address=endpoint.addresses[0],
            status=endpoint_status(endpoint.conditions),
            node=endpoint.node_name or "",
            zone=endpoint.zone or "",
        )
    return instances


def pod_instance(name: str, pod: PodFacts, settings: KubernetesSettings, *, prefix: str = "") -> Instance:
    """The instance that a pod without an endpoint is."""
    conditions = shapes.Conditions(ready=pod.ready, terminating=pod.terminating)
    return _Details(settings, pod, None, None, pod.ports).instance(
        id=f"{prefix}{pod.key[1]}",
        name=name,
        address=pod.address,
        status=endpoint_status(conditions),
        node=pod.node,
        zone="",
    )


def endpoint_status(conditions: shapes.Conditions) -> Status:
    """What the conditions of an endpoint mean: about to end is maintenance, not ready is critical, else it passes."""
    if conditions.terminating:
        return "maintenance"
    return "critical" if conditions.ready is False else "passing"


def registered_instance(found: SliceFacts, *, expired: bool, datacenter: str, prefix: str = "") -> Instance | None:
    """The instance that Homeport registered as a slice, or None if its annotation cannot be read.

    It passes unless its lease ran out, or somebody changed the conditions of its endpoint.
    """
    registration = registration_of(found.registration)
    if registration is None:
        return None
    meta = registration.meta
    status: Status = "critical" if expired else "passing"
    for endpoint in found.endpoints:
        status = "critical" if expired else endpoint_status(endpoint.conditions)
    return Instance(
        id=f"{prefix}{registration.id}",
        service=registration.name,
        address=registration.address,
        port=registration.port,
        tags=registration.tags,
        meta=meta,
        weight=registration.weight,
        status=status,
        version=registration.version or meta.get("version", ""),
        environment=registration.environment or meta.get("environment", ""),
        datacenter=meta.get("datacenter", "") or datacenter,
        region=meta.get("region", ""),
        zone=meta.get("zone", ""),
        started_at=meta.get("started_at", ""),
    )


def registration_of(annotation: str) -> Registration | None:
    """What an annotation says, None if it cannot be read."""
    try:
        return _REGISTRATION.decode(annotation)
    except msgspec.DecodeError:
        return None


def check_name(name: str) -> None:
    """Refuse a name that no label can have, which is what names are in Kubernetes.

    Raises:
        InvalidValue: it is one.
    """
    if not name or not _LABEL_VALUE.match(name):
        raise InvalidValue(
            f'"{name}" cannot be a service in Kubernetes: give at most 63 letters, digits, "-", "_" and ".", '
            "with a letter or a digit at both ends"
        )


def has_lease(annotation: str) -> bool:
    """Whether a registration is kept by a lease."""
    registration = registration_of(annotation)
    return registration is not None and registration.ttl is not None


def slice_name(instance_id: str) -> str:
    """The name of the slice, and of the lease, of an instance. Ids may be any text, names may not.

    Raises:
        InvalidValue: there is no id.
    """
    if not instance_id:
        raise InvalidValue("an instance needs an id to be registered in Kubernetes")
    return f"homeport-{hashlib.sha256(instance_id.encode()).hexdigest()[:40]}"


def registered_slice(
    service: Service,
    *,
    namespace: str,
    incarnation: str,
    ttl: float | None,
    owners: tuple[shapes.OwnerReference, ...],
    labels: LabelKeys,
) -> shapes.EndpointSlice:
    """The slice that registers ``service``.

    Addresses that Kubernetes takes in no slice (loopback, link-local) stand in the annotation alone: Homeport's clients
    find them, its own proxies and DNS do not.

    Raises:
        InvalidValue: the name cannot be a label, which is what it is in Kubernetes.
        Unsupported: it has health checks, which Kubernetes does not run.
    """
    if service.checks:
        raise Unsupported(
            f'Kubernetes runs no health checks of ours, so "{service.name}" cannot have any there',
            instead="leave them out (its lease tells whether the program lives)",
            able=CHECKS,
        )
    check_name(service.name)
    registration = Registration(
        id=service.id,
        name=service.name,
        address=service.address,
        port=service.port,
        tags=service.tags,
        meta=dict(service.meta),
        weight=service.weight,
        version=service.version,
        environment=service.environment,
        incarnation=incarnation,
        ttl=ttl,
    )
    for_others = {labels.service_version: service.version, labels.environment: service.environment}
    family = address_type(service.address)
    endpoint = shapes.Endpoint(
        addresses=(service.address,),
        conditions=shapes.Conditions(ready=True),
        zone=service.meta.get("zone") or None,
    )
    return shapes.EndpointSlice(
        api_version="discovery.k8s.io/v1",
        kind="EndpointSlice",
        metadata=shapes.Metadata(
            name=slice_name(service.id),
            namespace=namespace,
            labels={
                **{key: value for key, value in for_others.items() if value and _LABEL_VALUE.match(value)},
                SERVICE_LABEL: service.name,
                MANAGER_LABEL: MANAGER,
            },
            annotations={REGISTRATION: msgspec.json.encode(registration).decode()},
            owner_references=owners or None,
        ),
        address_type=family or "IPv4",
        endpoints=(endpoint,) if family else (),
        ports=(shapes.Port(name="", port=service.port, protocol="TCP"),) if service.port else (),
    )


def address_type(address: str) -> str:
    """``IPv4``, ``IPv6`` or ``FQDN`` as slices know addresses; "" for one that they take in no way."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return (
            "FQDN" if re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", address) else ""
        )
    if ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast:
        return ""
    return f"IPv{ip.version}"


class _Details:
    """What the labels and annotations say of endpoints, the nearest object first.

    ``port`` is the number of the port to call, 0 if there is none. It is the one that the annotation gives by number or
    by name, else the only one, else the one called http, else the first whose name begins so, else the first.
    """

    def __init__(
        self,
        settings: KubernetesSettings,
        pod: PodFacts | None,
        found: SliceFacts | None,
        service: ServiceFacts | None,
        ports: tuple[shapes.Port, ...],
    ) -> None:
        present = [one for one in (pod, found, service) if one is not None]
        self._labels = [one.labels for one in present if one.labels]
        self._annotations = [one.annotations for one in present if one.annotations]
        keys = settings.annotations
        chosen = _chosen(ports, self._annotation(keys.service_port))
        self.port = chosen.port or 0
        self._tags = tuple(word for part in self._annotation(keys.tags).split(",") if (word := part.strip()))
        self._meta = self._read_meta(keys, ports, chosen, of=[pod.labels] if pod else self._labels)
        self._weight = _weight(self._annotation(keys.weight))
        self._version = self._label(settings.labels.service_version)
        self._environment = self._label(settings.labels.environment)
        self._datacenter = settings.datacenter
        self._region, self._zone = self._label(REGION_LABEL), self._label(ZONE_LABEL)
        self._node, self._started_at = (pod.node, pod.started_at) if pod else ("", "")

    def instance(
        self,
        *,
        id: str,  # noqa: A002 - as the model calls it
        name: str,
        address: str,
        status: Status,
        node: str,
        zone: str,
    ) -> Instance:
        """The instance that an endpoint is."""
        return Instance(
            id=id,
            service=name,
            address=address,
            port=self.port,
            tags=self._tags,
            meta=self._meta.copy(),
            weight=self._weight,
            status=status,
            version=self._version,
            environment=self._environment,
            node=node or self._node,
            datacenter=self._datacenter,
            region=self._region,
            zone=zone or self._zone,
            started_at=self._started_at,
        )

    def _read_meta(
        self, keys: AnnotationKeys, ports: tuple[shapes.Port, ...], chosen: shapes.Port, *, of: Sequence[dict[str, str]]
    ) -> dict[str, str]:
        meta: dict[str, str] = {}
        for labels in reversed(of):
            meta.update(labels)
        for written in reversed(self._annotations):
            meta.update(_object(written.get(keys.meta, "")))
        for word, key in (("health_path", keys.health_path), ("metrics_path", keys.metrics_path)):
            if value := self._annotation(key):
                meta[word] = value
        for port in ports:
            if port.name and port.port and port is not chosen:
                meta[f"port.{port.name}"] = str(port.port)
        if "https" in (chosen.app_protocol, chosen.name):
            meta.setdefault("scheme", "https")
        return meta

    def _label(self, key: str) -> str:
        for labels in self._labels:
            if found := labels.get(key):
                return found
        return ""

    def _annotation(self, key: str) -> str:
        for written in self._annotations:
            if found := written.get(key):
                return found.strip()
        return ""


def _chosen(ports: tuple[shapes.Port, ...], wanted: str) -> shapes.Port:
    """The port to call, one without a number if there is none; ``wanted`` is what the annotation says."""
    numbered = [port for port in ports if port.port]
    if wanted.isascii() and wanted.isdigit() and 0 < int(wanted) < 65536:
        same = [port for port in numbered if port.port == int(wanted)]
        return same[0] if same else shapes.Port(port=int(wanted))
    if not numbered:
        return shapes.Port()
    named = {port.name: port for port in reversed(numbered) if port.name}
    first_http = next((port for name, port in reversed(named.items()) if name.startswith("http")), numbered[0])
    return named.get(wanted) or named.get("http") or first_http


def _host_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _weight(text: str) -> int:
    """A weight, 1 where none is given that can be one."""
    return int(text) if text.isascii() and text.isdigit() and int(text) <= 65535 else 1


def _object(text: str) -> dict[str, str]:
    """A JSON object of texts, empty where none is given that is one."""
    if not text:
        return {}
    try:
        return _META.decode(text)
    except msgspec.DecodeError:
        return {}
