"""The sections etcd, kubernetes_discovery and dns_discovery of document 004: each key changes what is opened."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from homeport.backends.consul import ConsulSettings
from homeport.backends.dns import DNSSettings
from homeport.backends.etcd import EtcdSettings
from homeport.backends.kubernetes.settings import KubernetesSettings
from homeport.backends.opening import open_backends
from homeport.client.configuration.backend_sections import described_section
from homeport.client.configuration.configuration import Configuration, configuration_of
from homeport.connections.tls import TLS
from homeport.errors import SettingsError
from homeport.settings import SettingsFile

# As document 004 has them.
ETCD = """
etcd:
  endpoints:
    - "etcd-1.company.com:2379"
    - "etcd-2.company.com:2379"
    - "etcd-3.company.com:2379"

  authentication:
    username_env: "ETCD_USERNAME"
    password_env: "ETCD_PASSWORD"

  tls:
    enabled: true
    ca_file: "/etc/etcd/ca.pem"
    cert_file: "/etc/etcd/client.pem"
    key_file: "/etc/etcd/client-key.pem"

  service_registration:
    key_prefix: "/services/"
    ttl: 30
    refresh_interval: 10

  discovery:
    watch_prefix: "/services/"
    recursive: true
"""
KUBERNETES = """
kubernetes_discovery:
  cluster_config:
    kubeconfig: "~/.kube/config"
    context: "production"

  service_discovery:
    namespaces: ["production", "staging"]
    selectors:
      app.kubernetes.io/part-of: "system-control"

  endpoints:
    enabled: true
    ready_only: true
    include_not_ready: false

  annotations:
    service_port: "service.system-control.io/port"
    health_path: "service.system-control.io/health-path"
    metrics_path: "service.system-control.io/metrics-path"

  labels:
    service_name: "app.kubernetes.io/name"
    service_version: "app.kubernetes.io/version"
    environment: "app.kubernetes.io/environment"
"""
ZONES = """
  zones:
    - name: "company.local"
      type: "consul"
"""
DNS = """
dns_discovery:
  resolution:
    - pattern: "*.service.consul"
      resolver: "consul"

    - pattern: "*.default.svc.cluster.local"
      resolver: "kubernetes"

  caching:
    enabled: true
    ttl: "30s"
    negative_ttl: "10s"

  health_awareness:
    enabled: true
    unhealthy_weight: 0
"""
USER = {"ETCD_USERNAME": "app", "ETCD_PASSWORD": "s3cret"}


def said(text: str, environ: Mapping[str, str] | None = None, *, backend: Any = None) -> Configuration:
    return configuration_of(SettingsFile(content=yaml.safe_load(text) or {}), backend=backend, environ=environ or {})


def error_of(text: str, environ: Mapping[str, str] | None = None, *, backend: Any = None) -> str:
    with pytest.raises(SettingsError) as caught:
        said(text, environ, backend=backend)
    return str(caught.value)


def etcd_of(text: str, environ: Mapping[str, str] | None = None) -> EtcdSettings:
    found = said(text, environ, backend="etcd")
    assert isinstance(found.backend, str)
    return EtcdSettings.from_url(found.backend if "://" in found.backend else "etcd://", found.environ)


def kubernetes_of(text: str, environ: Mapping[str, str] | None = None) -> KubernetesSettings:
    found = said(text, environ, backend="kubernetes")
    assert isinstance(found.backend, str)
    return KubernetesSettings.from_url(found.backend if "://" in found.backend else "kubernetes://", found.environ)


def dns_of(text: str, environ: Mapping[str, str] | None = None) -> DNSSettings:
    found = said(text, environ, backend="dns")
    assert isinstance(found.backend, str)
    return DNSSettings.from_url(found.backend if "://" in found.backend else "dns://", found.environ)


class TestEtcd:
    async def test_the_sample_of_the_document(self) -> None:
        found = said(ETCD, USER)
        assert found.backend == (
            "etcd://?scheme=https&ca_file=%2Fetc%2Fetcd%2Fca.pem&cert_file=%2Fetc%2Fetcd%2Fclient.pem"
            "&key_file=%2Fetc%2Fetcd%2Fclient-key.pem"
        )
        opened = EtcdSettings.from_url(str(found.backend), found.environ)
        assert opened.url == (
            "etcd://etcd-1.company.com:2379,etcd-2.company.com:2379,etcd-3.company.com:2379/services/"
        )
        assert opened.tls == TLS(
            ca_file="/etc/etcd/ca.pem", cert_file="/etc/etcd/client.pem", key_file="/etc/etcd/client-key.pem"
        )
        assert (opened.user, await opened.password.current()) == ("app", "s3cret")
        assert (found.policy.ttl, found.client.renew_interval) == (30.0, 10.0)
        assert "s3cret" not in f"{found!r} {found.backend}"

    @pytest.mark.parametrize(
        ("keys", "environ", "url"),
        [
            ("{}", {}, "etcd://127.0.0.1:2379/services/"),
            ("{endpoints: ['a:1', 'b:2']}", {}, "etcd://a:1,b:2/services/"),
            ("{endpoints: ['a:1']}", {"ETCD_ENDPOINTS": "e:3"}, "etcd://e:3/services/"),
            ("{service_registration: {key_prefix: /a}}", {}, "etcd://127.0.0.1:2379/a/"),
            ("{discovery: {watch_prefix: /b/}}", {}, "etcd://127.0.0.1:2379/b/"),
            ("{discovery: {watch_prefix: /b/}}", {"ETCD_DISCOVERY_PREFIX": "/e/"}, "etcd://127.0.0.1:2379/e/"),
            (
                "{service_registration: {key_prefix: /a}, discovery: {watch_prefix: /a/}}", {},
                "etcd://127.0.0.1:2379/a/",
            ),
        ],
    )  # fmt: skip
    def test_where(self, keys: str, environ: dict[str, str], url: str) -> None:
        assert etcd_of(f"etcd: {keys}", environ).url == url

    @pytest.mark.parametrize(
        ("keys", "environ", "user", "password"),
        [
            ("{}", {}, "", ""),
            ("{username: u, password: p}", {}, "u", "p"),
            ("{username_env: U, password_env: P}", {"U": "u", "P": "p"}, "u", "p"),
            ("{username: u, password_file: FILE}", {}, "u", "f"),
            ("{username: u, password: p}", USER, "app", "s3cret"),
            ("{username_env: U, password_env: P}", {**USER, "U": "u", "P": "p"}, "app", "s3cret"),
        ],
    )
    async def test_who(self, keys: str, environ: dict[str, str], user: str, password: str, tmp_path: Any) -> None:
        (tmp_path / "password").write_text("f\n")
        text = f"etcd: {{authentication: {keys}}}".replace("FILE", str(tmp_path / "password"))
        found = etcd_of(text, environ)
        assert (found.user, await found.password.current()) == (user, password)

    @pytest.mark.parametrize(
        ("keys", "tls"),
        [
            ("endpoints: ['a:1']", None),
            ("endpoints: ['https://a:1']", TLS()),
            ("tls: {}", TLS()),
            ("tls: {enabled: false, ca_file: /c}", None),
            ("tls: {enabled: false}, endpoints: ['https://a:1']", None),
            ("tls: {ca_file: /c}", TLS(ca_file="/c")),
            ("tls: {verify_ssl: false}", TLS(verify=False)),
            ("tls: {cert_file: /c, key_file: /k}", TLS(cert_file="/c", key_file="/k")),
        ],
    )
    def test_tls(self, keys: str, tls: TLS | None) -> None:
        assert etcd_of(f"etcd: {{{keys}}}").tls == tls

    def test_its_lease_is_for_etcd_only(self) -> None:
        text = "etcd: {service_registration: {ttl: 20s, refresh_interval: 4s}}"
        for backend, expected in (
            ("etcd", (20.0, 4.0)), ("etcd://h:1", (20.0, 4.0)), (["etcd", "consul"], (20.0, 4.0)),
            ("consul", (15.0, None)), (["consul", "etcd"], (15.0, None)),
        ):  # fmt: skip
            found = said(text, backend=backend)
            assert (found.policy.ttl, found.client.renew_interval) == expected
        assert said(f"{text}\nclient: {{renew_interval: 6}}", backend="etcd").client.renew_interval == 6.0

    def test_its_user_is_for_its_own_server_only(self) -> None:
        text = "etcd: {endpoints: ['a:1'], authentication: {username: u, password: hidden}}"
        assert said(text, backend="etcd://other:1").environ == {}
        assert said(text, backend="homeport").environ == {}
        assert "hidden" not in repr(said(text))

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ("endpoint: []", "etcd.endpoint is not a setting; did you mean etcd.endpoints?"),
            (
                "endpoints: ['tcp://a']",
                "etcd.endpoints[0] begins with tcp://; give host:port, http://host:port or https://host:port",
            ),
            (
                "endpoints: ['a', 'b:x']",
                'etcd.endpoints[1]: the address names the port "x"; it must lie between 1 and 65535',
            ),
            (
                "authentication: {username: u, username_env: U}",
                "etcd.authentication gives username and username_env; one of them is enough",
            ),
            (
                "authentication: {username: u}",
                "etcd.authentication gives a user without a password; give both, or none",
            ),
            (
                "authentication: {password_env: P}",
                "etcd.authentication gives a password without a user; give both, or none",
            ),
            (
                "authentication: {username_env: U, password_env: P}",
                "etcd.authentication.username_env names the variable U, which is not set; set it",
            ),
            ("service_registration: {ttl: 0.5}", "etcd.service_registration.ttl is 0.5; it must be 1 s or more"),
            (
                "service_registration: {refresh_interval: 15}",
                ("etcd.service_registration.refresh_interval is 15.0; it must be above 0 and below the ttl, which is "
                "15 s"),
            ),
            (
                "service_registration: {key_prefix: /a/}, discovery: {watch_prefix: /b/}",
                ("etcd.service_registration.key_prefix and etcd.discovery.watch_prefix differ, but a program finds "
                "services where it registers them; give one prefix to both"),
            ),
            (
                "discovery: {recursive: false}",
                ("etcd.discovery.recursive is false, but instances are kept below the name of their service, as "
                "PREFIX/SERVICE/ID; set it to true, or take it out"),
            ),
        ],
    )  # fmt: skip
    def test_what_cannot_be_right_is_told_with_its_key(self, keys: str, message: str) -> None:
        assert error_of(f"etcd: {{{keys}}}", backend="etcd") == f"homeport.yaml: {message}"


class TestKubernetes:
    def test_the_sample_of_the_document(self) -> None:
        found = said(KUBERNETES)
        assert isinstance(found.backend, str)
        opened = KubernetesSettings.from_url(found.backend, found.environ)
        assert (opened.access.context, opened.access.kubeconfig) == ("production", ("~/.kube/config",))
        assert opened.namespaces == ("production", "staging")
        assert opened.label_selector == "app.kubernetes.io/part-of=system-control"
        assert (opened.endpoints.enabled, opened.endpoints.passing_only) == (True, True)
        assert opened.annotations.service_port == "service.system-control.io/port"
        assert opened.annotations.health_path == "service.system-control.io/health-path"
        assert opened.annotations.metrics_path == "service.system-control.io/metrics-path"
        assert opened.labels.service_name == "app.kubernetes.io/name"

    @pytest.mark.parametrize(
        ("keys", "environ", "read", "expected"),
        [
            ("cluster_config: {kubeconfig: /f}", {}, lambda s: s.access.kubeconfig, ("/f",)),
            ("cluster_config: {kubeconfig: /f}", {"KUBECONFIG": "/e"}, lambda s: s.access.kubeconfig, ("/e",)),
            ("cluster_config: {context: f}", {}, lambda s: s.access.context, "f"),
            ("service_discovery: {namespaces: [a, b]}", {}, lambda s: s.namespaces, ("a", "b")),
            ("service_discovery: {namespaces: [a]}", {"K8S_NAMESPACE": "e"}, lambda s: s.namespaces, ("e",)),
            ("service_discovery: {selectors: {a: b, c: d}}", {}, lambda s: s.label_selector, "a=b,c=d"),
            (
                "service_discovery: {selectors: {a: b}}", {"K8S_LABEL_SELECTOR": "e"}, lambda s: s.label_selector,
                "e",
            ),
            ("endpoints: {enabled: false}", {}, lambda s: s.endpoints.enabled, False),
            ("endpoints: {ready_only: true}", {}, lambda s: s.endpoints.passing_only, True),
            ("endpoints: {include_not_ready: false}", {}, lambda s: s.endpoints.passing_only, True),
            ("endpoints: {include_not_ready: true}", {}, lambda s: s.endpoints.include_not_ready, True),
            *(
                (f"annotations: {{{key}: x.y/z}}", {}, lambda s, key=key: getattr(s.annotations, key), "x.y/z")
                for key in ("service_port", "health_path", "metrics_path", "tags", "weight", "meta")
            ),
            *(
                (f"labels: {{{key}: x.y/z}}", {}, lambda s, key=key: getattr(s.labels, key), "x.y/z")
                for key in ("service_name", "service_version", "environment")
            ),
        ],
    )  # fmt: skip
    def test_each_key(self, keys: str, environ: dict[str, str], read: Any, expected: object) -> None:
        assert read(kubernetes_of(f"kubernetes_discovery: {{{keys}}}", environ)) == expected
        assert read(kubernetes_of("", {})) != expected

    def test_the_pod_s_own_cluster_comes_before_the_file(self) -> None:
        pod = {"K8S_IN_CLUSTER": "true", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
        assert kubernetes_of(KUBERNETES, pod).access.in_cluster
        assert not kubernetes_of(KUBERNETES, {**pod, "K8S_IN_CLUSTER": "false"}).access.in_cluster

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ("label: {}", "kubernetes_discovery.label is not a setting; did you mean kubernetes_discovery.labels?"),
            (
                "endpoints: {ready_only: true, include_not_ready: true}",
                (
                    "kubernetes_discovery.endpoints.ready_only and .include_not_ready are both true, which contradict "
                    "each other; keep one of them"
                ),
            ),
            (
                "service_discovery: {selectors: {a: 'b,c'}}",
                (
                    'kubernetes_discovery.service_discovery.selectors has "a: b,c", which no label can be; give KEY: '
                    "VALUE as Kubernetes has them"
                ),
            ),
        ],
    )
    def test_what_cannot_be_right_is_told_with_its_key(self, keys: str, message: str) -> None:
        assert error_of(f"kubernetes_discovery: {{{keys}}}") == f"homeport.yaml: {message}"


class TestDNS:
    @pytest.mark.parametrize("zones", ["", ZONES])  # which are for the server
    def test_the_sample_of_the_document(self, zones: str) -> None:
        found = said(DNS + zones)
        assert isinstance(found.backend, str)
        opened = DNSSettings.from_url(found.backend, found.environ)
        assert (opened.servers, opened.domains) == ((), ("service.consul", "default.svc.cluster.local"))
        assert [(one.pattern, str(one.server)) for one in opened.resolvers] == [("*.service.consul", "127.0.0.1:8600")]
        assert (opened.refresh, opened.negative_floor, found.client.cache.enabled) == (30.0, 10.0, True)

    def test_zones_describe_no_backend_of_a_client(self) -> None:
        assert said(f"dns_discovery: {ZONES}").backend is None
        assert said("dns_discovery: {zones: []}").backend is None

    @pytest.mark.parametrize(
        ("zones", "message"),
        [
            ("{name: company.local}", "dns_discovery.zones[0].type is missing"),
            ("{name: '.', type: consul}", 'dns_discovery.zones[0].name is ".", no name in DNS; write for example '),
            ("{name: a..b, type: consul}", 'dns_discovery.zones[0].name is "a..b", no name in DNS'),
            ("{name: 'a b', type: consul}", 'dns_discovery.zones[0].name is "a b", no name in DNS'),
            (f"{{name: {'a' * 64}.b, type: consul}}", "no name in DNS"),
            (f"{{name: {'a.' * 127}b, type: consul}}", "no name in DNS"),
            ("{name: a.b, type: ' '}", "dns_discovery.zones[0].type is empty; name the backend that has its services"),
            (
                "{name: a.b, type: consul}, {name: A.B., type: etcd}",
                'dns_discovery.zones[1].name is "A.B.", which stands there before; give each zone once',
            ),
        ],
    )
    def test_a_zone_that_cannot_be(self, zones: str, message: str) -> None:
        assert message in error_of(f"dns_discovery: {{zones: [{zones}]}}")

    @pytest.mark.parametrize(
        ("before", "environ", "server"),
        [
            ("", {}, "127.0.0.1:8600"),
            ("", {"CONSUL_HTTP_ADDR": "https://e.test:8501"}, "e.test:8600"),
            ("consul: {server: {address: 'c.test:8500'}}", {}, "c.test:8600"),
            ("consul: {server: {address: 'c.test:8500'}}", {"CONSUL_HTTP_ADDR": "e.test:1"}, "e.test:8600"),
        ],
    )
    def test_consul_s_dns_is_where_consul_is(self, before: str, environ: dict[str, str], server: str) -> None:
        (resolver,) = dns_of(f"{before}\n{DNS}", environ).resolvers
        assert str(resolver.server) == server

    @pytest.mark.parametrize(
        ("keys", "environ", "read", "expected"),
        [
            (
                "resolution: [{pattern: '*.a.b', resolver: '10.0.0.1'}]", {},
                lambda s: [(one.domain, str(one.server)) for one in s.resolvers], [("a.b", "10.0.0.1:53")],
            ),
            (
                "resolution: [{pattern: '*.a.b', resolver: 'h.test:5353'}]", {},
                lambda s: [(one.domain, str(one.server)) for one in s.resolvers], [("a.b", "h.test:5353")],
            ),
            ("resolution: [{pattern: '*.a.b', resolver: consul}]", {}, lambda s: s.domains, ("a.b",)),
            (
                "resolution: [{pattern: '*.a.b', resolver: consul}]", {"DNS_DOMAIN": "e.f"}, lambda s: s.domains,
                ("e.f",),
            ),
            ("caching: {ttl: 20s}", {}, lambda s: s.refresh, 20.0),
            ("caching: {ttl: 20s}", {"DNS_REFRESH_TTL": "25s"}, lambda s: s.refresh, 25.0),
            ("caching: {negative_ttl: 7}", {}, lambda s: s.negative_floor, 7.0),
        ],
    )  # fmt: skip
    def test_each_key(self, keys: str, environ: dict[str, str], read: Any, expected: object) -> None:
        assert read(dns_of(f"dns_discovery: {{{keys}}}", environ)) == expected
        assert read(dns_of("", {})) != expected

    def test_caching_can_be_switched_off(self) -> None:
        text = "dns_discovery: {caching: {enabled: false}}"
        assert said(text, backend="dns").client.cache.enabled is False
        assert said(text, backend="consul").client.cache.enabled is True

    @pytest.mark.parametrize(
        ("keys", "environ", "message"),
        [
            ("zone: []", {}, "dns_discovery.zone is not a setting; did you mean dns_discovery.zones?"),
            (
                "resolution: [{pattern: 'a.*', resolver: consul}]", {},
                'dns_discovery.resolution[0].pattern is "a.*"; write for example *.service.consul',
            ),
            (
                "resolution: [{pattern: '*.a', resolver: 'h:x'}]", {},
                'dns_discovery.resolution[0].resolver: the address names the port "x"; it must lie between 1 and 65535',
            ),
            (
                "resolution: [{pattern: '*.a', resolver: kubernetes}]", {"DNS_SERVER": "10.0.0.1"},
                ("dns_discovery.resolution[0].resolver is kubernetes, the servers of this system, but DNS_SERVER names "
                "others; give the address of the server instead"),
            ),
            (
                "resolution: [{pattern: '*.b', resolver: consul}, {pattern: '*.a.b', resolver: kubernetes}]", {},
                "dns_discovery.resolution has *.a.b below *.b; give the address of its server instead of kubernetes",
            ),
            ("caching: {ttl: 0}", {}, "dns_discovery.caching.ttl is 0.0; it must be above 0"),
            (
                "health_awareness: {enabled: false}", {},
                ("dns_discovery.health_awareness.enabled is false, but a DNS server leaves out what is unhealthy; set "
                "it to true, or ask a registry: backend: consul"),
            ),
            (
                "health_awareness: {unhealthy_weight: 1}", {},
                ("dns_discovery.health_awareness.unhealthy_weight is 1, but a DNS server leaves out what is unhealthy; "
                "set it to 0, or ask a registry: backend: consul"),
            ),
        ],
    )  # fmt: skip
    def test_what_cannot_be_right_is_told_with_its_key(self, keys: str, environ: dict[str, str], message: str) -> None:
        assert error_of(f"dns_discovery: {{{keys}}}", environ, backend="dns") == f"homeport.yaml: {message}"


class TestWhichOneIsMeant:
    @pytest.mark.parametrize(
        ("text", "scheme"), [(ETCD, "etcd"), (KUBERNETES, "kubernetes"), (DNS, "dns"), ("etcd: {}", None)]
    )
    def test_the_one_that_is_described(self, text: str, scheme: str | None) -> None:
        found = said(text, USER).backend
        assert (None if found is None else str(found).partition("://")[0]) == scheme

    def test_the_section_can_be_named(self) -> None:
        for text, section in ((ETCD, "etcd"), (KUBERNETES, "kubernetes_discovery"), (DNS, "dns_discovery"), ("", "")):
            assert described_section(SettingsFile(content=yaml.safe_load(text) or {})) == section

    def test_several_are_not_guessed_among(self) -> None:
        everything = ETCD + KUBERNETES + DNS
        assert error_of(everything, USER) == (
            "homeport.yaml: etcd, kubernetes_discovery and dns_discovery each describe a backend, and nothing says "
            "which is meant; add backend: etcd, or backend: [etcd, kubernetes, dns], where each is the fallback of "
            "those before it"
        )
        assert said(f"{everything}\nbackend: dns", USER).backend == said(DNS).backend
        assert said(everything, {**USER, "DISCOVERY_PROVIDER": "kubernetes"}).backend == said(KUBERNETES).backend
        chain = said(f"{everything}\nbackend: [etcd, dns, 'homeport://h']", USER).backend
        assert chain == [said(ETCD, USER).backend, said(DNS).backend, "homeport://h"]


class TestDocument001:
    """`DISCOVERY_PROVIDER` with the variables of each provider; every one of them changes what is opened."""

    @pytest.mark.parametrize(
        ("provider", "environ", "url"),
        [
            ("consul", {}, "consul://127.0.0.1:8500"),
            ("consul", {"CONSUL_HTTP_ADDR": "h:1"}, "consul://h:1"),
            ("consul", {"CONSUL_DATACENTER": "dc2"}, "consul://127.0.0.1:8500?dc=dc2"),
            ("etcd", {}, "etcd://127.0.0.1:2379/services/"),
            ("etcd", {"ETCD_ENDPOINTS": "h:1,i:2"}, "etcd://h:1,i:2/services/"),
            ("etcd", {"ETCD_DISCOVERY_PREFIX": "/p/"}, "etcd://127.0.0.1:2379/p/"),
            ("kubernetes", {"K8S_IN_CLUSTER": "false", "K8S_NAMESPACE": "a,b"}, "kubernetes:///a,b"),
            ("dns", {}, "dns:///service.consul"),
            ("dns", {"DNS_SERVER": "10.0.0.1"}, "dns://10.0.0.1:53/service.consul"),
            ("dns", {"DNS_SERVER": "10.0.0.1", "DNS_PORT": "5353"}, "dns://10.0.0.1:5353/service.consul"),
            ("dns", {"DNS_DOMAIN": "a.b"}, "dns:///a.b"),
            ("static", {"HOMEPORT_STATIC_FILE": "/s.yaml"}, "static:///s.yaml"),
        ],
    )
    async def test_what_shows_in_the_url(self, provider: str, environ: dict[str, str], url: str) -> None:
        found = said("", {"DISCOVERY_PROVIDER": provider, **environ})
        ((backend, owned),) = open_backends(found.backend, found.environ)
        try:
            assert (backend.url, owned) == (url, True)
        finally:
            await backend.aclose()

    async def test_what_does_not(self) -> None:
        consul = ConsulSettings.from_url("consul://", {"CONSUL_HTTP_TOKEN": "t", "CONSUL_NAMESPACE": "n"})
        assert (await consul.token.current(), consul.namespace) == ("t", "n")
        etcd = EtcdSettings.from_url("etcd://", USER)
        assert (etcd.user, await etcd.password.current()) == ("app", "s3cret")
        outside = KubernetesSettings.from_url("kubernetes://", {"K8S_LABEL_SELECTOR": "a=b"})
        assert (outside.label_selector, outside.access.in_cluster) == ("a=b", False)
        pod = {"K8S_IN_CLUSTER": "true", "KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "1"}
        assert KubernetesSettings.from_url("kubernetes://", pod).access.in_cluster
        assert DNSSettings.from_url("dns://", {"DNS_REFRESH_TTL": "20s"}).refresh == 20.0
