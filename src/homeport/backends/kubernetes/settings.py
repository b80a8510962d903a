"""Settings of the Kubernetes backend, and the URL that says them in one line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

import msgspec

from homeport.connections.backend_url import BackendURL, parse_backend_url, truth
from homeport.connections.kubernetes_access import IN_CLUSTER, SERVICE_ACCOUNT_DIR, KubernetesAccess
from homeport.errors import SettingsError

ALL_NAMESPACES = "*"
LONGEST_CONFIRM_INTERVAL = 50.0
"""A watch that says nothing for 60 s counts as dead (`homeport.spi`)."""

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
# Syntax of label and annotation keys: an optional DNS prefix and a name
# (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set).
_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?\Z")


class EndpointRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoints are instances. ``enabled`` False reads no EndpointSlices, only pods.

    ``ready_only`` and ``include_not_ready`` say the same from two sides; either is enough. Without them, what is not
    ready is an instance that does not pass.
    """

    enabled: bool = True
    ready_only: bool | None = None
    include_not_ready: bool | None = None

    def __post_init__(self) -> None:
        if self.ready_only is not None and self.ready_only == self.include_not_ready:
            said = "true" if self.ready_only else "false"
            raise SettingsError(
                f"ready_only and include_not_ready are both {said}, which contradict each other; give one of them"
            )

    @property
    def passing_only(self) -> bool:
        """Whether only what is ready is an instance."""
        return self.ready_only if self.ready_only is not None else self.include_not_ready is False


class AnnotationKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Under which annotations of Pods, EndpointSlices and Services an instance's details stand.

    ``service_port`` holds the number or the name of a port, ``tags`` words separated by commas, ``weight`` a whole
    number, ``meta`` a JSON object.
    """

    service_port: str = "homeport/port"
    health_path: str = "homeport/health-path"
    metrics_path: str = "homeport/metrics-path"
    tags: str = "homeport/tags"
    weight: str = "homeport/weight"
    meta: str = "homeport/meta"

    def __post_init__(self) -> None:
        _check_keys(self, "annotation")


class LabelKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Under which labels of Pods, EndpointSlices and Services name, version and environment stand."""

    service_name: str = "app.kubernetes.io/name"
    service_version: str = "app.kubernetes.io/version"
    environment: str = "app.kubernetes.io/environment"

    def __post_init__(self) -> None:
        _check_keys(self, "label")


def _check_keys(keys: AnnotationKeys | LabelKeys, kind: str) -> None:
    for name in keys.__struct_fields__:
        key = getattr(keys, name)
        if not _KEY.match(key):
            raise SettingsError(
                f'the {kind} key for {name} is "{key}"; write it as Kubernetes does, such as example.com/some-name'
            )


_ANNOTATION_PARAMETERS = {f"{name}_annotation": name for name in AnnotationKeys.__struct_fields__}
_LABEL_PARAMETERS = {f"{name}_label": name for name in LabelKeys.__struct_fields__}
_TIMES = ("timeout", "connect_timeout", "confirm_interval", "sweep_after")
PARAMETERS = (
    "kubeconfig", "context", "service_account_dir", "label_selector", "endpoints", "ready_only", "include_not_ready",
    "create_service", "datacenter", *_TIMES, *_ANNOTATION_PARAMETERS, *_LABEL_PARAMETERS,
)  # fmt: skip


class KubernetesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where, and how what is found there becomes instances.

    ``namespaces`` are those that are looked into (``*`` is all of them); none is the one of the context or of the own
    pod. ``label_selector`` narrows Services and Pods in Kubernetes' syntax; `label_selector_of` makes one of a mapping.
    ``datacenter`` is the one of all instances that do not name another.

    ``create_service`` makes a registration create a Service of that name where there is none. ``pod_name`` and
    ``pod_uid`` are the pod that this program runs in: its end is the end of what it registered. ``sweep_after`` is for
    how many seconds more the remains of a registration whose lease ran out are left alone.

    ``confirm_interval`` is how long one request watches, in seconds: when it ends, nothing was missed.
    """

    access: KubernetesAccess = KubernetesAccess()
    namespaces: tuple[str, ...] = ()
    label_selector: str = ""
    endpoints: EndpointRules = EndpointRules()
    annotations: AnnotationKeys = AnnotationKeys()
    labels: LabelKeys = LabelKeys()
    datacenter: str = ""
    create_service: bool = False
    pod_name: str = ""
    pod_uid: str = ""
    timeout: float = 10.0
    connect_timeout: float = 5.0
    confirm_interval: float = 30.0
    sweep_after: float = 90.0

    def __post_init__(self) -> None:
        for name in self.namespaces:
            if name != ALL_NAMESPACES and not _NAMESPACE.match(name):
                raise SettingsError(f'{self.url}: "{name}" cannot be a namespace; give their names, or * for all')
        if ALL_NAMESPACES in self.namespaces and len(self.namespaces) > 1:
            raise SettingsError(f"{self.url}: * is all namespaces; leave out the others")
        if self.confirm_interval > LONGEST_CONFIRM_INTERVAL:
            raise SettingsError(
                f"{self.url}: confirm_interval is {self.confirm_interval:g} s; "
                f"it must not be above {LONGEST_CONFIRM_INTERVAL:g}"
            )

    @property
    def url(self) -> str:
        """The URL for people and for logs: no options."""
        namespaces = f"/{','.join(self.namespaces)}" if self.namespaces else ""
        return f"kubernetes://{quote(self.access.name, safe=':@')}{namespaces}"

    @classmethod
    def from_url(cls, url: str, environ: Mapping[str, str]) -> KubernetesSettings:
        """Settings from a URL such as ``kubernetes://CONTEXT/NAMESPACE,NAMESPACE?label_selector=tier%3Dweb``.

        ``kubernetes://in-cluster/…`` is the cluster that this program runs in as a pod, which is also meant where no
        context is given and ``KUBERNETES_SERVICE_HOST`` is set. ``K8S_NAMESPACE``, ``K8S_LABEL_SELECTOR``,
        ``K8S_IN_CLUSTER`` and ``KUBECONFIG`` complete it; ``POD_NAME`` and ``POD_UID`` name the own pod.

        Raises:
            SettingsError: a part cannot be read, is unknown, or contradicts another.
        """
        parsed, context = _parsed(url)
        parsed.only(PARAMETERS)
        given = parsed.parameters
        if context and given.get("context"):
            raise SettingsError(f"{parsed}: the context is given twice; leave out context=")
        access = _access(parsed, context or given.get("context", ""), environ)
        namespaces = parsed.path.partition("/")[2] or environ.get("K8S_NAMESPACE", "")
        times = {name: value for name in _TIMES if (value := parsed.seconds(name)) is not None}
        enabled = parsed.flag("endpoints")
        return cls(
            access=access,
            namespaces=tuple(dict.fromkeys(part.strip() for part in namespaces.split(",") if part.strip())),
            label_selector=given.get("label_selector", "") or environ.get("K8S_LABEL_SELECTOR", "").strip(),
            endpoints=EndpointRules(
                enabled=True if enabled is None else enabled,
                ready_only=parsed.flag("ready_only"),
                include_not_ready=parsed.flag("include_not_ready"),
            ),
            annotations=AnnotationKeys(**_keys(given, _ANNOTATION_PARAMETERS)),
            labels=LabelKeys(**_keys(given, _LABEL_PARAMETERS)),
            datacenter=given.get("datacenter", ""),
            create_service=parsed.flag("create_service") or False,
            pod_name=(environ.get("POD_NAME", "") or environ.get("HOSTNAME", "")) if access.in_cluster else "",
            pod_uid=environ.get("POD_UID", "") if access.in_cluster else "",
            **times,
        )


def label_selector_of(labels: Mapping[str, str]) -> str:
    """The label selector that demands all of these labels.

    Raises:
        SettingsError: a key or a value cannot be a label.
    """
    for key, value in labels.items():
        if not _KEY.match(key) or not _VALUE.match(value):
            raise SettingsError(f'"{key}: {value}" cannot be a label in Kubernetes; a selector demands KEY: VALUE')
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _parsed(url: str) -> tuple[BackendURL, str]:
    """The URL without its context, which no host and port can be, and the context."""
    scheme, _, rest = url.partition("://")
    place, question_mark, query = rest.partition("?")
    context, _, path = place.partition("/")
    parsed = parse_backend_url(f"{scheme}:///{question_mark}{query}", default_port=443)
    namespaces = unquote(path).strip("/")
    return msgspec.structs.replace(parsed, addresses=(), path=f"{context}/{namespaces}"), unquote(context)


def _keys(given: Mapping[str, str], parameters: Mapping[str, str]) -> dict[str, str]:
    return {name: given[parameter] for parameter, name in parameters.items() if parameter in given}


def _access(url: BackendURL, context: str, environ: Mapping[str, str]) -> KubernetesAccess:
    kubeconfig = url.parameters.get("kubeconfig", "")
    wanted = environ.get("K8S_IN_CLUSTER", "").strip()
    host, port = environ.get("KUBERNETES_SERVICE_HOST", "").strip(), environ.get("KUBERNETES_SERVICE_PORT", "").strip()
    if context:
        inside = context == IN_CLUSTER
    elif kubeconfig:
        inside = False
    elif wanted:
        inside = truth(wanted, place="K8S_IN_CLUSTER")
    else:
        inside = bool(host and port)
    if not inside:
        files = kubeconfig or environ.get("KUBECONFIG", "").strip() or "~/.kube/config"
        return KubernetesAccess(kubeconfig=tuple(filter(None, files.split(os.pathsep))), context=context)
    if kubeconfig:
        raise SettingsError(f"{url}: inside the cluster no kubeconfig is used; leave out kubeconfig=")
    if not (host and port):
        raise SettingsError(
            f"{url}: this program does not run in a pod, since KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT "
            "are not set; name a context of a kubeconfig, as in kubernetes://CONTEXT/NAMESPACE"
        )
    return KubernetesAccess(
        api_server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        service_account_dir=url.parameters.get("service_account_dir", "") or SERVICE_ACCOUNT_DIR,
    )
