"""`status` on real registries."""

from homeport import __version__
from tests.e2e.cli.command_line import CommandLine
from tests.e2e.cli.conftest import Registry
from tests.e2e.cli.in_process import InProcess
from tests.servers.api import call
from tests.servers.bind import BindServer
from tests.servers.consul import ConsulServer
from tests.servers.factory import HomeportFactory


def test_status_counts(homeport_factory: HomeportFactory, cli: CommandLine) -> None:
    server = homeport_factory(dev=True)
    cli.environment["HOMEPORT_BACKEND"] = server.backend_url
    for number, status in enumerate(("passing", "critical"), 1):
        body = {"Name": "api", "ID": f"api-{number}", "Port": 1, "Check": {"TTL": "1h", "Status": status}}
        call(server.url, "PUT", "/v1/agent/service/register", body)
    facts = cli("status", "--format", "json").json
    expected = {
        "backend": server.backend_url, "product": "homeport", "version": __version__, "datacenter": "dc1",
        "services": 1, "instances": 2, "passing": 1,
    }  # fmt: skip
    assert expected.items() <= facts.items()
    assert "health" not in facts
    lines = cli("status").out.splitlines()
    assert f"backend     {server.backend_url}" in lines
    assert "passing     1" in lines


def test_status_in_detail(here: InProcess, registry: Registry, name: str) -> None:
    body = {"Name": name, "ID": name, "Port": 1, "Check": {"TTL": "1h", "Status": "warning"}}
    call(registry.url, "PUT", "/v1/agent/service/register", body)
    detailed = ("status", "--detailed", "--backend", registry.backend_url)
    (row,) = [row for row in here(*detailed, "--format", "json").json["health"] if row["service"] == name]
    assert (row["status"], row["instances"], row["warning"]) == ("warning", 1, 1)
    lines = here(*detailed).out.splitlines()
    assert [line.split()[:3] for line in lines if line.startswith(name)] == [[name, "warning", "1"]]


def test_status_of_consul(here: InProcess, consul: ConsulServer, name: str) -> None:
    call(consul.url, "PUT", "/v1/agent/service/register", {"Name": name, "ID": name, "Port": 1})
    facts = here("status", "--format", "ndjson", "--backend", consul.backend_url).ndjson[0]
    assert (facts["product"], facts["node"]) == ("consul", consul.node)
    assert facts["services"] >= 2  # itself and this one
    assert facts["instances"] >= facts["passing"] >= 1


def test_a_name_that_cannot_be_asked_for_does_not_hide_the_others(
    here: InProcess, consul: ConsulServer, name: str
) -> None:
    odd = {f"{name}-1": f"{name}\n", f"{name}-2": f"{name}/.."}
    for id_, odd_name in odd.items():
        call(consul.url, "PUT", "/v1/agent/service/register", {"Name": odd_name, "ID": id_, "Port": 1})
    try:
        outcome = here("status", "--format", "json", "--backend", consul.backend_url)
    finally:  # whoever asks for all services would be told of these, too
        for id_ in odd:
            call(consul.url, "PUT", f"/v1/agent/service/deregister/{id_}")
    assert (outcome.code, outcome.json["product"]) == (0, "consul")
    assert f"'{name}\\n' cannot be asked for over HTTP" in outcome.err
    assert f'"{name}/.." cannot be asked for over HTTP' in outcome.err


def test_a_backend_without_a_list_of_services(here: InProcess, bind: BindServer) -> None:
    backend = f"dns://{bind.address}/services.test"
    outcome = here("status", "--detailed", "--backend", backend, "--format", "json")
    assert (outcome.code, outcome.json["product"], outcome.json["services"]) == (0, "dns", None)
    assert outcome.err.startswith("homeport: DNS has no list of services")
