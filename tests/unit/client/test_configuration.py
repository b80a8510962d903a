"""What the settings file and the environment say to a program: who decides, and what the keys of document 004 mean."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeport.client.configuration.configuration import Configuration, configuration_of, read_configuration
from homeport.client.configuration.policy import CheckDefaults, RegistrationPolicy
from homeport.client.settings import ClientSettings
from homeport.errors import SettingsError
from homeport.settings import SettingsFile

# As document 004 has it; "connect" comes apart.
CONSUL = """
consul:
  server:
    address: "consul.company.com:8500"
    datacenter: "dc1"

  authentication:
    token_env: "CONSUL_TOKEN"
    # Alternative: ACL token file
    # token_file: "/etc/consul/token"

  tls:
    enabled: true
    ca_file: "/etc/consul/ca.pem"
    cert_file: "/etc/consul/client.pem"
    key_file: "/etc/consul/client-key.pem"
    verify_ssl: true

  service_registration:
    auto_register: true
    deregister_on_exit: true
    tags: ["system-control", "v2.1.0"]
    meta:
      version: "2.1.0"
      environment: "production"
      team: "platform"

  health_checks:
    enabled: true
    interval: "10s"
    timeout: "5s"
    deregister_after: "30s"

  discovery:
    refresh_interval: "30s"
    cache_ttl: "60s"
    watch_services: true
"""
CONNECT = """
  connect:
    enabled: true
    sidecar_proxy: true
    intentions: []
"""
HIGH_AVAILABILITY = """
high_availability:
  service_registration:
    retry_attempts: 3
    retry_delay: "5s"
    register_on_startup: true
    deregister_on_shutdown: true

  health_checks:
    multiple_checks: true
    check_intervals:
      critical_services: "10s"
      standard_services: "30s"
    timeout_configuration:
      http_checks: "5s"
      tcp_checks: "3s"
      script_checks: "10s"

  discovery:
    cache_configuration: true
    failover_mechanisms: true
    load_balancing: "weighted_round_robin"
    circuit_breakers: true
"""


def said(
    text: str = "",
    environ: Mapping[str, str] | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    backend: Any = None,
) -> Configuration:
    file = SettingsFile(content=yaml.safe_load(text) or {})
    return configuration_of(file, backend=backend, settings=settings, environ=environ or {})


def error_of(text: str, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        said(text, environ)
    return str(caught.value)


class TestConsul:
    def test_the_sample_of_the_document(self) -> None:
        found = said(CONSUL)
        assert found.backend == "consul://?token_env=CONSUL_TOKEN"
        assert found.environ == {
            "CONSUL_HTTP_ADDR": "consul.company.com:8500", "CONSUL_DATACENTER": "dc1", "CONSUL_HTTP_SSL": "true",
            "CONSUL_CACERT": "/etc/consul/ca.pem", "CONSUL_CLIENT_CERT": "/etc/consul/client.pem",
            "CONSUL_CLIENT_KEY": "/etc/consul/client-key.pem", "CONSUL_HTTP_SSL_VERIFY": "true",
        }  # fmt: skip
        assert found.policy == RegistrationPolicy(
            tags=("system-control", "v2.1.0"),
            meta={"version": "2.1.0", "environment": "production", "team": "platform"},
            checks=CheckDefaults(interval=10.0, timeout=5.0, deregister_after=30.0),
        )
        cache = found.client.cache
        assert (cache.refresh_interval, cache.ttl, cache.watch) == (30.0, 60.0, True)

    def test_a_service_mesh_is_refused_by_name(self) -> None:
        assert error_of(CONSUL + CONNECT) == (
            "homeport.yaml: consul.connect.sidecar_proxy asks for Consul's service mesh, which this version does not "
            "set up; take consul.connect out, or switch it off there"
        )
        assert "consul.connect.enabled asks" in error_of("consul: {connect: {enabled: true}}")
        assert "consul.connect.intentions asks" in error_of("consul: {connect: {intentions: [a]}}")
        assert said("consul: {connect: {enabled: false, sidecar_proxy: false, intentions: []}}").backend is None

    @pytest.mark.parametrize(
        ("keys", "environ", "variable", "expected"),
        [
            ("server: {address: f:1}", {}, "CONSUL_HTTP_ADDR", "f:1"),
            ("server: {address: f:1}", {"CONSUL_HTTP_ADDR": "e:2"}, "CONSUL_HTTP_ADDR", "e:2"),
            ("server: {address: f:1}", {"CONSUL_HTTP_ADDR": ""}, "CONSUL_HTTP_ADDR", "f:1"),
            ("server: {datacenter: f}", {}, "CONSUL_DATACENTER", "f"),
            ("server: {datacenter: f}", {"CONSUL_DATACENTER": "e"}, "CONSUL_DATACENTER", "e"),
            ("authentication: {token: t}", {}, "CONSUL_HTTP_TOKEN", "t"),
            ("authentication: {token_file: /t}", {}, "CONSUL_HTTP_TOKEN_FILE", "/t"),
            ("authentication: {token_file: /t}", {"CONSUL_HTTP_TOKEN": "e"}, "CONSUL_HTTP_TOKEN_FILE", None),
            ("tls: {enabled: false, ca_file: /c}", {}, "CONSUL_HTTP_SSL", "false"),
            ("tls: {enabled: false, ca_file: /c}", {}, "CONSUL_CACERT", None),
            ("tls: {ca_file: /c}", {}, "CONSUL_HTTP_SSL", "true"),
            ("tls: {verify_ssl: false}", {}, "CONSUL_HTTP_SSL_VERIFY", "false"),
            ("tls: {verify_ssl: false}", {"CONSUL_HTTP_SSL_VERIFY": "true"}, "CONSUL_HTTP_SSL_VERIFY", "true"),
        ],
    )
    def test_the_environment_comes_before_the_file(
        self, keys: str, environ: dict[str, str], variable: str, expected: str | None
    ) -> None:
        found = said(f"backend: consul\nconsul: {{{keys}}}", environ)
        assert found.environ.get(variable) == expected

    def test_a_token_of_the_environment_comes_before_the_name_of_a_variable(self) -> None:
        text = "backend: consul\nconsul: {authentication: {token_env: MINE}}"
        assert said(text).backend == "consul://?token_env=MINE"
        assert said(text, {"CONSUL_HTTP_TOKEN": "t"}).backend == "consul"

    def test_its_token_is_for_its_own_server_only(self) -> None:
        text = "consul: {server: {address: f:1}, authentication: {token: secret}}"
        assert "secret" in said(text).environ.values()
        for elsewhere in ("consul://other:1", "homeport://other:1"):
            found = said(text, backend=elsewhere)
            assert found.backend == elsewhere
            assert "secret" not in found.environ.values()
        assert "secret" not in repr(said(text))

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ("server: {adress: x}", "consul.server.adress is not a setting; did you mean consul.server.address?"),
            ("sever: {}", "consul.sever is not a setting; did you mean consul.server?"),
            (
                "server: {address: 'tcp://x'}",
                "consul.server.address begins with tcp://; give host:port, http://host:port or https://host:port",
            ),
            (
                "server: {address: 'h:x'}",
                'consul.server.address: the address names the port "x"; it must lie between 1 and 65535',
            ),
            (
                "authentication: {token: a, token_env: b}",
                "consul.authentication gives token and token_env; one of them is enough",
            ),
            ("health_checks: {interval: 0}", "consul.health_checks.interval is 0.0; it must be above 0"),
            (
                "service_registration: {meta: {a: []}}",
                'consul.service_registration.meta: metadata "a" is a list; give text, a number or a boolean',
            ),
            ("discovery: {cache_ttl: 0s}", "client.cache.ttl is 0.0; it must be above 0"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_right_is_told_with_its_key(self, keys: str, message: str) -> None:
        assert error_of(f"consul: {{{keys}}}") == f"homeport.yaml: {message}"


class TestHighAvailability:
    def test_the_sample_of_the_document(self) -> None:
        found = said(HIGH_AVAILABILITY)
        assert found.policy == RegistrationPolicy(
            retry_attempts=3,
            retry_delay=5.0,
            checks=CheckDefaults(
                critical_interval=10.0, standard_interval=30.0, timeouts={"http": 5.0, "tcp": 3.0, "script": 10.0}
            ),
        )
        client = found.client
        assert client.balancer == "weighted_round_robin"
        assert (client.cache.enabled, client.circuit.enabled, client.ejection.enabled) == (True, True, True)
        assert client.retry == ClientSettings().retry

    def test_each_key_can_be_said_otherwise(self) -> None:
        found = said("""
            high_availability:
              service_registration:
                {retry_attempts: 0, retry_delay: 1s, register_on_startup: false, deregister_on_shutdown: false}
              health_checks: {multiple_checks: false}
              discovery: {cache_configuration: false, failover_mechanisms: false, circuit_breakers: false}
        """)
        assert found.policy == RegistrationPolicy(
            on_startup=False, deregister_on_exit=False, retry_attempts=0, retry_delay=1.0,
            checks=CheckDefaults(several=False),
        )  # fmt: skip
        client = found.client
        assert (client.cache.enabled, client.circuit.enabled, client.ejection.enabled) == (False, False, False)
        assert client.retry.attempts == 1

    def test_the_section_client_comes_first(self) -> None:
        found = said(HIGH_AVAILABILITY + "client: {balancer: random, circuit: {enabled: false}}\n")
        assert (found.client.balancer, found.client.circuit.enabled, found.client.ejection.enabled) == (
            "random", False, True,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                (
                    "consul: {service_registration: {auto_register: true}}\n"
                    "high_availability: {service_registration: {register_on_startup: false}}"
                ),
                (
                    "consul.service_registration.auto_register and "
                    "high_availability.service_registration.register_on_startup contradict each other; keep one of them"
                ),
            ),
            (
                (
                    "consul: {service_registration: {deregister_on_exit: true}}\n"
                    "high_availability: {service_registration: {deregister_on_shutdown: false}}"
                ),
                (
                    "consul.service_registration.deregister_on_exit and "
                    "high_availability.service_registration.deregister_on_shutdown contradict each other; "
                    "keep one of them"
                ),
            ),
            (
                "backend: [consul, homeport]\nhigh_availability: {discovery: {failover_mechanisms: false}}",
                (
                    "high_availability.discovery.failover_mechanisms is false, but there are several backends, each "
                    "the fallback of those before it; name one, or set it to true"
                ),
            ),
            (
                "high_availability: {service_registration: {retry_attempts: -1}}",
                "high_availability.service_registration.retry_attempts is -1; it must not be below 0",
            ),
            (
                "high_availability: {health_checks: {check_intervals: {critical_services: 0}}}",
                "high_availability.health_checks.check_intervals.critical_services is 0.0; it must be above 0",
            ),
            (
                "high_availability: {discovery: {load_balancing: best}}",
                'client.balancer: "best" is not a balancer',
            ),
        ],
    )
    def test_contradictions_are_told(self, text: str, message: str) -> None:
        assert error_of(text).startswith(f"homeport.yaml: {message}")


class TestEnvironment:
    """The variables of document 001, each in its rank: argument, HOMEPORT_*, DISCOVERY_*, file, default."""

    @pytest.mark.parametrize(
        ("text", "environ", "settings", "expected"),
        [
            ("", {}, {}, "round_robin"),
            ("client: {balancer: random}", {}, {}, "random"),
            ("client: {balancer: random}", {"DISCOVERY_BALANCER": "least_connections"}, {}, "least_connections"),
            (
                "", {"DISCOVERY_BALANCER": "random", "HOMEPORT_CLIENT_BALANCER": "weighted_random"}, {},
                "weighted_random",
            ),
            ("", {"HOMEPORT_CLIENT_BALANCER": "random"}, {"balancer": "round_robin"}, "round_robin"),
        ],
    )  # fmt: skip
    def test_balancer(self, text: str, environ: dict[str, str], settings: dict[str, object], expected: str) -> None:
        assert said(text, environ=environ, settings=settings).client.balancer == expected

    @pytest.mark.parametrize(
        ("text", "environ", "settings", "expected"),
        [
            ("", {}, {}, 10.0),
            ("consul: {discovery: {cache_ttl: 50s}}", {}, {}, 50.0),
            ("client: {cache: {ttl: 40}}\nconsul: {discovery: {cache_ttl: 50s}}", {}, {}, 40.0),
            ("client: {cache: {ttl: 40}}", {"DISCOVERY_CACHE_TTL": "30s"}, {}, 30.0),
            ("", {"DISCOVERY_CACHE_TTL": "30s", "HOMEPORT_CLIENT_CACHE_TTL": "20s"}, {}, 20.0),
            ("", {"HOMEPORT_CLIENT_CACHE_TTL": "20s"}, {"cache.ttl": 15}, 15.0),
        ],
    )
    def test_cache_ttl(self, text: str, environ: dict[str, str], settings: dict[str, object], expected: float) -> None:
        assert said(text, environ=environ, settings=settings).client.cache.ttl == expected

    @pytest.mark.parametrize(
        ("text", "value", "expected"),
        [
            ("", "", True),
            ("", "false", False),
            ("consul: {health_checks: {enabled: false}}", "", False),
            ("consul: {health_checks: {enabled: false}}", "true", True),
        ],
    )
    def test_health_check(self, text: str, value: str, expected: bool) -> None:
        assert said(text, {"DISCOVERY_HEALTH_CHECK": value}).policy.checks.enabled is expected

    def test_service_name(self) -> None:
        assert said(environ={"DISCOVERY_SERVICE_NAME": "api"}).service_name == "api"
        assert said(environ={"DISCOVERY_SERVICE_NAME": "api"}).definitions == ()
        asked = "consul: {service_registration: {auto_register: true}}"
        (definition,) = said(asked, {"DISCOVERY_SERVICE_NAME": "api"}).definitions
        assert definition.content == {"name": "api", "port": "{{ .port }}"}
        assert said(asked).definitions == ()

    @pytest.mark.parametrize(
        ("variable", "message"),
        [
            ("DISCOVERY_BALANCER", 'client.balancer: "x" is not a balancer'),
            ("DISCOVERY_CACHE_TTL", 'DISCOVERY_CACHE_TTL is "x"; give a duration such as "10s", or seconds'),
            ("DISCOVERY_HEALTH_CHECK", 'DISCOVERY_HEALTH_CHECK is "x"; give true or false'),
        ],
    )
    def test_what_cannot_be_right_is_told(self, variable: str, message: str) -> None:
        assert message in error_of("", {variable: "x"})


class TestBackend:
    @pytest.mark.parametrize(
        ("text", "environ", "argument", "expected"),
        [
            ("", {}, None, None),
            ("consul: {server: {address: f:1}}", {}, None, "consul"),
            ("backend: homeport://f:1\nconsul: {server: {address: f:1}}", {}, None, "homeport://f:1"),
            ("backend: {url: consul://f:1, dc: east}", {}, None, "consul://f:1?dc=east"),
            ("backend: [consul://a, {url: homeport, timeout: 3}]", {}, None, ["consul://a", "homeport://?timeout=3"]),
            ("backend: [consul://a]", {}, None, "consul://a"),
            ("backend: homeport://f:1", {"CONSUL_HTTP_ADDR": "e:1"}, None, "consul"),
            ("backend: homeport://f:1", {"DISCOVERY_PROVIDER": "consul", "CONSUL_HTTP_ADDR": "e:1"}, None, "consul"),
            ("backend: f", {"DISCOVERY_PROVIDER": "d", "HOMEPORT_BACKEND": "homeport://e:1"}, None, "homeport://e:1"),
            (
                "backend: f",
                {"HOMEPORT_BACKEND": "homeport://e:1 consul://e:2"},
                None,
                ["homeport://e:1", "consul://e:2"],
            ),
            ("backend: f", {"HOMEPORT_BACKEND": "homeport://e:1"}, "homeport://a:1", "homeport://a:1"),
        ],
    )
    def test_argument_then_environment_then_file(
        self, text: str, environ: dict[str, str], argument: str | None, expected: object
    ) -> None:
        assert said(text, environ=environ, backend=argument).backend == expected

    def test_a_bare_name_takes_its_server_from_the_section(self) -> None:
        found = said("consul: {server: {address: f:1}}", {"DISCOVERY_PROVIDER": "consul"})
        assert (found.backend, found.environ["CONSUL_HTTP_ADDR"]) == ("consul", "f:1")

    def test_an_empty_list_is_refused(self) -> None:
        assert error_of("backend: []") == "homeport.yaml: backend is an empty list; name a backend, or take it out"
        assert error_of("backend: [5]") == (
            "homeport.yaml: backend[0] must be a URL such as homeport://127.0.0.1:8500, or url: with its parameters"
        )


def test_the_file_is_found_as_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "h.yaml"
    file.write_text("client: {idle_timeout: 7}\nservices:\n  - {name: a, port: 1}\n", encoding="utf-8")
    for found in (
        read_configuration(str(file), environ={}),
        read_configuration(environ={"HOMEPORT_CONFIG": str(file)}),
    ):
        assert (found.source, found.client.idle_timeout, len(found.definitions)) == (str(file), 7.0, 1)
    assert read_configuration(environ={}) == Configuration()
