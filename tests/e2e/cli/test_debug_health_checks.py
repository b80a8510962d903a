"""`debug health-checks` on our registry and on Consul."""

from collections.abc import Callable
from pathlib import Path

from tests.e2e.cli.conftest import Registry
from tests.e2e.cli.in_process import InProcess
from tests.servers.api import call
from tests.servers.consul import ConsulServer
from tests.servers.etcd import EtcdServer
from tests.servers.homeport import HomeportServer
from tests.servers.process import wait_until

TIMEOUT = 60.0


def register(registry: Registry, name: str, *checks: dict[str, object]) -> None:
    body = {"Name": name, "ID": name, "Address": "127.0.0.1", "Port": 1, "Checks": list(checks)}
    call(registry.url, "PUT", "/v1/agent/service/register", body)


def wait_for_output(registry: Registry, name: str) -> None:
    def has_output() -> bool:
        entries = call(registry.url, "GET", f"/v1/health/service/{name}")
        return bool(entries) and all(check["Output"] for check in entries[0]["Checks"] if check["ServiceID"])

    wait_until(has_output, timeout=TIMEOUT, what="outputs of all checks")


def test_each_check_with_its_reason(here: InProcess, homeport: HomeportServer, name: str) -> None:
    register(
        homeport, name,
        {"CheckID": f"{name}-tcp", "Name": "port", "TCP": "127.0.0.1:1", "Interval": "1s"},
        {"CheckID": f"{name}-http", "Name": "page", "HTTP": f"{homeport.url}/no-such-page", "Interval": "1s"},
    )  # fmt: skip
    wait_for_output(homeport, name)
    outcome = here("debug", "health-checks", name, "--backend", homeport.backend_url)
    assert (outcome.code, outcome.err) == (1, "")
    assert outcome.out.startswith(f"{name}  127.0.0.1:1\n")
    assert "✗ port (tcp 127.0.0.1:1): critical" in outcome.out
    assert "why        nothing listens at 127.0.0.1:1: the program is not running, or at another port" in outcome.out
    assert f"why        {homeport.url}/no-such-page answers, but has no such path: correct the URL" in outcome.out
    rows = {row["id"]: row for row in here("debug", "health-checks", name, "--format", "json",
                                           "--backend", homeport.backend_url).json}  # fmt: skip
    tcp = rows[f"{name}-tcp"]
    assert (tcp["kind"], tcp["target"], tcp["status"]) == ("tcp", "127.0.0.1:1", "critical")
    assert tcp["output"] == "TCP connect 127.0.0.1:1: connection refused"
    assert tcp["probe"] is None


def test_changes_and_since(here: InProcess, homeport: HomeportServer, name: str) -> None:
    register(homeport, name, {"CheckID": f"{name}-ttl", "Name": "own", "TTL": "1h"})
    for status, output in (("passing", "fine"), ("critical", "queue full\nsince noon")):
        call(homeport.url, "PUT", f"/v1/agent/check/update/{name}-ttl", {"Status": status, "Output": output})
    arguments = ("debug", "health-checks", name, "--backend", homeport.backend_url)
    rows = here(*arguments, "--format", "ndjson").ndjson
    (row,) = [row for row in rows if row["kind"] == "ttl"]
    assert [other["changes"] for other in rows if other is not row] == [0]  # the check of the node
    assert row["changes"] == len(row["transitions"]) >= 2
    assert row["since"] == row["transitions"][-1]["at"]
    assert row["reason"] == "the program reported critical itself"
    short, detailed = here(*arguments).out, here(*arguments, "--detailed").out
    assert f"since {row['since']}, changed {row['changes']}× in a day" in short
    assert "output     queue full since noon" in short
    assert "became" not in short
    assert "output     queue full\n               since noon\n" in detailed
    assert f"became     critical at {row['since']}: queue full since noon" in detailed


def test_once_from_here(here: InProcess, homeport: HomeportServer, name: str, free_port: Callable[[], int]) -> None:
    register(
        homeport, name,
        {"CheckID": f"{name}-http", "HTTP": f"{homeport.url}/v1/status/leader", "Interval": "1h", "Status": "critical"},
        {"CheckID": f"{name}-ttl", "TTL": "1h"},
    )  # fmt: skip
    call(homeport.url, "PUT", f"/v1/homeport/check/run/{name}-http")
    arguments = ("debug", "health-checks", name, "--probe", "--backend", homeport.backend_url)
    probes = {row["id"]: row["probe"] for row in here(*arguments, "--format", "json").json}
    assert probes[f"{name}-http"]["status"] == "passing"
    assert probes[f"{name}-http"]["output"].startswith(f"HTTP GET {homeport.url}/v1/status/leader: 200")
    assert probes[f"{name}-ttl"] is None
    assert "from here  passing: HTTP GET" in here(*arguments).out


def test_consul_tells_what_it_knows(here: InProcess, consul: ConsulServer, name: str) -> None:
    register(consul, name, {"CheckID": f"{name}-ttl", "Name": "own", "TTL": "1h", "Status": "passing"})
    outcome = here("debug", "health-checks", name, "--backend", consul.backend_url)
    assert outcome.code == 0
    assert "✓ own (ttl): passing\n" in outcome.out
    assert outcome.err == "homeport: Consul keeps no history of checks; use a Homeport registry (homeport://).\n"
    rows = here("debug", "health-checks", name, "--format", "json", "--backend", consul.backend_url).json
    assert {row["changes"] for row in rows} == {None}


def test_one_instance(here: InProcess, homeport: HomeportServer, name: str) -> None:
    for number in (1, 2):
        call(homeport.url, "PUT", "/v1/agent/service/register", {"Name": name, "ID": f"{name}-{number}", "Port": 1})
    arguments = ("debug", "health-checks", name, "--backend", homeport.backend_url, "--format", "json")
    assert {row["instance"] for row in here(*arguments).json} == {f"{name}-1", f"{name}-2"}
    assert {row["instance"] for row in here(*arguments, "--id", f"{name}-2").json} == {f"{name}-2"}


def test_backends_without_checks(here: InProcess, etcd: EtcdServer, name: str, tmp_path: Path) -> None:
    etcd.put(f"/services/{name}/1", '{"address": "10.0.0.2", "port": 80, "healthy": false}')
    outcome = here("debug", "health-checks", name, "--backend", etcd.backend_url)
    assert outcome.code == 1
    assert "keeps no history of checks; use a Homeport registry (homeport://)." in outcome.err
    file = tmp_path / "services.yaml"
    file.write_text(f"services: {{{name}: ['127.0.0.1:80']}}\n", encoding="utf-8")
    listed = here("debug", "health-checks", name, "--backend", f"static://{file}")
    assert listed.code == 0
    assert "the backend knows no checks of it, and lists it as passing" in listed.out
