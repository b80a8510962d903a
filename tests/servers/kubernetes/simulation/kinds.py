"""The kinds of objects that are served, with what differs from one to the other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.servers.kubernetes.simulation import schemas, validation
from tests.servers.kubernetes.simulation.schemas import ANYTHING, ListOf, Struct, top
from tests.servers.kubernetes.simulation.statuses import Cause

Object: TypeAlias = dict[str, Any]
Causes: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any] | None], Iterator[Cause]]


def nothing_wrong(found: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[Cause]:
    """Kinds whose content is not looked at."""
    return iter(())


def unchanged(found: Object) -> None:
    """Kinds without defaults."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of object, and how the API treats it.

    `created_by_update`: a PUT creates what is not there. `blind_update`: a PUT needs no resourceVersion.
    `returned_when_deleted`: DELETE answers with the object, else with a Status. `empty`: what an object without
    content shows all the same. `counted`: the fields whose change makes a new generation; empty for kinds without one.
    """

    name: str
    plural: str
    schema: Struct
    group: str = ""
    namespaced: bool = True
    created_by_update: bool = False
    blind_update: bool = True
    returned_when_deleted: bool = False
    label_names: bool = False
    subresources: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    empty: Mapping[str, Any] = field(default_factory=dict)
    default: Callable[[Object], None] = unchanged
    causes: Causes = nothing_wrong

    @property
    def api_version(self) -> str:
        """GROUP/VERSION."""
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def storage_path(self) -> str:
        """Where etcd would have the objects."""
        return "services/specs" if self.name == "Service" else self.plural


def default_endpoint_slice(found: Object) -> None:
    """Defaults of discovery.k8s.io/v1."""
    for port in found.get("ports") or []:
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")
    for endpoint in found.get("endpoints") or []:
        endpoint.setdefault("conditions", {})


def default_service(found: Object) -> None:
    """Defaults of core/v1, without the address."""
    spec = found.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port", 0))
    if spec["type"] != "ExternalName":
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("internalTrafficPolicy", "Cluster")
    found["status"] = {"loadBalancer": {}}


def default_pod(found: Object) -> None:
    """Those defaults of core/v1 that tell something about where a Pod is."""
    spec = found.setdefault("spec", {})
    for key, value in {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }.items():
        spec.setdefault(key, value)
    for container in spec.get("containers") or []:
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")
    status = found.setdefault("status", {})
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", "BestEffort")
    if status.get("podIP"):
        status["podIPs"] = status.get("podIPs") or [{"ip": status["podIP"]}]
    for condition in status.get("conditions") or []:
        condition.setdefault("lastProbeTime", None)
        condition.setdefault("lastTransitionTime", None)


def default_namespace(found: Object) -> None:
    """A namespace is labelled with its name, and is not removed before its content is."""
    metadata = found["metadata"]
    metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    found.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    found.setdefault("status", {}).setdefault("phase", "Active")


def default_lease(found: Object) -> None:
    """A Lease has always a spec."""
    found.setdefault("spec", {})


def default_secret(found: Object) -> None:
    """A Secret is opaque unless it says otherwise."""
    found.setdefault("type", "Opaque")


RBAC = "rbac.authorization.k8s.io"
_RULES = ListOf(ANYTHING)
KINDS = {
    (kind.group, kind.plural): kind
    for kind in (
        Kind(
            name="Namespace",
            plural="namespaces",
            namespaced=False,
            label_names=True,
            returned_when_deleted=True,
            subresources=("status",),
            fields=("status.phase",),
            schema=top("Namespace", spec=ANYTHING, status=ANYTHING),
            empty={"spec": {}, "status": {}},
            default=default_namespace,
        ),
        Kind(
            name="Service",
            plural="services",
            label_names=True,
            created_by_update=True,
            returned_when_deleted=True,
            subresources=("status",),
            fields=("spec.clusterIP", "spec.type"),
            schema=top("Service", spec=schemas.SERVICE_SPEC, status=ANYTHING),
            empty={"spec": {}, "status": {"loadBalancer": {}}},
            default=default_service,
            causes=validation.service_causes,
        ),
        Kind(
            name="Pod",
            plural="pods",
            returned_when_deleted=True,
            subresources=("status",),
            fields=("spec.nodeName", "spec.restartPolicy", "status.phase", "status.podIP"),
            schema=top("Pod", spec=ANYTHING, status=ANYTHING),
            counted=("spec",),
            empty={"spec": {"containers": None}, "status": {}},
            default=default_pod,
            causes=validation.pod_causes,
        ),
        Kind(
            name="EndpointSlice",
            plural="endpointslices",
            group="discovery.k8s.io",
            schema=top(
                "EndpointSlice",
                addressType=schemas.STRING,
                endpoints=ListOf(schemas.ENDPOINT),
                ports=ListOf(schemas.ENDPOINT_PORT),
            ),
            counted=("addressType", "endpoints", "ports"),
            empty={"addressType": "", "endpoints": None, "ports": None},
            default=default_endpoint_slice,
            causes=validation.endpoint_slice_causes,
        ),
        Kind(
            name="Lease",
            plural="leases",
            group="coordination.k8s.io",
            created_by_update=True,
            blind_update=False,
            schema=top("Lease", spec=schemas.LEASE_SPEC),
            empty={"spec": {}},
            default=default_lease,
            causes=validation.lease_causes,
        ),
        Kind(
            name="ServiceAccount",
            plural="serviceaccounts",
            returned_when_deleted=True,
            subresources=("token",),
            schema=top("ServiceAccount"),
        ),
        Kind(
            name="Secret",
            plural="secrets",
            schema=top("Secret", type=schemas.STRING, data=ANYTHING),
            default=default_secret,
        ),
        Kind(name="Role", plural="roles", group=RBAC, created_by_update=True, schema=top("Role", rules=_RULES)),
        Kind(
            name="RoleBinding",
            plural="rolebindings",
            group=RBAC,
            created_by_update=True,
            schema=top("RoleBinding", roleRef=ANYTHING, subjects=ANYTHING),
        ),
    )
}
