"""What a real API server holds, as instances: the same by a look and by following."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from homeport import Discovery, InvalidValue, SettingsError
from homeport.backends.kubernetes import KubernetesBackend
from homeport.errors import BackendUnavailable
from homeport.model import Instance
from tests.integration.backends_kubernetes.conftest import Open, Room, endpoint, following
from tests.servers.kubernetes import ApiServer

NAME, VERSION = "app.kubernetes.io/name", "app.kubernetes.io/version"


async def found(backend: KubernetesBackend, name: str, *, datacenter: str = "") -> dict[str, Instance]:
    """What a look finds, and a watch, which must be the same."""
    async with aclosing(backend):
        looked = (await backend.fetch(name, datacenter=datacenter)).instances
        async with aclosing(backend.watch(name, datacenter=datacenter)) as stream:
            assert (await following(stream)).instances == looked
    return {one.id: one for one in looked}


@pytest.fixture
def shop(room: Room) -> Room:
    """Two versions of an api behind one Service, in two slices, one pod not ready; and a job without a Service."""
    room.service("api", selector={"app": "api"}, labels={"tier": "web"}, annotations={"homeport/health-path": "/up"})
    for number, version in ((0, "1.0.0"), (1, "2.0.0"), (2, "2.0.0")):
        annotations = {"homeport/metrics-path": "/metrics"} if number == 0 else None
        labels = {"app": "api", VERSION: version, "tier": "web" if number else "db"}
        room.pod(f"api-{number}", labels=labels, annotations=annotations, ip=f"10.1.0.{number + 1}")
    room.slice("api-a", "api", [endpoint("10.1.0.1", "api-0", zone="eu-1a"), endpoint("10.1.0.2", "api-1")])
    room.slice("api-b", "api", [endpoint("10.1.0.2", "api-1"), endpoint("10.1.0.3", "api-2", ready=False)])
    room.pod("job-0", labels={NAME: "job", "tier": "web"}, ip="10.1.0.9")
    return room


async def test_services_with_their_pods(shop: Room, opened: Open) -> None:
    instances = await found(opened(), "api")
    assert {key: (one.endpoint, one.version, one.status) for key, one in instances.items()} == {
        "api-0": ("10.1.0.1:8080", "1.0.0", "passing"),
        "api-1": ("10.1.0.2:8080", "2.0.0", "passing"),
        "api-2": ("10.1.0.3:8080", "2.0.0", "critical"),
    }
    first = instances["api-0"]
    assert (first.node, first.zone) == ("node-1", "eu-1a")
    assert first.meta["metrics_path"] == "/metrics"
    assert first.meta["health_path"] == "/up"
    assert first.meta["port.metrics"] == "9090"
    assert "metrics_path" not in instances["api-1"].meta
    backend = opened()
    async with aclosing(backend), Discovery(backend, environ={}) as discovery:
        assert [one.id for one in await discovery.discover("api", version=">=2")] == ["api-1"]
        rows = {row.name: (row.instances, row.passing) for row in await discovery.services()}
        assert rows == {"api": (3, 2), "job": (1, 1)}


async def test_only_what_is_ready(shop: Room, opened: Open) -> None:
    assert list(await found(opened("ready_only=true"), "api")) == ["api-0", "api-1"]
    assert list(await found(opened("include_not_ready=false"), "api")) == ["api-0", "api-1"]


async def test_pods_without_a_service(shop: Room, opened: Open) -> None:
    (job,) = (await found(opened(), "job")).values()
    assert (job.id, job.endpoint, job.node) == ("job-0", "10.1.0.9:8080", "node-1")
    assert list(await found(opened("endpoints=false"), "api")) == []
    by_label = opened("endpoints=false&service_name_label=app&service_version_label=tier")
    assert {key: one.version for key, one in (await found(by_label, "api")).items()} == {
        "api-0": "db",
        "api-1": "web",
        "api-2": "web",
    }


async def test_a_label_selector_narrows_services_and_pods(shop: Room, opened: Open) -> None:
    web = "label_selector=tier%3Dweb&service_name_label=app"
    assert list(await found(opened(web), "api")) == ["api-0", "api-1", "api-2"]
    assert list(await found(opened("label_selector=tier%3Ddb&service_name_label=app"), "api")) == ["api-0"]
    backend = opened("label_selector=tier%3Dweb")
    async with aclosing(backend):
        assert [row.name for row in await backend.services()] == ["api", "job"]


async def test_keys_of_ones_own(shop: Room, opened: Open) -> None:
    shop.server.request("PATCH", f"{shop.core}/services/api", {"metadata": {"annotations": {"x.io/p": "metrics"}}})
    assert {one.port for one in (await found(opened("service_port_annotation=x.io/p"), "api")).values()} == {9090}


async def test_a_service_under_another_name(room: Room, opened: Open) -> None:
    room.service("release-api", labels={NAME: "api"})
    room.slice("s", "release-api", [endpoint("10.1.0.1", hostname="one")])
    assert [(one.id, one.service) for one in (await found(opened(), "api")).values()] == [("one", "api")]
    assert list(await found(opened(), "release-api")) == ["one"]


async def test_several_namespaces(room: Room, new_room: Callable[[], Room], opened: Open, name: str) -> None:
    other = new_room()
    room.slice("s", name, [endpoint("10.1.0.1", hostname="one")])
    other.slice("s", name, [endpoint("10.2.0.1", hostname="one")])
    both = await found(opened(namespaces=f"{room.namespace},{other.namespace}"), name)
    assert list(both) == sorted(["one", f"{other.namespace}/one"])
    assert list(await found(opened(), name)) == ["one"]
    everywhere = await found(opened(namespaces="*"), name)
    assert set(everywhere) == {f"{room.namespace}/one", f"{other.namespace}/one"}


async def test_the_namespace_of_the_context(room: Room, kubernetes: ApiServer) -> None:
    room.slice("s", "api", [endpoint("10.1.0.1", hostname="one")])
    kubeconfig = kubernetes.kubeconfig_for(kubernetes.address, namespace=room.namespace)
    async with Discovery("kubernetes", environ={"KUBECONFIG": str(kubeconfig)}) as discovery:
        assert (await discovery.resolve("api")).id == "one"
        facts = await discovery.backend.ping()
    assert facts["namespaces"] == room.namespace
    assert (facts["context"], facts["product"], facts["version"]) == ("test", "kubernetes", kubernetes.version)


async def test_the_datacenter(room: Room, opened: Open) -> None:
    room.slice("s", "api", [endpoint("10.1.0.1", hostname="one")])
    assert list(await found(opened("datacenter=eu"), "api", datacenter="eu")) == ["one"]
    assert list(await found(opened("datacenter=eu"), "api", datacenter="us")) == []


async def test_more_than_a_page(room: Room, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.backends.kubernetes.api.PAGE_SIZE", 2)
    for number in range(5):
        room.slice(f"s{number}", "api", [endpoint(f"10.1.0.{number + 1}", hostname=f"h{number}")])
    assert list(await found(opened(), "api")) == [f"h{number}" for number in range(5)]


async def test_names_that_cannot_be(opened: Open) -> None:
    async with aclosing(opened()) as backend:
        for name in ("a b", "a,b", "-a", "a" * 64):
            with pytest.raises(InvalidValue, match="cannot be a service in Kubernetes"):
                await backend.fetch(name)
            with pytest.raises(InvalidValue, match="cannot be a service in Kubernetes"):
                await anext(backend.watch(name))


async def test_nobody_there(kubernetes: ApiServer) -> None:
    kubeconfig = kubernetes.kubeconfig_for("127.0.0.1:1")
    async with Discovery(f"kubernetes://test?kubeconfig={kubeconfig}", environ={}) as discovery:
        with pytest.raises(BackendUnavailable) as caught:
            await discovery.discover("api")
    assert str(caught.value) == (
        "no Kubernetes API server answers at https://127.0.0.1:1 (connection refused). "
        'Start the cluster of "test", or name the context of another one in the backend URL.'
    )


async def test_a_context_that_is_not_there(kubernetes: ApiServer) -> None:
    async with Discovery(f"kubernetes://tset?kubeconfig={kubernetes.kubeconfig}", environ={}) as discovery:
        with pytest.raises(SettingsError, match="did you mean test"):
            await discovery.discover("api")


async def test_a_look_and_a_watch_at_once_end_when_the_backend_is_closed(opened: Open) -> None:
    backend = opened("confirm_interval=50")
    stream = backend.watch("api")
    await following(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await backend.aclose()
    with pytest.raises(BackendUnavailable, match="was closed"):
        await waiting
    await backend.aclose()
