"""Every system as a source: what is there is here, changes and goes, and a Consul client sees nothing special."""

import json
import urllib.error
from pathlib import Path
from uuid import uuid4

import consul as py_consul  # type: ignore[import-untyped]  # it has no type hints
import pytest

from tests.integration.sources.seeing import deregister, instances, register, until_instances, until_source
from tests.servers.consul import ConsulServer
from tests.servers.etcd import EtcdServer
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer


@pytest.fixture
def name() -> str:
    """A service that no other test uses."""
    return f"s{uuid4().hex}"


@pytest.mark.parametrize("kind", ["homeport", "consul"])
def test_a_registry_with_its_health(
    kind: str, name: str, homeport_factory: HomeportFactory, request: pytest.FixtureRequest
) -> None:
    origin: HomeportServer | ConsulServer = request.getfixturevalue(kind)
    register(origin, name, f"{name}-1")
    mirror = homeport_factory(dev=True, arguments=["--source", f"{origin.backend_url}?services={name}*&removal_hold=0"])
    try:
        until_instances(mirror, name, f"{name}-1", passing=True)
        register(origin, f"{name}-later", f"{name}-2")
        until_instances(mirror, f"{name}-later", f"{name}-2", passing=True)
        origin.request("PUT", f"/v1/agent/check/fail/{name}-1-alive?note=broken")
        until_instances(mirror, name, passing=True)
        (check,) = [one for one in instances(mirror, name)[f"{name}-1"]["Checks"] if one["ServiceID"]]
        assert (check["Status"], check["Output"]) == ("critical", "broken")
        origin.request("PUT", f"/v1/agent/check/pass/{name}-1-alive")
        until_instances(mirror, name, f"{name}-1", passing=True)
        origin.request("PUT", f"/v1/agent/service/maintenance/{name}-1?enable=true&reason=tea")
        until_instances(mirror, name, passing=True)
        checks = {one["CheckID"]: one["Status"] for one in instances(mirror, name)[f"{name}-1"]["Checks"]}
        assert checks[f"_service_maintenance:{name}-1"] == "critical"
        origin.request("PUT", f"/v1/agent/service/maintenance/{name}-1?enable=false")
        until_instances(mirror, name, f"{name}-1", passing=True)
    finally:
        deregister(origin, f"{name}-1")
    until_instances(mirror, name)
    deregister(origin, f"{name}-2")


def test_etcd(name: str, etcd: EtcdServer, homeport_factory: HomeportFactory) -> None:
    key = f"/sources-{name}/{name}/1"
    etcd.put(key, json.dumps({"address": "10.0.0.1", "port": 1, "metadata": {"version": "2"}}))
    mirror = homeport_factory(dev=True, arguments=["--source", f"{etcd.backend_url}/sources-{name}/"])
    row = until_instances(mirror, name, "1", passing=True)["1"]
    assert (row["Service"]["Address"], row["Service"]["Meta"]["version"]) == ("10.0.0.1", "2")
    etcd.put(f"/sources-{name}/new/2", json.dumps({"address": "10.0.0.2", "healthy": False}))
    until_instances(mirror, "new", "2")
    until_instances(mirror, "new", passing=True)
    etcd.delete(key)
    until_instances(mirror, name)


def test_etcd_with_more_services_than_watches(name: str, etcd: EtcdServer, homeport_factory: HomeportFactory) -> None:
    """Beyond the hundred that are watched, the one watch of the list says what is to be read again."""
    prefix = f"/many-{name}/"
    for number in range(130):
        etcd.put(f"{prefix}m{number}/{number}", json.dumps({"address": "10.0.0.1", "port": 1}))
    mirror = homeport_factory(dev=True, arguments=["--source", f"{etcd.backend_url}{prefix}"])
    until_source(mirror, lambda row: row["Instances"] == 130)
    for number in range(0, 130, 13):
        etcd.put(f"{prefix}m{number}/later-{number}", json.dumps({"address": "10.0.0.1", "port": 2}))
    for number in range(0, 130, 13):
        until_instances(mirror, f"m{number}", f"{number}", f"later-{number}")


def test_a_file(name: str, tmp_path: Path, homeport_factory: HomeportFactory) -> None:
    path = tmp_path / "services.yaml"
    path.write_text(f"services: {{{name}: ['10.0.0.1:80']}}\n", encoding="utf-8")
    url = f"static://{path}?reload_interval=0.05&poll_interval=0.05"
    mirror = homeport_factory(dev=True, arguments=["--source", url])
    until_source(mirror, lambda row: row["Instances"] == 1)
    more = f"services: {{{name}: ['10.0.0.1:80', '10.0.0.2:80'], other: ['10.0.0.3:80']}}\n"
    path.write_text(more, encoding="utf-8")
    until_source(mirror, lambda row: (row["Services"], row["Instances"]) == (2, 3))


def test_dns_by_the_names_of_services(name: str, consul: ConsulServer, homeport_factory: HomeportFactory) -> None:
    register(consul, name, f"{name}-1", port=8080)
    try:
        url = f"dns://127.0.0.1:{consul.dns_port}/service.consul"
        mirror = homeport_factory(dev=True, arguments=["--source", f"{url}?services={name}"])
        until_source(mirror, lambda row: row["Instances"] == 1)
        (row,) = instances(mirror, name).values()
        assert row["Service"]["Port"] == 8080
    finally:
        deregister(consul, f"{name}-1")


def test_dns_without_names_says_what_is_missing(consul: ConsulServer, homeport_factory: HomeportFactory) -> None:
    url = f"dns://127.0.0.1:{consul.dns_port}/service.consul"
    mirror = homeport_factory(dev=True, arguments=["--source", url])
    row = until_source(mirror, lambda row: row["State"] == "refused")
    assert row["Reason"].startswith("DNS has no list of services;")
    assert row["Reason"].endswith("name the services that are to be mirrored, by services=")


def test_a_consul_client_sees_ordinary_services_and_cannot_change_them(
    name: str, homeport: HomeportServer, homeport_factory: HomeportFactory
) -> None:
    register(homeport, name, f"{name}-1")
    mirror = homeport_factory(
        dev=True, arguments=["--source", f"{homeport.backend_url}?services={name}&name=far&prefix=p-"]
    )
    until_instances(mirror, f"p-{name}", f"{name}-1", passing=True)
    client = py_consul.Consul(port=mirror.http_port)
    assert f"p-{name}" in client.catalog.services()[1]
    assert {node["Node"] for node in client.catalog.nodes()[1]} == {"homeport", "far"}
    (row,) = client.health.service(f"p-{name}", passing=True)[1]
    assert (row["Node"]["Node"], row["Service"]["Address"]) == ("far", "10.0.0.1")
    assert [one["ServiceName"] for one in client.catalog.service(f"p-{name}")[1]] == [f"p-{name}"]
    assert client.catalog.node("far")[1]["Services"].keys() == {f"{name}-1"}
    check = f"{name}-1:{name}-1-alive"
    deregistration = {"Node": "far", "ServiceID": f"{name}-1"}
    refused = [
        ("/v1/agent/service/deregister/" + f"{name}-1", None),
        ("/v1/agent/service/maintenance/" + f"{name}-1?enable=true", None),
        (f"/v1/agent/check/pass/{check}", None),
        (f"/v1/agent/check/update/{check}", {"Status": "passing"}),
        (f"/v1/agent/check/deregister/{check}", None),
        ("/v1/agent/check/register", {"Name": "x", "TTL": "10s", "ServiceID": f"{name}-1"}),
        ("/v1/catalog/deregister", deregistration),
        ("/v1/catalog/deregister", {"Node": "far"}),
        ("/v1/catalog/register", {"Node": "far", "Address": "10.0.0.9", "Service": {"Service": "x"}}),
    ]
    for path, body in refused:
        with pytest.raises(urllib.error.HTTPError) as error:
            mirror.request("PUT", path, body)
        said = error.value.read().decode()
        assert (error.value.code, homeport.backend_url in said) == (409, True), (path, said)
    assert instances(mirror, f"p-{name}", passing=True).keys() == {f"{name}-1"}
    deregister(homeport, f"{name}-1")
