import socket
import urllib.error
from typing import Any

import pytest

from tests.servers.consul import ConsulServer
from tests.servers.factory import ConsulFactory
from tests.servers.ports import LOOPBACK
from tests.servers.process import wait_until


def services(server: ConsulServer) -> Any:
    return server.request("GET", "/v1/agent/services")


def test_the_shared_agent_answers_on_both_ports(consul: ConsulServer) -> None:
    assert consul.request("GET", "/v1/agent/self")["Config"]["NodeName"] == "consul-test"
    query = (
        bytes.fromhex("1234 0100 0001 0000 0000 0000") + b"\x06consul\x07service\x06consul\x00" + b"\x00\x01\x00\x01"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(60)
        client.sendto(query, (LOOPBACK, consul.dns_port))
        answer = client.recv(512)
    assert answer[:2] == query[:2]
    assert answer.endswith(bytes([127, 0, 0, 1]))


def test_data_of_a_durable_agent_outlives_a_kill_but_not_a_wipe(consul_factory: ConsulFactory) -> None:
    server = consul_factory(dev=False)
    port = server.http_port
    server.request("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
    server.kill()
    assert not server.running
    server.start()
    assert server.http_port == port
    assert list(services(server)) == ["web"]
    server.stop()
    server.wipe()
    server.start()
    assert services(server) == {}


def test_a_development_agent_forgets(consul_factory: ConsulFactory) -> None:
    server = consul_factory()
    server.request("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
    server.restart()
    assert services(server) == {}


def test_a_running_agent_is_not_wiped(consul_factory: ConsulFactory) -> None:
    server = consul_factory()
    with pytest.raises(RuntimeError, match="stop it first"):
        server.wipe()


def test_configuration_and_datacenter_reach_the_agent(consul_factory: ConsulFactory) -> None:
    server = consul_factory(datacenter="dc9", node="nine", config={"acl": {"enabled": True, "default_policy": "deny"}})
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.request("GET", "/v1/agent/self")
    refused.value.close()
    assert refused.value.code == 403

    def bootstrapped() -> bool:
        try:
            server.token = server.request("PUT", "/v1/acl/bootstrap")["SecretID"]
        except urllib.error.HTTPError as early:  # its ACLs are ready a moment after it leads
            early.close()
        return bool(server.token)

    wait_until(bootstrapped, timeout=60, what="the first token")
    config = server.request("GET", "/v1/agent/self")["Config"]
    assert (config["Datacenter"], config["NodeName"]) == ("dc9", "nine")


def test_agents_run_beside_each_other(consul_factory: ConsulFactory, consul: ConsulServer) -> None:
    first, second = consul_factory(), consul_factory(start=False)
    assert not second.running
    second.start()
    assert len({first.http_port, second.http_port, consul.http_port}) == 3
