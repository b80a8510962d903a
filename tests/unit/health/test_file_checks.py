"""The section ``health_checks`` of the settings file."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from homeport.errors import SettingsError
from homeport.registry.health.file_checks.parsing import NOT_CHECKED, parse
from homeport.registry.health.settings import FileDefaults
from homeport.registry.records import CheckDefinition, CheckRecord, ServiceRecord

DOCUMENT = """
api_service:
  checks:
    - name: "HTTP Health Endpoint"
      type: "http"
      url: "http://{{ .address }}:{{ .port }}/health"
      method: "GET"
      timeout: "5s"
      interval: "10s"
      expected_status: 200
      expected_body: "healthy"

    - name: "Database Connectivity"
      type: "script"
      script: "curl -f http://{{ .address }}:{{ .port }}/health/db"
      timeout: "10s"
      interval: "30s"

    - name: "Disk Space"
      type: "script"
      script: |
        #!/bin/bash
        DISK=$(df / | tail -1 | awk '{print $5}' | sed 's/%//')
        if [ "$DISK" -gt 85 ]; then
          exit 1
        fi
        exit 0
      timeout: "5s"
      interval: "300s"

  failure_threshold: 3
  success_threshold: 2
  deregister_critical_service_after: "90s"

database_service:
  checks:
    - name: "TCP Connection"
      type: "tcp"
      address: "{{ .address }}:{{ .port }}"
      timeout: "3s"
      interval: "10s"
"""


def records(section: object, *, name: str = "api", address: str = "10.0.0.1", **defaults: float) -> list[CheckRecord]:
    service = ServiceRecord(node="n1", id=f"{name}-1", name=name, port=8080)
    return parse(section, FileDefaults(**defaults)).records(service, address)


def one(check: dict[str, Any], **service: Any) -> CheckDefinition:
    """The definition of a single check."""
    section = {"api": {"checks": [{"name": "x", **check}], **service}}
    definition = records(section)[0].definition
    assert definition is not None
    return definition


def refusal(check: dict[str, Any], **service: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        one(check, **service)
    return str(caught.value)


def test_the_document_is_understood_as_it_stands() -> None:
    section = yaml.safe_load(DOCUMENT)
    http, curl, disk = records(section)
    assert (http.id, http.name, http.type, http.origin) == ("file:api-1:1", "HTTP Health Endpoint", "http", "file")
    assert (http.node, http.service_id, http.service_name, http.executed) == ("n1", "api-1", "api", True)
    assert (http.status, http.output, http.interval, http.timeout) == ("passing", NOT_CHECKED, "10s", "5s")
    assert http.definition == CheckDefinition(
        kind="http", http="http://10.0.0.1:8080/health", method="GET", timeout=5.0, interval=10.0, expected_status=200,
        expected_body="healthy", failures_before_critical=3, success_before_passing=2, deregister_after=90.0,
    )  # fmt: skip
    assert curl.definition is not None
    assert curl.definition.script == ("/bin/sh", "-c", "curl -f http://10.0.0.1:8080/health/db")
    assert disk.definition is not None
    assert disk.definition.script[:2] == ("/bin/bash", "-c")
    assert "awk '{print $5}'" in disk.definition.script[2]
    assert disk.definition.interval == 300.0
    (tcp,) = records(section, name="database", address="::1")
    assert tcp.definition is not None
    assert (tcp.definition.tcp, tcp.definition.failures_before_critical) == ("[::1]:8080", 0)


@pytest.mark.parametrize(
    ("key", "service", "stands"),
    [
        ("api", "api", True),
        ("API", "api", True),
        ("api_service", "api_service", True),
        ("api_service", "api", True),
        ("api-service", "api", True),
        ("user_service", "user-service", True),
        ("user_api_service", "user-api", True),
        ("api", "api_service", False),
        ("api_service", "api2", False),
        ("service", "", False),
    ],
)
def test_a_key_stands_for_services_by_name(key: str, service: str, stands: bool) -> None:
    section = {key: {"checks": [{"name": "x", "type": "tcp", "address": "h:1"}]}}
    assert (parse(section, FileDefaults()).key_for(service) is not None) == stands


def test_a_service_takes_the_key_of_its_very_name_first() -> None:
    check = {"name": "x", "type": "tcp", "address": "h:1"}
    checks = parse({"api_service": {"checks": [check]}, "api": {"checks": [check]}}, FileDefaults())
    assert checks.key_for("api") == "api"
    assert checks.key_for("api_service") == "api_service"


def test_two_keys_for_the_same_services_are_refused() -> None:
    check: dict[str, Any] = {"checks": []}
    with pytest.raises(SettingsError, match=r"health_checks\.a-b and a_b stand for the same services"):
        parse({"a_b": check, "a-b": check}, FileDefaults())


def test_intervals_go_by_class_and_timeouts_by_kind() -> None:
    tcp = {"type": "tcp", "address": "h:1"}
    assert one(tcp).interval == 30.0
    assert one(tcp, **{"class": "critical"}).interval == 10.0
    assert one({**tcp, "interval": "7s"}, **{"class": "critical"}).interval == 7.0
    assert one(tcp).timeout == 3.0
    assert one({"type": "http", "url": "http://h"}).timeout == 5.0
    assert one({"type": "grpc", "address": "h:1"}).timeout == 5.0
    assert one({"type": "script", "script": "x"}).timeout == 10.0
    assert one({"type": "script", "script": "x", "timeout": 1.5}).timeout == 1.5


def test_the_defaults_come_from_the_settings() -> None:
    def first(kind: dict[str, Any], *, critical: bool = False) -> CheckDefinition:
        section = {"api": {"checks": [{"name": "x", **kind}], "class": "critical" if critical else "standard"}}
        found = records(
            section, critical_interval=1.0, standard_interval=2.0, http_timeout=3.0, tcp_timeout=4.0, grpc_timeout=5.5,
            script_timeout=6.0,
        )  # fmt: skip
        assert found[0].definition is not None
        return found[0].definition

    tcp = first({"type": "tcp", "address": "h:1"})
    assert (tcp.interval, tcp.timeout) == (2.0, 4.0)
    assert first({"type": "tcp", "address": "h:1"}, critical=True).interval == 1.0
    assert first({"type": "http", "url": "http://h"}).timeout == 3.0
    assert first({"type": "grpc", "address": "h:1"}).timeout == 5.5
    assert first({"type": "script", "script": "x"}).timeout == 6.0


def test_a_check_may_have_thresholds_of_its_own() -> None:
    tcp = {"type": "tcp", "address": "h:1"}
    own = {
        "failure_threshold": 4,
        "warning_threshold": 1,
        "success_threshold": 5,
        "deregister_critical_service_after": "1h",
    }
    service = {
        "failure_threshold": 3,
        "warning_threshold": 2,
        "success_threshold": 2,
        "deregister_critical_service_after": 90,
    }
    for definition, numbers in (
        (one(tcp, **service), (3, 2, 2, 90.0)),
        (one({**tcp, **own}, **service), (4, 1, 5, 3600.0)),
    ):
        found = (
            definition.failures_before_critical, definition.failures_before_warning, definition.success_before_passing,
            definition.deregister_after,
        )  # fmt: skip
        assert found == numbers


def test_every_setting_of_a_kind_arrives() -> None:
    http = one({
        "type": "http", "url": "https://{{ .id }}/", "method": "POST", "header": {"A": "{{ .node }}", "B": ["1", "2"]},
        "body": "{{ .name }}", "expected_status": 201, "expected_body": "ok", "follow_redirects": False,
        "tls_server_name": "{{ .name }}.local", "tls_skip_verify": True,
    })  # fmt: skip
    assert (http.http, http.method, http.header) == ("https://api-1/", "POST", {"A": ("n1",), "B": ("1", "2")})
    assert (http.body, http.expected_status, http.expected_body, http.disable_redirects) == ("api", 201, "ok", True)
    assert (http.tls_server_name, http.tls_skip_verify) == ("api.local", True)
    tcp = one({"type": "tcp", "address": "{{ .address }}:1", "tls": True})
    assert (tcp.tcp, tcp.tcp_use_tls) == ("10.0.0.1:1", True)
    grpc = one({"type": "grpc", "address": "{{ .address }}:1", "service": "pkg.{{ .name }}", "tls": True})
    assert (grpc.grpc, grpc.grpc_use_tls) == ("10.0.0.1:1/pkg.api", True)
    assert one({"type": "script", "script": ["/bin/check", "{{ .address }}"]}).script == ("/bin/check", "10.0.0.1")
    other = one({"type": "redis", "options": {"host": "{{ .address }}", "db": 3, "strict": True}})
    assert (other.kind, other.options) == ("redis", {"host": "10.0.0.1", "db": "3", "strict": "true"})
    assert records({"api": {"checks": [{"name": "x", "type": "tcp", "address": "h:1", "notes": "n"}]}})[0].notes == "n"


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"type": "http"}, "health_checks.api.checks[0].url is missing"),
        ({"type": "tcp"}, "health_checks.api.checks[0].address is missing"),
        ({"type": "script"}, "health_checks.api.checks[0].script is missing"),
        ({"type": "ttl"}, "checks[0].type is"),
        ({"type": "alias"}, "checks[0].type is"),
        ({"type": "tcp", "address": "h:1", "url": "http://x"}, "url is not a setting of a check of the type tcp"),
        ({"type": "tcp", "address": "h:1", "follow_redirects": False}, "follow_redirects is not a setting"),
        ({"type": "http", "url": "http://x", "options": {"a": 1}}, "options is not a setting"),
        ({"type": "http", "url": "http://x", "header": {"A": 1}}, "header.A is 1; give text, or a list of texts"),
        ({"type": "http", "url": "http://{{ .host }}"}, '"{{ .host }}" stands for nothing'),
        (
            {"type": "http", "uri": "http://x"},
            "checks[0].uri is not a setting; did you mean health_checks.api.checks[0].url?",
        ),
        ({"type": "tcp", "address": "h:1", "interval": "soon"}, 'checks[0].interval is "soon"'),
        ({"type": "tcp", "address": "h:1", "interval": 0}, "interval is 0.0; it must be more than 0"),
        ({"type": "tcp", "address": "h:1", "timeout": 0}, "timeout is 0.0; it must be more than 0"),
        ({"type": "tcp", "address": "h:1", "failure_threshold": 0}, "failure_threshold is 0; it must be more than 0"),
        ({"type": "tcp", "address": "h:1", "warning_threshold": 3, "failure_threshold": 2}, "must not be higher"),
        ({"type": "script", "script": "#!/usr/bin/awk\nx"}, "script: "),
        ({"type": "script", "script": ["a", 1]}, "script is a list; give a text, or a list of words"),
        ({"type": "redis", "options": {"a": [1]}}, "options.a is a list"),
    ],
)
def test_what_would_not_be_obeyed_is_refused_with_its_place(check: dict[str, Any], message: str) -> None:
    assert message in refusal(check)


def test_other_mistakes_are_refused_with_their_place() -> None:
    assert "health_checks.api.class is" in refusal({"type": "tcp", "address": "h:1"}, **{"class": "urgent"})
    with pytest.raises(SettingsError, match=r"health_checks\.api\.checks is missing"):
        parse({"api": {}}, FileDefaults())
    with pytest.raises(SettingsError, match=r"f\.yaml: health_checks is a list"):
        parse([], FileDefaults(), source="f.yaml")


def test_no_section_is_no_checks() -> None:
    checks = parse(None, FileDefaults())
    assert not checks
    assert checks.key_for("api") is None


def test_an_instance_that_would_put_commands_into_a_script_gets_a_check_that_says_so() -> None:
    section = {"api": {"checks": [
        {"name": "s", "type": "script", "script": "curl {{ .address }}"},
        {"name": "h", "type": "http", "url": "http://{{ .address }}/"},
    ]}}  # fmt: skip
    script, http = records(section, address="$(reboot)")
    assert (script.executed, script.status, script.definition) == (False, "critical", None)
    assert "'$(reboot)', may not be put into a command" in script.output
    assert http.executed


def test_the_kinds_in_use_are_known_with_their_places() -> None:
    assert parse(yaml.safe_load(DOCUMENT), FileDefaults()).kinds == {
        "http": "health_checks.api_service.checks[0]", "script": "health_checks.api_service.checks[1]",
        "tcp": "health_checks.database_service.checks[0]",
    }  # fmt: skip
