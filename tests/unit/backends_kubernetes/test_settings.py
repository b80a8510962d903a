"""Kubernetes URLs and variables."""

import pytest

from homeport.backends import open_backend
from homeport.backends.kubernetes import (
    AnnotationKeys,
    EndpointRules,
    KubernetesBackend,
    KubernetesSettings,
    LabelKeys,
    label_selector_of,
)
from homeport.errors import SettingsError

IN_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def settings(url: str, **environ: str) -> KubernetesSettings:
    return KubernetesSettings.from_url(url, environ)


@pytest.mark.parametrize(
    ("url", "environ", "shown"),
    [
        ("kubernetes://", {}, "kubernetes://"),
        ("kubernetes://prod", {}, "kubernetes://prod"),
        ("kubernetes://prod/", {}, "kubernetes://prod"),
        ("kubernetes://prod/a,b", {}, "kubernetes://prod/a,b"),
        ("kubernetes://prod/a,b,a", {}, "kubernetes://prod/a,b"),
        ("kubernetes://prod/*", {}, "kubernetes://prod/*"),
        ("kubernetes:///a", {}, "kubernetes:///a"),
        ("kubernetes://admin@kind/a", {}, "kubernetes://admin@kind/a"),
        ("kubernetes://arn:aws:eks:eu:1:cluster%2Fx/a", {}, "kubernetes://arn:aws:eks:eu:1:cluster%2Fx/a"),
        ("kubernetes:///a?context=cluster%2Fx", {}, "kubernetes://cluster%2Fx/a"),
        ("kubernetes://", {"K8S_NAMESPACE": "x, y"}, "kubernetes:///x,y"),
        ("kubernetes:///a", {"K8S_NAMESPACE": "x"}, "kubernetes:///a"),
        ("kubernetes://", IN_POD, "kubernetes://in-cluster"),
        ("kubernetes://in-cluster/a", IN_POD, "kubernetes://in-cluster/a"),
        ("kubernetes://prod", IN_POD, "kubernetes://prod"),
        ("kubernetes://?kubeconfig=/k", IN_POD, "kubernetes://"),
        ("kubernetes://", {**IN_POD, "K8S_IN_CLUSTER": "false"}, "kubernetes://"),
        ("kubernetes://", {**IN_POD, "K8S_IN_CLUSTER": "true"}, "kubernetes://in-cluster"),
    ],
)
def test_where(url: str, environ: dict[str, str], shown: str) -> None:
    assert settings(url, **environ).url == shown


def test_a_bare_name_takes_the_variables() -> None:
    environ = {"DISCOVERY_PROVIDER": "kubernetes", "K8S_NAMESPACE": "x", "K8S_LABEL_SELECTOR": "tier=web"}
    backend = open_backend(None, environ)
    assert isinstance(backend, KubernetesBackend)
    assert backend.url == "kubernetes:///x"
    assert settings("kubernetes://", **environ).label_selector == "tier=web"
    assert settings("kubernetes://?label_selector=tier%3Ddb", **environ).label_selector == "tier=db"


def test_the_server_inside_a_cluster() -> None:
    assert settings("kubernetes://", **IN_POD).access.api_server == "https://10.0.0.1:443"
    v6 = {**IN_POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}
    assert settings("kubernetes://", **v6).access.api_server == "https://[fd00::1]:443"
    elsewhere = settings("kubernetes://in-cluster?service_account_dir=/sa", **IN_POD)
    assert elsewhere.access.service_account_dir == "/sa"


def test_the_own_pod_counts_only_inside_the_cluster() -> None:
    environ = {"POD_NAME": "api-0", "POD_UID": "u", "HOSTNAME": "host"}
    inside = settings("kubernetes://", **IN_POD, **environ)
    assert (inside.pod_name, inside.pod_uid) == ("api-0", "u")
    assert settings("kubernetes://", **IN_POD, HOSTNAME="api-1").pod_name == "api-1"
    outside = settings("kubernetes://", **environ)
    assert (outside.pod_name, outside.pod_uid) == ("", "")


def test_kubeconfigs() -> None:
    assert settings("kubernetes://").access.kubeconfig == ("~/.kube/config",)
    assert settings("kubernetes://", KUBECONFIG="/a:/b").access.kubeconfig == ("/a", "/b")
    assert settings("kubernetes://?kubeconfig=/c", KUBECONFIG="/a:/b").access.kubeconfig == ("/c",)


def test_keys_and_switches() -> None:
    default = settings("kubernetes://c")
    assert (default.annotations, default.labels, default.endpoints) == (AnnotationKeys(), LabelKeys(), EndpointRules())
    given = settings(
        "kubernetes://c?service_port_annotation=x.io/port&health_path_annotation=x.io/h&metrics_path_annotation=x.io/m"
        "&tags_annotation=x.io/t&weight_annotation=x.io/w&meta_annotation=x.io/meta"
        "&service_name_label=app&service_version_label=version&environment_label=env"
        "&endpoints=false&ready_only=true&create_service=true&datacenter=eu"
    )
    assert given.annotations == AnnotationKeys(
        service_port="x.io/port",
        health_path="x.io/h",
        metrics_path="x.io/m",
        tags="x.io/t",
        weight="x.io/w",
        meta="x.io/meta",
    )
    assert given.labels == LabelKeys(service_name="app", service_version="version", environment="env")
    assert not given.endpoints.enabled
    assert given.endpoints.passing_only
    assert given.create_service
    assert given.datacenter == "eu"


@pytest.mark.parametrize(
    ("rules", "passing_only"),
    [
        (EndpointRules(), False),
        (EndpointRules(ready_only=True), True),
        (EndpointRules(ready_only=False), False),
        (EndpointRules(include_not_ready=False), True),
        (EndpointRules(include_not_ready=True), False),
        (EndpointRules(ready_only=True, include_not_ready=False), True),
    ],
)
def test_ready_only_and_include_not_ready(rules: EndpointRules, passing_only: bool) -> None:
    assert rules.passing_only == passing_only


def test_numbers() -> None:
    default = settings("kubernetes://c")
    assert (default.timeout, default.connect_timeout, default.confirm_interval, default.sweep_after) == (10, 5, 30, 90)
    given = settings("kubernetes://c?timeout=3&connect_timeout=2s&confirm_interval=0.5&sweep_after=7")
    assert (given.timeout, given.connect_timeout, given.confirm_interval, given.sweep_after) == (3, 2, 0.5, 7)


@pytest.mark.parametrize(
    ("url", "environ", "text"),
    [
        (
            "kubernetes://c/a?label_selecto=x",
            {},
            "kubernetes://c/a: label_selecto is not a parameter of a kubernetes backend; did you mean label_selector?",
        ),
        ("kubernetes://c/A_b", {}, 'kubernetes://c/A_b: "A_b" cannot be a namespace; give their names, or * for all'),
        ("kubernetes://c/a,*", {}, "kubernetes://c/a,*: * is all namespaces; leave out the others"),
        ("kubernetes://c?context=d", {}, "kubernetes://c/: the context is given twice; leave out context="),
        (
            "kubernetes://in-cluster",
            {},
            (
                "kubernetes://in-cluster/: this program does not run in a pod, since KUBERNETES_SERVICE_HOST and "
                "KUBERNETES_SERVICE_PORT are not set; name a context of a kubeconfig, as in kubernetes://CONTEXT/NAMESPACE"
            ),
        ),
        ("kubernetes://", {"K8S_IN_CLUSTER": "true"}, "does not run in a pod"),
        ("kubernetes://", {"K8S_IN_CLUSTER": "maybe"}, 'K8S_IN_CLUSTER is "maybe"; give true or false'),
        ("kubernetes://in-cluster?kubeconfig=/k", IN_POD, "inside the cluster no kubeconfig is used"),
        (
            "kubernetes://c?ready_only=true&include_not_ready=true",
            {},
            "ready_only and include_not_ready are both true, which contradict each other; give one of them",
        ),
        ("kubernetes://c?ready_only=perhaps", {}, 'kubernetes://c/: ready_only is "perhaps"; give true or false'),
        (
            "kubernetes://c?service_port_annotation=a%20b",
            {},
            'the annotation key for service_port is "a b"; write it as Kubernetes does, such as example.com/some-name',
        ),
        ("kubernetes://c?environment_label=", {}, 'the label key for environment is ""'),
        ("kubernetes://c?confirm_interval=51", {}, "confirm_interval is 51 s; it must not be above 50"),
        ("kubernetes://c?timeout=0", {}, 'timeout is "0"; give a number of seconds above 0'),
    ],
)
def test_what_cannot_be_right(url: str, environ: dict[str, str], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(url, **environ)
    assert text in str(caught.value)


def test_selectors_of_labels() -> None:
    assert label_selector_of({"app.kubernetes.io/part-of": "x", "tier": ""}) == "app.kubernetes.io/part-of=x,tier="
    assert label_selector_of({}) == ""
    with pytest.raises(SettingsError, match='"a b: c" cannot be a label'):
        label_selector_of({"a b": "c"})
    with pytest.raises(SettingsError, match="a selector demands KEY: VALUE"):
        label_selector_of({"a": "b,c=d"})
