from typing import Any

import pytest

from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer
from tests.servers.process import ServerFailedError


def services(server: HomeportServer) -> Any:
    return server.request("GET", "/v1/agent/services")


def test_the_shared_registry_answers(homeport: HomeportServer) -> None:
    assert homeport.request("GET", "/v1/agent/self")["Config"]["Datacenter"] == "dc1"


def test_data_outlives_stop_and_kill_but_not_a_wipe(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory()
    address = server.address
    server.request("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
    assert server.stop() == 0
    server.start()
    assert list(services(server)) == ["web"]
    server.kill()
    server.start()
    assert list(services(server)) == ["web"]
    assert server.address == address
    with pytest.raises(RuntimeError, match="stop it first"):
        server.wipe()
    server.stop()
    server.wipe()
    server.start()
    assert services(server) == {}


def test_a_port_that_the_server_chose_is_kept_over_a_restart(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory(http="127.0.0.1:0")
    address = server.address
    assert server.http_port > 0
    # It is not started again: the port is one of those that anybody's connection may take meanwhile.
    assert address in server._command()


def test_in_memory_it_forgets(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory(dev=True)
    server.request("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
    server.restart()
    assert services(server) == {}


def test_arguments_and_configuration_reach_the_server(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory(config="server:\n  datacenter: dc9\n", arguments=["--node", "nine"])
    config = server.request("GET", "/v1/agent/self")["Config"]
    assert (config["Datacenter"], config["NodeName"]) == ("dc9", "nine")


def test_a_server_that_cannot_start_is_told_with_its_log(
    homeport: HomeportServer, homeport_factory: HomeportFactory
) -> None:
    with pytest.raises(ServerFailedError, match=rf"(?s)ended with exit status 1; its log ends:.*{homeport.http_port}"):
        homeport_factory(http=homeport.address)
