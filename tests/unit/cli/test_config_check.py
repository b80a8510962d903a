"""`config-check`: everything that is wrong, with its line, and nothing where all is well."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from homeport.cli import main
from tests.unit.client.test_backend_sections import DNS, ETCD, KUBERNETES, ZONES
from tests.unit.client.test_configuration import CONNECT, CONSUL, HIGH_AVAILABILITY
from tests.unit.client.test_definitions import SAMPLE, SIDECAR

BROKEN = """\
backend: consl://x
client:
  cache: {tll: 3, ttl: no}
  balancer: random
server:
  htp: 1
  limits:
    body_bytes: big
sources: [consl://x]
servr: {}
health_checks:
  a: {checks: [{name: x, type: http}]}
  b: {checks: [{name: x, type: htpp, options: {a: 1}}]}
services:
  - name: x
    prot: 3
    health_checks: [{htp: x}, {http: "{{ .verion }}"}]
  - id: x
    port: 70000
"""


@pytest.fixture(autouse=True)
def nobodys_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings in use."""
    for variable in ("HOMEPORT_CONFIG", "XDG_CONFIG_HOME", "HOMEPORT_VERSION", "HOMEPORT_BACKEND"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def checked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str]]:
    code = main(["config-check", *map(str, arguments)])
    captured = capsys.readouterr()
    assert captured.err == ""
    return code, captured.out.splitlines()


def test_everything_wrong_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "h.yaml", BROKEN)
    code, out = checked(capsys, path)
    assert code == 1
    assert [line.removeprefix(f"{path}: ").split(";")[0] for line in out] == [
        'line 1: backend: "consl" is not a backend',
        "line 3: client.cache.tll is not a setting",
        "line 3: client.cache.ttl is false",
        "line 6: server.htp is not a setting",
        'line 8: server.limits.body_bytes is "big"',
        'line 9: sources[0]: "consl" is not a backend',
        "line 10: servr is not a setting",
        "line 12: health_checks.a.checks[0].url is missing",
        'line 13: health_checks.b.checks[0]: there is no kind of check "htpp"',
        "line 16: services[0].prot is not a setting",
        'line 17: services[0].health_checks[1].http: "{{ .verion }}" stands for nothing',
        "line 19: services[1].port is 70000",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", ""),
        (CONSUL, " (consul)"),
        (ETCD, " (etcd)"),
        (DNS, " (dns_discovery)"),
        (KUBERNETES, " (kubernetes_discovery)"),
        (CONSUL + HIGH_AVAILABILITY, " (consul, high_availability)"),
        (SAMPLE, " (1 service)"),
        ("backend: homeport://h:1\nclient:\nservices: [{name: a}, {name: b}]\n", " (2 services, backend, client)"),
        ('services: [{name: a, port: "{{ env "NOWHERE" }}"}]'.replace('"NOWHERE"', '\\"NOWHERE\\"'), " (1 service)"),
        ("service_definition: {name: a}\n---\nservice_definition: {name: b}\n", " (2 services)"),
        ("service_definition: {port: 1}\n", " (1 service)"),
    ],
)
def test_what_is_right_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, what: str
) -> None:
    path = written(tmp_path, "f.yaml", text)
    assert checked(capsys, path) == (0, [f"{path}: ok{what}"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (CONSUL + CONNECT, "line 41: consul.connect.sidecar_proxy asks for Consul's service mesh"),
        (SAMPLE + SIDECAR, "line 32: service_definition.connect.sidecar_service asks for a sidecar proxy"),
        (DNS + ZONES.replace("consul", "consl"), 'line 21: dns_discovery.zones[0].type: "consl" is not a backend'),
        ("server: {dns: nonsense}\n", 'line 1: server.dns is "nonsense"'),
        (ETCD.replace("recursive: true", "recursive: false"), "line 25: etcd.discovery.recursive is false"),
        (DNS.replace("30s", "90s"), "line 2: dns_discovery: dns:///"),
        (ETCD + DNS, "etcd and dns_discovery each describe a backend, and nothing says which is meant"),
        (KUBERNETES.replace("labels", "lables"), "line 22: kubernetes_discovery.lables is not a setting"),
        ("- a\n", "there must be a definition in it"),
        ("client:\n---\nserver:\n", 'it has 2 parts between lines of "---"'),
        ("server: {http: nonsense}\n", 'line 1: server.http is "nonsense"'),
        ("backend: {url: consul://h, tokn: secret}\n", "line 1: backend: consul://h:8500: tokn is not a parameter"),
        ("health_checks: 5\n", "line 1: health_checks is 5"),
        (
            "health_checks:\n  a-b: {checks: []}\n  a_b: {checks: []}\n",
            "line 3: health_checks.a_b and a-b stand for the same services",
        ),
        ("services:\n  - {name: a, id: x}\n  - {name: b, id: x}\n", 'line 3: services[1] has the id "x"'),
        (
            "service_definition: {name: a}\n---\nservice_definition: {nam: b}\n",
            "line 3: document 2: service_definition.nam",
        ),
        ("backend: []\n", "line 1: backend is an empty list"),
        (
            (
                "consul: {service_registration: {auto_register: true}}\n"
                "high_availability: {service_registration: {register_on_startup: false}}\n"
            ),
            "line 1: consul.service_registration.auto_register and high_availability",
        ),
        ("a: [\n", "line 2, column 1: expected the node content"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, problem: str
) -> None:
    path = written(tmp_path, "f.yaml", text)
    code, (line,) = checked(capsys, path)
    assert code == 1
    assert problem in line
    assert "secret" not in line


def test_names_of_places_may_be_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "f.yaml", 'service_definition: {name: "{{ .colour }}"}\n')
    assert checked(capsys, path)[0] == 1
    assert checked(capsys, path, "--set", "colour=red")[0] == 0


def test_folders_and_several_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "services"
    folder.mkdir()
    good, bad = written(folder, "a.yaml", SAMPLE), written(folder, "b.yaml", "x: 1\n")
    missing = tmp_path / "missing.yaml"
    code, out = checked(capsys, folder, missing)
    assert (code, out) == (
        1,
        [
            f"{good}: ok (1 service)",
            f"{bad}: line 1: x is not a setting",
            f"{missing}: it cannot be read: No such file or directory",
        ],
    )


def test_without_a_file_it_is_the_one_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["config-check"]) == 2
    assert capsys.readouterr().err == "homeport: config-check needs a FILE; no settings file is in use.\n"
    path = written(tmp_path, "h.yaml", "server: {}\n")
    monkeypatch.setenv("HOMEPORT_CONFIG", str(path))
    assert checked(capsys) == (0, [f"{path}: ok (server)"])


def test_programs_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "h.yaml", "server: {htp: 1}\n")
    expected = {
        "file": str(path), "ok": False, "services": 0, "sections": ["server"],
        "problems": [{"line": 1, "text": "server.htp is not a setting; did you mean server.http?"}],
    }  # fmt: skip
    assert main(["config-check", str(path), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out) == [expected]
    assert main(["config-check", str(path), "--format", "ndjson"]) == 1
    assert json.loads(capsys.readouterr().out) == expected


def test_a_pipe_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert checked(capsys, pipe) == (
        1, [f"{pipe}: it is no file but a pipe or a device; write its content into a file first"],
    )  # fmt: skip


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    """In a process of its own: libyaml would end it."""
    path = written(tmp_path, "deep.json", "[" * 200_000 + "]" * 200_000)
    command = [sys.executable, "-m", "homeport", "config-check", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == f"{path}: it is nested too deeply, or has an alias (*) that contains itself\n"
