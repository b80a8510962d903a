"""`debug dns` on a real BIND, a real Consul's DNS, and where nobody answers."""

import socket
from collections.abc import Callable

from tests.e2e.cli.command_line import Outcome
from tests.e2e.cli.in_process import InProcess
from tests.servers.api import call
from tests.servers.bind import BindServer
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer


def found(outcome: Outcome) -> dict[str, dict[str, object]]:
    """The steps by name."""
    return {step["step"]: step for step in outcome.json}


def test_records_with_all_that_came_along(here: InProcess, bind: BindServer) -> None:
    outcome = here("debug", "dns", "api.services.test", "--server", bind.address)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == f"asking {bind.address}: --server names it"
    assert lines[1:6] == [
        f"✓ SRV         api.services.test has 1 record (NOERROR from {bind.address} by UDP)",
        "              api.services.test SRV 10 5 8080 node.services.test. (TTL 1 s)",
        "              additional: node.services.test A 127.0.0.1 (TTL 1 s)",
        "              additional: node.services.test AAAA ::1 (TTL 1 s)",
        f"- A           api.services.test exists, but has no A records (NOERROR from {bind.address} by UDP)",
    ]
    assert lines[-1] == "✓ instances   Homeport finds 1: 127.0.0.1:8080 (weight 5)"


def test_programs_get_each_question(here: InProcess, bind: BindServer) -> None:
    steps = found(here("debug", "dns", "node.services.test", "--server", bind.address, "--format", "json"))
    assert steps["A"]["details"] == {
        "server": bind.address, "question": "node.services.test A", "transport": "UDP", "rcode": "NOERROR",
        "answers": ["node.services.test A 127.0.0.1 (TTL 1 s)"], "additional": [],
    }  # fmt: skip
    assert steps["SRV"]["state"] == "skipped"
    assert steps["instances"]["state"] == "warning"
    assert "no SRV records, which would tell the port" in str(steps["instances"]["text"])


def test_what_does_not_fit_into_a_datagram_comes_by_tcp(here: InProcess, bind: BindServer) -> None:
    steps = found(here("debug", "dns", "many.services.test", "--server", bind.address, "--format", "json"))
    details = steps["SRV"]["details"]
    assert isinstance(details, dict)
    assert details["transport"] == "TCP, since it did not fit into UDP"
    assert len(details["answers"]) == 90
    assert str(steps["instances"]["text"]).startswith("Homeport finds 90:")


def test_a_service_in_the_domains_of_a_dns_backend(here: InProcess, bind: BindServer) -> None:
    backend = f"dns://{bind.address}/elsewhere.test,services.test"
    outcome = here("debug", "dns", "api", "--backend", backend)
    assert outcome.code == 0
    assert outcome.out.startswith(f"asking {bind.address}: as {backend} says\n")
    assert "does not answer for api.elsewhere.test" in outcome.out
    assert "✓ SRV         api.services.test has 1 record" in outcome.out
    with_port = here("debug", "dns", "node", "--backend", f"dns://{bind.address}/services.test?port=81")
    assert "Homeport finds 1: 127.0.0.1:81" in with_port.out


class TestNothing:
    def test_there_is_no_such_name(self, here: InProcess, bind: BindServer) -> None:
        outcome = here("debug", "dns", "nobody.services.test", "--server", bind.address)
        assert outcome.code == 1
        assert "✗ SRV         there is no such name as nobody.services.test (NXDOMAIN from" in outcome.out
        assert "instances" not in outcome.out

    def test_it_is_not_answered_for(self, here: InProcess, bind: BindServer) -> None:
        outcome = here("debug", "dns", "www.elsewhere.test", "--server", bind.address)
        assert outcome.code == 1
        assert "it knows other domains, or does not let this host ask (REFUSED from" in outcome.out

    def test_nobody_listens(self, here: InProcess, free_port: Callable[[], int]) -> None:
        address = f"127.0.0.1:{free_port()}"
        outcome = here("debug", "dns", "api.services.test", "--server", address)
        assert outcome.code == 3
        assert f"no DNS server answers at {address} (connection refused); is that its port?" in outcome.out

    def test_nobody_answers(self, here: InProcess) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            outcome = here("debug", "dns", "a.test", "--server", f"127.0.0.1:{silent.getsockname()[1]}")
        assert outcome.code == 3
        assert "within 3 s; the host is down, a firewall drops DNS, or it is no DNS server" in outcome.out

    def test_no_name_and_no_server(self, here: InProcess) -> None:
        for arguments, text in (
            (("a..b",), '"a..b." cannot be a name in DNS'),
            (("a.b", "--server", "x:y"), '--server: the address names the port "y"'),
        ):
            outcome = here("debug", "dns", *arguments)
            assert (outcome.code, outcome.out) == (2, "")
            assert text in outcome.err


def test_the_dns_of_a_consul_agent(here: InProcess, consul: ConsulServer, name: str) -> None:
    body = {"Name": name, "ID": name, "Address": "127.0.0.1", "Port": 8080}
    call(consul.url, "PUT", "/v1/agent/service/register", body)
    outcome = here("debug", "dns", f"{name}.service.consul", "--backend", consul.backend_url)
    assert outcome.code == 0
    assert outcome.out.startswith(f"asking 127.0.0.1:{consul.dns_port}: the DNS of {consul.backend_url}\n")
    assert "Homeport finds 1: 127.0.0.1:8080" in outcome.out
    nobody = here("debug", "dns", f"no{name}", "--backend", consul.backend_url)
    assert nobody.code == 1
    assert f"no{name}.service.consul; Consul also says so of a service of which no instance passes" in nobody.out


def test_a_registry_without_dns(here: InProcess, homeport: HomeportServer) -> None:
    outcome = here("debug", "dns", "localhost", "--backend", homeport.backend_url)
    assert outcome.code in (1, 3)  # whatever the DNS of this host says of localhost.service.consul
    assert f"the DNS of this system, since {homeport.backend_url} names none" in outcome.out + outcome.err
