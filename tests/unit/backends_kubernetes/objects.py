"""Objects of Kubernetes as the API server sends them, and the facts of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from homeport.backends.kubernetes import facts
from homeport.backends.kubernetes.kinds import LEASES, PODS, SERVICES, SLICES
from homeport.backends.kubernetes.settings import AnnotationKeys

KEYS = AnnotationKeys()


def _metadata(name: str, namespace: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "7", **more}


def service(
    name: str, *, namespace: str = "default", labels: Mapping[str, str] | None = None, **more: Any
) -> facts.ServiceFacts:
    annotations = more.pop("annotations", {})
    body = {
        "kind": "Service",
        "metadata": _metadata(name, namespace, labels=labels or {}, annotations=annotations),
        "spec": {"clusterIP": "10.96.0.1", **more},
    }
    return facts.service_facts(SERVICES.one.decode(json.dumps(body)), KEYS)


def endpoint(address: str, *, pod: str = "", ready: bool | None = True, **more: Any) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "name": pod, "namespace": "default", "uid": "u"}} if pod else {}
    return {"addresses": [address], "conditions": {"ready": ready}, **target, **more}


def endpoint_slice(
    name: str,
    service_name: str,
    endpoints: Sequence[Mapping[str, Any]] | None,
    *,
    namespace: str = "default",
    family: str = "IPv4",
    ports: Sequence[Mapping[str, Any]] | None = ({"name": "http", "port": 8080},),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> facts.SliceFacts:
    body = {
        "kind": "EndpointSlice",
        "metadata": _metadata(
            name,
            namespace,
            labels={"kubernetes.io/service-name": service_name, **(labels or {})},
            annotations=annotations,
        ),
        "addressType": family,
        "endpoints": endpoints,
        "ports": ports,
    }
    return facts.slice_facts(SLICES.one.decode(json.dumps(body)), KEYS)


def pod(
    name: str,
    *,
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    address: str = "10.1.0.1",
    ready: bool = True,
    phase: str = "Running",
    ports: Sequence[Mapping[str, Any]] = ({"name": "http", "containerPort": 8080},),
    deleted: bool = False,
    version: str = "7",
) -> facts.PodFacts:
    metadata = _metadata(name, namespace, labels=labels or {}, annotations=annotations or {})
    metadata["resourceVersion"] = version
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    body = {
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": "node-1", "containers": [{"name": "main", "ports": list(ports)}]},
        "status": {
            "phase": phase,
            "podIP": address,
            "startTime": "2026-01-02T03:04:05Z",
            "conditions": [{"type": "Ready", "status": str(ready), "lastHeartbeatTime": version}],
        },
    }
    return facts.pod_facts(PODS.one.decode(json.dumps(body)), KEYS)


def lease(name: str, *, holder: str = "me", seconds: int = 15, renewed: str = "1") -> facts.LeaseFacts:
    body = {
        "kind": "Lease",
        "metadata": _metadata(name, "default"),
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": renewed},
    }
    return facts.lease_facts(LEASES.one.decode(json.dumps(body)))
