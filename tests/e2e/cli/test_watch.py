"""`watch` on real registries."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from tests.e2e.cli.command_line import COMMAND, PATIENCE, CommandLine
from tests.e2e.cli.conftest import Registry
from tests.servers.api import call
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer


def register(registry: Registry, name: str, number: int, **fields: object) -> str:
    id_ = f"{name}-{number}"
    body = {
        "Name": name, "ID": id_, "Address": "10.0.0.1", "Port": number,
        "Check": {"CheckID": f"c-{id_}", "TTL": "1h", "Status": "passing"}, **fields,
    }  # fmt: skip
    call(registry.url, "PUT", "/v1/agent/service/register", body)
    return id_


def test_the_next_change_and_no_more(both: CommandLine, registry: Registry, name: str) -> None:
    register(registry, name, 1)
    running = both.start("watch", name)
    assert running.err.next() == f'homeport: watching "{name}" on {registry.backend_url}; Ctrl-C ends it.'
    call(registry.url, "PUT", f"/v1/agent/service/deregister/{name}-1")
    outcome = running.finish()
    assert outcome.code == 0
    assert outcome.out.split()[1:] == ["deregistered", f"{name}-1", "10.0.0.1:1"]


def test_the_next_change_for_programs(both: CommandLine, registry: Registry, name: str) -> None:
    """A service without instances can be watched; its first one is a change."""
    running = both.start("watch", name, "--format", "json")
    running.err.next()
    register(registry, name, 1)
    (event,) = running.finish().json
    assert (event["event"], event["id"], event["instance"]["endpoint"]) == ("registered", f"{name}-1", "10.0.0.1:1")


def test_several_backends_are_a_chain(cli: CommandLine, tmp_path: Path, name: str) -> None:
    file = tmp_path / "services.yaml"
    file.write_text(f"services:\n  {name}:\n    - {{id: spare, address: 10.0.0.9, port: 9}}\n", encoding="utf-8")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = f"homeport://127.0.0.1:{nobody.getsockname()[1]}"
        running = cli.start("watch", name, "--follow", "--backend", dead, "--backend", f"static://{file}")
        assert running.out.next().split()[1:] == ["present", "spare", "10.0.0.9:9", "passing"]
        running.send(signal.SIGINT)
        assert running.finish().code == 130


def test_following(both: CommandLine, registry: Registry, name: str) -> None:
    register(registry, name, 1)
    people = both.start("watch", name, "--follow")
    programs = both.start("watch", name, "--follow", "--format", "ndjson")
    assert people.out.next().split()[1:] == ["present", f"{name}-1", "10.0.0.1:1", "passing"]
    first = json.loads(programs.out.next())
    assert (first["event"], [one["id"] for one in first["instances"]]) == ("snapshot", [f"{name}-1"])
    call(registry.url, "PUT", f"/v1/agent/check/fail/c-{name}-1")
    assert people.out.next().split()[1:] == ["health_changed", f"{name}-1", "10.0.0.1:1", "passing", "→", "critical"]
    assert json.loads(programs.out.next())["event"] == "health_changed"
    call(registry.url, "PUT", f"/v1/agent/service/deregister/{name}-1")
    assert people.out.next().split()[1] == "deregistered"
    assert json.loads(programs.out.next())["event"] == "deregistered"
    for running in (people, programs):
        running.send(signal.SIGINT)
        outcome = running.finish()
        assert outcome.code == 130
        assert outcome.err.count("\n") == 1


def test_only_what_is_wanted(both: CommandLine, registry: Registry, name: str) -> None:
    running = both.start(
        "watch", name, "--follow", "--tag", "eu", "--version", ">=2", "--environment", "e", "--meta", "k=v",
        "--format", "ndjson",
    )  # fmt: skip
    assert json.loads(running.out.next())["instances"] == []
    right = {"version": "2.0", "environment": "e", "k": "v"}
    register(registry, name, 1, Tags=["us"], Meta=right)
    register(registry, name, 2, Tags=["eu"], Meta={**right, "version": "1.0"})
    register(registry, name, 3, Tags=["eu"], Meta={**right, "environment": "f"})
    register(registry, name, 4, Tags=["eu"], Meta={**right, "k": "w"})
    register(registry, name, 5, Tags=["eu"], Meta=right)
    assert json.loads(running.out.next())["id"] == f"{name}-5"


def test_a_registry_that_goes_and_comes_back(homeport_factory: HomeportFactory, cli: CommandLine) -> None:
    server = homeport_factory()
    register(server, "api", 1)
    running = cli.start("watch", "api", "--follow", "--backend", server.backend_url)
    running.out.until("present")
    server.kill()
    assert running.out.next().split()[1] == "stale"
    server.start()
    assert running.out.next().split()[1] == "recovered"


def test_a_reader_that_goes_away_ends_it_quietly(ours: CommandLine, homeport: HomeportServer, name: str) -> None:
    register(homeport, name, 1)
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*COMMAND, "watch", name, "--follow"], stdout=writing, stderr=subprocess.PIPE, env=ours.environment, text=True
    ) as process:
        try:
            os.close(writing)
            assert b"present" in os.read(reading, 1000)
            os.close(reading)
            register(homeport, name, 2)
            _, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 141
    assert err == f'homeport: watching "{name}" on {homeport.backend_url}; Ctrl-C ends it.\n'


def test_the_section_client_of_the_file_is_obeyed(ours: CommandLine, name: str) -> None:
    file = ours.home / "homeport.yaml"
    file.write_text("client:\n  silence_timeout: never\n", encoding="utf-8")
    outcome = ours("watch", name, "--config", str(file))
    assert (outcome.code, outcome.err) == (
        1, f'homeport: {file}: client.silence_timeout is "never"; give a duration such as "10s", or seconds\n',
    )  # fmt: skip
