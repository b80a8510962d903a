"""Kubernetes and Eureka as sources, also while they are away."""

from homeport.testing import FaultProxy
from tests.integration.backends_kubernetes.conftest import Room, endpoint
from tests.integration.sources.seeing import instances, until_instances, until_source
from tests.servers.eureka import EurekaServer
from tests.servers.factory import HomeportFactory
from tests.servers.kubernetes import ApiServer


def test_kubernetes(name: str, kubernetes: ApiServer, homeport_factory: HomeportFactory) -> None:
    room = Room(kubernetes, name)
    room.slice("one", "api", [endpoint("10.1.0.1", "api-0", nodeName="worker"), endpoint("10.1.0.2", "api-1")])
    with FaultProxy(kubernetes.address) as proxy:
        url = f"kubernetes://test/{name}?kubeconfig={kubernetes.kubeconfig_for(proxy.address)}&timeout=2"
        mirror = homeport_factory(dev=True, arguments=["--source", f"{url}&removal_hold=0"])
        row = until_instances(mirror, "api", "api-0", "api-1", passing=True)["api-0"]
        assert (row["Service"]["Address"], row["Service"]["Port"]) == ("10.1.0.1", 8080)
        assert row["Service"]["Meta"]["homeport-source-node"] == "worker"
        room.slice("two", "web", [endpoint("10.1.0.3", "web-0")])
        until_instances(mirror, "web", "web-0", passing=True)
        moved = endpoint("10.1.0.9", "api-0", ready=False, nodeName="another")
        room.slice("one", "api", [moved, endpoint("10.1.0.2", "api-1")])
        until_instances(mirror, "api", "api-1", passing=True)
        row = instances(mirror, "api")["api-0"]
        assert (row["Service"]["Address"], row["Service"]["Meta"]["homeport-source-node"]) == ("10.1.0.9", "another")
        proxy.stop()
        until_source(mirror, lambda row: row["State"] == "stale" and bool(row["Reason"]))
        kubernetes.request("DELETE", f"{room.slices}/two")
        assert instances(mirror, "api").keys() == {"api-0", "api-1"}
        assert instances(mirror, "web", passing=True).keys() == {"web-0"}
        proxy.start()
        until_instances(mirror, "web")
        until_source(mirror, lambda row: row["State"] == "connected")


def test_eureka(name: str, eureka: EurekaServer, homeport_factory: HomeportFactory) -> None:
    eureka.register(name, "1", host="10.0.0.1", port=8080, duration=3600, metadata={"version": "2"})
    eureka.register(name, "2", host="10.0.0.2", duration=3600)
    with FaultProxy(eureka.address) as proxy:
        url = f"eureka://{proxy.address}/eureka?poll_interval=0.1&timeout=2&services={name}*&removal_hold=0"
        mirror = homeport_factory(dev=True, arguments=["--source", url])
        row = until_instances(mirror, name, "1", "2", passing=True)["1"]
        assert (row["Service"]["Address"], row["Service"]["Port"]) == ("10.0.0.1", 8080)
        assert row["Service"]["Meta"]["version"] == "2"
        eureka.register(f"{name}-new", "3", duration=3600)
        until_instances(mirror, f"{name}-new", "3", passing=True)
        eureka.set_status(name, "1", "OUT_OF_SERVICE")
        until_instances(mirror, name, "2", passing=True)
        (check,) = [one for one in instances(mirror, name)["1"]["Checks"] if one["ServiceID"]]
        assert check["CheckID"] == "_service_maintenance:1"
        proxy.stop()
        until_source(mirror, lambda row: row["State"] == "stale" and bool(row["Reason"]))
        eureka.cancel(name, "2")
        assert instances(mirror, name, passing=True).keys() == {"2"}
        proxy.start()
        until_instances(mirror, name, "1")
        until_source(mirror, lambda row: row["State"] == "connected")
    for service, instance in ((name, "1"), (f"{name}-new", "3")):
        eureka.cancel(service, instance)
