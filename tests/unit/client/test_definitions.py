"""Service definitions: their places, their fields, and what is said about those that cannot be right."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homeport.client.configuration.policy import CheckDefaults, RegistrationPolicy
from homeport.client.definitions.definition import Definition
from homeport.client.definitions.files import definition_files, read_definitions
from homeport.client.definitions.variables import Variables, variables
from homeport.errors import InvalidValue, SettingsError
from homeport.model import GRPCCheck, HTTPCheck, ScriptCheck, Service, TCPCheck, TTLCheck
from homeport.settings.shapes import Place

# As document 004 has it, without its sidecar.
SAMPLE = """
service_definition:
  name: "api"
  id: "api-{{ .instance_id }}"
  address: "{{ .host_ip }}"
  port: 8080

  tags:
    - "api"
    - "{{ .version }}"
    - "{{ .environment }}"
    - "http"

  meta:
    version: "{{ .version }}"
    environment: "{{ .environment }}"
    team: "backend"
    repository: "github.com/company/api"

  health_checks:
    - name: "HTTP Health Check"
      http: "http://{{ .host_ip }}:8080/health"
      interval: "10s"
      timeout: "5s"

    - name: "TCP Port Check"
      tcp: "{{ .host_ip }}:8080"
      interval: "30s"
      timeout: "3s"
"""
SIDECAR = """
  connect:
    sidecar_service:
      proxy:
        upstreams:
          - destination_name: "database"
            local_bind_port: 5432
"""
PLAIN = RegistrationPolicy()


def known(values: dict[str, str] | None = None, **environ: str) -> Variables:
    return variables({"host_ip": "10.0.0.7", **(values or {})}, environ=environ, of_process=False)


def service(
    content: dict[str, Any],
    policy: RegistrationPolicy = PLAIN,
    *,
    values: dict[str, str] | None = None,
    environ: dict[str, str] | None = None,
) -> Service:
    place = Place("d.yaml", "service_definition")
    return Definition(content, place).service(known(values, **(environ or {})), policy)


def errors(content: dict[str, Any], policy: RegistrationPolicy = PLAIN) -> list[str]:
    found = Definition(content, Place("d.yaml", "service_definition")).read(known(), policy)[1]
    return [str(one).removeprefix("d.yaml: service_definition") for one in found]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


class TestSample:
    def test_the_sample_of_the_document(self, tmp_path: Path) -> None:
        (definition,) = read_definitions(written(tmp_path / "api-service.yaml", SAMPLE))
        values = {"version": "2.1.0", "environment": "production", "instance_id": "i-7"}
        assert definition.needs_host_ip
        assert definition.service(known(values), PLAIN) == Service(
            name="api",
            id="api-i-7",
            address="10.0.0.7",
            port=8080,
            tags=("api", "2.1.0", "production", "http"),
            meta={
                "version": "2.1.0", "environment": "production", "team": "backend",
                "repository": "github.com/company/api",
            },
            checks=(
                HTTPCheck(name="HTTP Health Check", url="http://10.0.0.7:8080/health", interval=10.0, timeout=5.0),
                TCPCheck(name="TCP Port Check", target="10.0.0.7:8080", interval=30.0, timeout=3.0),
            ),
        )  # fmt: skip

    def test_a_sidecar_is_refused_by_name(self, tmp_path: Path) -> None:
        (definition,) = read_definitions(written(tmp_path / "d.yaml", SAMPLE + SIDECAR))
        with pytest.raises(SettingsError) as caught:
            definition.service(known({"version": "1", "environment": "e"}), PLAIN)
        assert str(caught.value) == (
            f"{tmp_path}/d.yaml: service_definition.connect.sidecar_service asks for a sidecar proxy, which this "
            "version does not set up; take it out to register the service without one"
        )


class TestVariables:
    @pytest.mark.parametrize(
        ("text", "values", "environ", "expected"),
        [
            ("{{ .version }}", {"version": "1"}, {"HOMEPORT_VERSION": "2"}, "1"),
            ("{{ .version }}", {}, {"HOMEPORT_VERSION": "2"}, "2"),
            ("{{ .environment }}", {}, {"HOMEPORT_ENVIRONMENT": "live"}, "live"),
            ("{{ .environment }}", {"environment": "test"}, {"HOMEPORT_ENVIRONMENT": "live"}, "test"),
            ("{{ .instance_id }}", {"instance_id": "7"}, {"HOMEPORT_INSTANCE_ID": "8"}, "7"),
            ("{{ .instance_id }}", {}, {"HOMEPORT_INSTANCE_ID": "8"}, "8"),
            ("{{ .instance_id }}", {}, {}, socket.gethostname()),
            ("{{ .hostname }}", {}, {}, socket.gethostname()),
            ("{{ .host_ip }}", {}, {}, "10.0.0.7"),
            ('{{ env "TEAM" }}-{{env "TEAM"}}', {}, {"TEAM": "blue"}, "blue-blue"),
            ("{{ .colour }}", {"colour": "red"}, {}, "red"),
            ("{{ .port }}", {}, {}, "80"),
            ("{{ .port }}", {"port": "90"}, {}, "80"),
        ],
    )
    def test_each_has_its_value(
        self, text: str, values: dict[str, str], environ: dict[str, str], expected: str
    ) -> None:
        assert service({"name": "x", "port": 80, "tags": [text]}, values=values, environ=environ).tags == (expected,)

    def test_a_place_that_does_not_end_is_refused(self) -> None:
        assert errors({"name": "x", "id": "{{ .version }"}) == [
            '.id is "{{ .version }", in which a place does not end; write {{ .name }}'
        ]
        assert errors({"name": "x", "meta": {"limits": '{"a": {"b": 1}}'}}) == []

    def test_the_process_has_its_number(self) -> None:
        assert service({"name": "x", "tags": ["{{ .pid }}"]}).tags == (str(os.getpid()),)

    @pytest.mark.parametrize(
        ("port", "values", "environ", "expected"),
        [
            ("{{ .port }}", {"port": "90"}, {"PORT": "70"}, 90),
            ("{{ .port }}", {}, {"PORT": "70"}, 70),
            ('{{ env "HTTP_PORT" }}', {}, {"HTTP_PORT": "60", "PORT": "70"}, 60),
            ("80", {}, {"PORT": "70"}, 80),
        ],
    )
    def test_the_port_may_be_a_place_and_stands_in_others(
        self, port: str, values: dict[str, str], environ: dict[str, str], expected: int
    ) -> None:
        check = {"tcp": "{{ .host_ip }}:{{ .port }}"}
        made = service({"name": "x", "port": port, "health_checks": [check]}, values=values, environ=environ)
        assert made.port == expected
        assert made.checks == (TCPCheck(target=f"10.0.0.7:{expected}"),)

    def test_an_ipv6_address_gets_its_brackets(self) -> None:
        made = service(
            {"name": "x", "health_checks": [{"http": "http://{{ .host_ip }}:1/"}]}, values={"host_ip": "::2"}
        )
        assert made.checks == (HTTPCheck(url="http://[::2]:1/"),)

    def test_an_instance_id_of_a_process_is_unique_to_it_and_stays(self) -> None:
        own = variables(environ={}, of_process=True).values["instance_id"]
        assert own == variables(environ={}, of_process=True).values["instance_id"]
        assert own.startswith(f"{socket.gethostname()}-")
        program = (
            "import os\nfrom homeport.client.definitions.variables import variables\n"
            "print(variables(environ={}, of_process=True).values['instance_id'], flush=True)\n"
            "child = os.fork()\n"
            "if child: os.waitpid(child, 0)\n"
            "else: print(variables(environ={}, of_process=True).values['instance_id'], flush=True)\n"
        )
        out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
        assert len({own, *out.split()}) == 3

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ("{{ .verion }}", (r'"{{ .verion }}" stands for nothing; there are .environment, .host_ip, .hostname, '
             r'.instance_id, .pid, .port, .version and env "NAME"; did you mean .version?')),
            ("{{ version }}", r'"{{ version }}" stands for nothing; there are'),
            ("{{ .a.b }}", r'"{{ .a.b }}" stands for nothing; there are'),
            ("{{ .version }}", r'"{{ .version }}" has no value; set HOMEPORT_VERSION, or give version (--set'),
            ("{{ .port }}", r'"{{ .port }}" has no value; set PORT, or give port (--set port='),
            ('{{ env "TEAM" }}', r'"{{ env "TEAM" }}" has no value: the environment variable TEAM is not set'),
        ],
    )  # fmt: skip
    def test_what_has_no_value_is_told_with_its_place(self, asked: str, message: str) -> None:
        (error,) = errors({"name": "x", "meta": {"k": asked}})
        assert error.startswith(f".meta.k: {message}")
        (error,) = errors({"name": "x", "health_checks": [{"tcp": "h:1"}, {"http": asked}]})
        assert error.startswith(f".health_checks[1].http: {message}")

    def test_a_secret_of_the_environment_does_not_show(self) -> None:
        assert "secret" not in repr(variables(environ={"A": "secret"}, of_process=False))

    def test_lenient_ones_stand_in_for_what_only_a_program_knows(self) -> None:
        lenient = variables(environ={}, of_process=False, lenient=True)
        content = {
            "name": "x", "port": '{{ env "ANY" }}', "tags": ["{{ .version }}", "{{ .environment }}"],
            "address": "{{ .host_ip }}",
        }  # fmt: skip
        assert Definition(content, Place("d", "k")).read(lenient, PLAIN)[1] == []
        with pytest.raises(InvalidValue, match="stands for nothing"):
            lenient.value(".nonsense")


class TestFields:
    def test_every_field_of_a_service(self) -> None:
        made = service({
            "name": "x", "id": "i", "address": "a", "port": 1, "tags": ["t"], "meta": {"n": 1, "b": True}, "weight": 3,
            "version": "2", "environment": "e", "health_checks": [{"ttl": "5s"}],
        })  # fmt: skip
        assert made == Service(
            name="x", id="i", address="a", port=1, tags=("t",), meta={"n": "1", "b": "true"}, weight=3, version="2",
            environment="e", checks=(TTLCheck(ttl=5.0),),
        )  # fmt: skip

    def test_a_service_without_a_name_takes_the_one_that_is_given(self) -> None:
        definition = Definition({"port": 1}, Place("d.yaml", "service_definition"))
        assert definition.service(known(), PLAIN, name="api").name == "api"
        with pytest.raises(SettingsError) as caught:
            definition.service(known(), PLAIN)
        assert str(caught.value) == (
            "d.yaml: service_definition: a service needs a name; give it one, or set DISCOVERY_SERVICE_NAME"
        )

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ({"nam": "x"}, [".nam is not a setting; did you mean service_definition.name?"]),
            ({"name": "x", "port": "http"}, ['.port is "http"; give a whole number, at least 0 and at most 65535']),
            ({"name": "x", "port": 65536}, [".port is 65536; give a whole number, at least 0 and at most 65535"]),
            ({"name": "x", "weight": -1}, [".weight is -1; give a whole number, at least 0 and at most 65535"]),
            ({"name": "x", "tags": [2.1]}, [".tags[0] is 2.1; give text, in quotes"]),
            ({"name": "x", "meta": {"k": []}}, [': metadata "k" is a list; give text, a number or a boolean']),
            (
                {"name": "x", "health_checks": [{"htp": "u"}, {"http": "u", "intervall": 1}]},
                [
                    (".health_checks[0]: a health check says not what to check; give one of http, tcp, grpc, script, "
                    "ttl, alias"),
                    '.health_checks[1]: a health check by http has no "intervall"; did you mean interval?',
                ],
            ),
            ({"name": "x", "connect": {}}, [(".connect asks for a sidecar proxy, which this version does not set up; "
              "take it out to register the service without one")]),
            (
                {"nam": "x", "port": "{{ .nope", "tags": ["{{ .nothing }}"]},
                [
                    '.port is "{{ .nope", in which a place does not end; write {{ .name }}',
                    ('.tags[0]: "{{ .nothing }}" stands for nothing; there are .environment, .host_ip, .hostname, '
                    '.instance_id, .pid, .port, .version and env "NAME"'),
                    ".nam is not a setting; did you mean service_definition.name?",
                ],
            ),
        ],
    )  # fmt: skip
    def test_everything_wrong_is_told_with_its_place(self, content: dict[str, Any], expected: list[str]) -> None:
        assert errors(content) == expected


class TestDefaultsOfChecks:
    CHECKS = ({"http": "http://u"}, {"tcp": "h:1"}, {"grpc": "h:1"}, {"script": "true"}, {"ttl": 9})

    def checks(self, class_: str = "standard", **defaults: Any) -> tuple[Any, ...]:
        policy = RegistrationPolicy(checks=CheckDefaults(**defaults))
        return service({"name": "x", "class": class_, "health_checks": list(self.CHECKS)}, policy).checks

    def test_a_general_interval_and_time_out(self) -> None:
        assert self.checks(interval=7.0, timeout=2.0, deregister_after=30.0) == (
            HTTPCheck(url="http://u", interval=7.0, timeout=2.0, deregister_after=30.0),
            TCPCheck(target="h:1", interval=7.0, timeout=2.0, deregister_after=30.0),
            GRPCCheck(target="h:1", interval=7.0, timeout=2.0, deregister_after=30.0),
            ScriptCheck(command=("true",), interval=7.0, timeout=2.0, deregister_after=30.0),
            TTLCheck(ttl=9.0, deregister_after=30.0),
        )

    def test_by_class_and_by_kind_come_first(self) -> None:
        defaults: dict[str, Any] = {
            "interval": 7.0, "timeout": 2.0, "critical_interval": 1.0, "standard_interval": 3.0,
            "timeouts": {"http": 0.5},
        }  # fmt: skip
        http, tcp, *_ = self.checks(**defaults)
        assert (http.interval, http.timeout, tcp.timeout) == (3.0, 0.5, 2.0)
        http, *_ = self.checks("critical", **defaults)
        assert http.interval == 1.0

    def test_what_a_check_says_itself_counts(self) -> None:
        policy = RegistrationPolicy(checks=CheckDefaults(interval=7.0, deregister_after=30.0))
        check = {"http": "http://u", "interval": "1s", "deregister_critical_service_after": "90s"}
        made = service({"name": "x", "health_checks": [check]}, policy).checks
        assert made == (HTTPCheck(url="http://u", interval=1.0, deregister_after=90.0),)

    def test_they_may_be_switched_off(self) -> None:
        assert self.checks(enabled=False) == ()

    def test_several_may_be_forbidden(self) -> None:
        policy = RegistrationPolicy(checks=CheckDefaults(several=False))
        assert errors({"name": "x", "health_checks": list(self.CHECKS)}, policy) == [
            (
                ".health_checks has 5 checks, but high_availability.health_checks.multiple_checks is false; keep one, "
                "or set it to true"
            )
        ]
        assert errors({"name": "x", "health_checks": [{"ttl": 1}]}, policy) == []


def test_common_tags_and_metadata_are_added_and_do_not_override() -> None:
    policy = RegistrationPolicy(tags=("a", "b"), meta={"team": "x", "version": "1", "environment": "e"})
    made = policy.applied(Service(name="s", version="2", tags=("c", "a"), meta={"team": "y"}))
    assert made.tags == ("c", "a", "b")
    assert made.meta == {"team": "y", "environment": "e"}
    assert policy.applied(made) == made


class TestFiles:
    def names(self, path: Path) -> list[str]:
        return [one.service(known(), PLAIN).name for one in read_definitions(path)]

    @pytest.mark.parametrize(
        "text",
        [
            "services:\n  - name: a\n  - name: b\n",
            "service_definition:\n  name: a\nservices:\n  - name: b\n",
            "service_definition:\n  name: a\n---\nservice_definition:\n  name: b\n---\n",
            '{"services": [{"name": "a"}, {"name": "b"}]}',
        ],
    )
    def test_a_file_may_hold_several(self, tmp_path: Path, text: str) -> None:
        assert self.names(written(tmp_path / "d.yaml", text)) == ["a", "b"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", ': there is no definition in it; write "service_definition:" with its keys below'),
            ("- a\n", ': there must be a definition in it, such as "service_definition:" with its keys below'),
            ("service_definitions: {}\n", ": service_definitions is not a setting; did you mean service_definition?"),
            ("services: {a: {}}\n", ": services is a mapping; give a list of definitions"),
            ("services: [a]\n", ': services[0] is "a"; give the keys of a definition below it'),
            ("service_definition: {name: a}\n---\nx: 1\n", ", document 2: x is not a setting"),
            (
                "service_definition:\n  id: {{ .pid }}\n",
                ': line 2, column 8: a key must be a word; a text with "{{ … }}" has to stand in quotes',
            ),
        ],
    )  # fmt: skip
    def test_other_content_is_refused(self, tmp_path: Path, text: str, message: str) -> None:
        path = written(tmp_path / "d.yaml", text)
        with pytest.raises(SettingsError, match=f"^{re.escape(f'{path}{message}')}$"):
            read_definitions(path)

    def test_only_files_of_definitions_of_a_folder_are_looked_at(self, tmp_path: Path) -> None:
        for name in ("b.yaml", "a.yml", "c.json", ".hidden.yaml", "notes.txt", "x.yaml~"):
            (tmp_path / name).touch()
        (tmp_path / "folder.yaml").mkdir()
        assert [path.name for path in definition_files(tmp_path)] == ["a.yml", "b.yaml", "c.json"]
