"""`test-connection`: each step on real servers, and what it says when it fails."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
import yaml

from tests.e2e.cli.command_line import Outcome
from tests.e2e.cli.conftest import Registry
from tests.e2e.cli.in_process import InProcess
from tests.integration.client.certificates import Authority
from tests.servers.api import call
from tests.servers.bind import BindServer
from tests.servers.consul import ConsulServer
from tests.servers.etcd import Certificates, EtcdServer
from tests.servers.factory import ConsulFactory, EtcdFactory
from tests.servers.homeport import HomeportServer
from tests.servers.kubernetes import ApiServer

ROOT = "11111111-2222-3333-4444-555555555555"
ACL = {
    "primary_datacenter": "dc1",
    "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT, "agent": ROOT}},
}


def states(outcome: Outcome) -> dict[str, str]:
    """The mark of each step that is shown; of several of one name the last."""
    return {line[2:14].strip(): line[0] for line in outcome.out.splitlines() if not line.startswith("  ")}


def said(outcome: Outcome, step: str) -> str:
    """The text of a step."""
    return next(line[14:] for line in outcome.out.splitlines() if line[2:14].strip() == step)


class TestWhereAllIsWell:
    def test_each_step_says_what_was_found(self, here: InProcess, registry: Registry, name: str) -> None:
        call(registry.url, "PUT", "/v1/agent/service/register", {"Name": name, "ID": name, "Port": 1})
        outcome = here("test-connection", "--backend", registry.backend_url)
        assert (outcome.code, outcome.err) == (0, "")
        assert states(outcome) == {
            "backend": "✓", "resolve": "✓", "connect": "✓", "tls": "-", "protocol": "✓", "credentials": "-",
            "permission": "✓", "register": "-", "round trip": "✓",
        }  # fmt: skip
        assert said(outcome, "backend") == f"the backend is {registry.backend_url}: --backend names it"
        assert said(outcome, "protocol").startswith(registry.backend_url.partition(":")[0])
        assert "services may be listed (" in said(outcome, "permission")
        assert " ms, the median of 5 (" in said(outcome, "round trip")

    def test_programs_get_each_step(self, here: InProcess, registry: Registry) -> None:
        outcome = here("test-connection", "--backend", registry.backend_url, "--format", "json")
        steps = {step["step"]: step for step in outcome.json}
        assert all(step["ok"] and step["backend"] == registry.backend_url for step in outcome.json)
        assert steps["connect"]["details"] == {"address": registry.address, "result": "open"}
        assert steps["protocol"]["details"]["datacenter"] == "dc1"
        assert steps["round trip"]["details"]["least"] > 0
        lines = here("test-connection", "--backend", registry.backend_url, "--format", "ndjson").ndjson
        assert [step["step"] for step in lines] == list(steps)

    def test_verbose_shows_the_details(self, here: InProcess, homeport: HomeportServer) -> None:
        outcome = here("test-connection", "--backend", homeport.backend_url, "--verbose")
        assert "              product: homeport" in outcome.out.splitlines()
        assert " ms)" in said(outcome, "connect")

    def test_backends_without_a_network(self, here: InProcess, tmp_path: Path) -> None:
        file = tmp_path / "services.yaml"
        file.write_text("services: {web: ['127.0.0.1:80']}\n", encoding="utf-8")
        outcome = here("test-connection", "--backend", f"static://{file}")
        assert outcome.code == 0
        assert said(outcome, "connect") == "its URL names no host to connect to"
        assert said(outcome, "permission") == 'services may be listed (1) and read ("web" has 1 instance)'
        assert said(outcome, "register") == "static takes no registrations"
        embedded = here("test-connection", "--backend", "embedded://")
        assert (embedded.code, states(embedded)["protocol"]) == (0, "✓")

    def test_dns(self, here: InProcess, bind: BindServer) -> None:
        outcome = here("test-connection", "--backend", f"dns://{bind.address}/services.test")
        assert outcome.code == 0
        assert said(outcome, "connect") == "DNS is asked without connecting beforehand"
        assert said(outcome, "permission").startswith("DNS has no list of services")
        other = here("test-connection", "--backend", f"dns://{bind.address}/elsewhere.test")
        assert other.code == 1
        assert "REFUSED" in said(other, "protocol")

    def test_kubernetes(self, here: InProcess, kubernetes: ApiServer, tmp_path: Path) -> None:
        backend = f"kubernetes://test/default?kubeconfig={kubernetes.kubeconfig_for(kubernetes.address)}"
        outcome = here("test-connection", "--backend", backend)
        assert outcome.code == 0, outcome
        assert said(outcome, "connect").startswith(f"{kubernetes.address} takes connections")
        assert "speaks TLSv1.3; its certificate is for" in said(outcome, "tls")
        assert said(outcome, "protocol").startswith("kubernetes v1.")
        assert "of the kubeconfig" in said(outcome, "credentials")
        missing = here("test-connection", "--backend", f"kubernetes://test/default?kubeconfig={tmp_path}/none")
        assert (missing.code, states(missing)) == (1, {"backend": "✓", "settings": "✗"})


class TestWhoNamedIt:
    def test_a_variable_or_the_file(self, here: InProcess, consul: ConsulServer, tmp_path: Path) -> None:
        named = here("test-connection", CONSUL_HTTP_ADDR=consul.address, CONSUL_HTTP_SSL="false")
        assert said(named, "backend") == (
            f"the backend is {consul.backend_url}: CONSUL_HTTP_ADDR names it (set too: CONSUL_HTTP_SSL)"
        )
        file = tmp_path / "own.yaml"
        file.write_text(f"backend: {consul.backend_url}\n", encoding="utf-8")
        assert f"{file} names it" in said(here("test-connection", "--config", str(file)), "backend")

    def test_of_several_backends_each_is_tried(
        self, here: InProcess, homeport: HomeportServer, free_port: Callable[[], int]
    ) -> None:
        dead = f"consul://127.0.0.1:{free_port()}"
        outcome = here("test-connection", "--backend", dead, "--backend", homeport.backend_url, "--format", "json")
        assert outcome.code == 3
        ends = {step["backend"]: step["state"] for step in outcome.json}
        assert ends == {dead: "untried", homeport.backend_url: "ok"}


class TestTheNetwork:
    def test_nobody_listens(self, here: InProcess, free_port: Callable[[], int]) -> None:
        port = free_port()
        outcome = here("test-connection", "--backend", f"etcd://127.0.0.1:{port}")
        assert outcome.code == 3
        assert states(outcome) == {"backend": "✓", "resolve": "✓", "connect": "✗"}
        assert said(outcome, "connect") == (
            f"no connection to 127.0.0.1:{port} (connection refused): "
            "nothing listens there; is it running, and is that its port?"
        )

    def test_what_was_not_come_to_is_told_to_programs(self, here: InProcess, free_port: Callable[[], int]) -> None:
        backend = f"etcd://127.0.0.1:{free_port()}?scheme=https"
        steps = here("test-connection", "--backend", backend, "--format", "json").json
        assert [step["step"] for step in steps if step["state"] == "untried"] == [
            "tls", "protocol", "credentials", "permission", "register", "round trip",
        ]  # fmt: skip

    def test_a_name_that_is_not_there(self, here: InProcess) -> None:
        outcome = here("test-connection", "--backend", "consul://no-such-host.invalid:8500")
        assert outcome.code == 3
        assert states(outcome) == {"backend": "✓", "resolve": "✗"}
        assert 'the name "no-such-host.invalid" cannot be resolved' in said(outcome, "resolve")

    def test_one_of_several_addresses_is_enough(
        self, here: InProcess, etcd: EtcdServer, free_port: Callable[[], int]
    ) -> None:
        outcome = here("test-connection", "--backend", f"etcd://127.0.0.1:{free_port()},{etcd.address}")
        assert outcome.code == 0
        assert [line[0] for line in outcome.out.splitlines() if " connect " in line] == ["!", "✓"]


class Banner(BaseRequestHandler):
    """A server that greets whoever connects, as SSH does."""

    def handle(self) -> None:
        self.request.sendall(b"SSH-2.0-Example\r\n")
        self.request.recv(1000)


class Silent(BaseRequestHandler):
    """A server that listens, and answers nothing, until the other side goes."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            while self.request.recv(1000):
                pass


class Plain(BaseHTTPRequestHandler):
    """A web server that knows no path."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def serving() -> Iterator[Callable[[Any], str]]:
    """Starts a server of this process; its address."""
    started: list[ThreadingTCPServer] = []

    def start(server: ThreadingTCPServer) -> str:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        started.append(server)
        return f"127.0.0.1:{server.server_address[1]}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


class TestStrangers:
    def test_another_registry_than_the_url_says(
        self, here: InProcess, consul: ConsulServer, etcd: EtcdServer, homeport: HomeportServer
    ) -> None:
        for backend, use in (
            (f"etcd://{consul.address}", f"a Consul agent answers there: use consul://{consul.address}"),
            (f"etcd://{homeport.address}", f"a Homeport registry answers there: use homeport://{homeport.address}"),
            (f"consul://{etcd.address}", f"an etcd answers there: use etcd://{etcd.address}"),
        ):
            outcome = here("test-connection", "--backend", backend)
            assert outcome.code == 1
            assert said(outcome, "protocol").endswith(use)

    def test_the_one_that_is_meant_is_not_told_as_another(
        self, here: InProcess, kubernetes: ApiServer, tmp_path: Path
    ) -> None:
        config = yaml.safe_load(kubernetes.kubeconfig.read_text())
        config["users"][0]["user"] = {"tokenFile": str(tmp_path / "token")}
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        outcome = here("test-connection", "--backend", f"kubernetes://?kubeconfig={kubeconfig}")
        assert outcome.code == 1
        assert said(outcome, "protocol").endswith("/token cannot be read: No such file or directory")

    def test_a_web_server(self, here: InProcess, serving: Callable[[Any], str]) -> None:
        address = serving(ThreadingHTTPServer(("127.0.0.1", 0), Plain))
        outcome = here("test-connection", "--backend", f"consul://{address}")
        assert outcome.code == 1
        assert 'an HTTP server ("BaseHTTP/' in said(outcome, "protocol")
        assert said(outcome, "protocol").endswith("answers there that is no registry: is that its port?")

    def test_what_does_not_speak_http(self, here: InProcess, serving: Callable[[Any], str]) -> None:
        outcome = here(
            "test-connection", "--backend", f"consul://{serving(ThreadingTCPServer(('127.0.0.1', 0), Banner))}"
        )
        assert outcome.code in (1, 3)
        assert 'is no HTTP server (it says "SSH-2.0-Example")' in said(outcome, "protocol")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secured(etcd_factory: EtcdFactory, authority: Authority) -> EtcdServer:
    """An etcd with TLS that wants certificates of its clients."""
    certificate, key = authority.issue("server.test")
    return etcd_factory(certificates=Certificates(certificate=certificate, key=key, authority=authority.certificate))


URLS = ("homeport://HOST", "consul://HOST", "etcd://HOST/services/", "eureka://HOST/eureka")
"""A URL of each kind of backend that says by a parameter whether it speaks TLS."""


class TestTLS:
    def test_what_is_wrong_is_told_step_by_step(
        self, here: InProcess, secured: EtcdServer, authority: Authority, tmp_path: Path
    ) -> None:
        def tls(query: str) -> Outcome:
            return here("test-connection", "--backend", f"{secured.backend_url}?{query}")

        plain = tls("scheme=http")
        assert said(plain, "protocol").endswith(f"use {secured.backend_url}/services/?scheme=https")

        unknown = tls("scheme=https")
        assert unknown.code == 3
        assert "is issued by test authority, which is not among the authorities that are trusted" in said(
            unknown, "tls"
        )

        trusted = f"ca_file={authority.certificate}"
        no_client = tls(trusted)
        assert no_client.code == 3
        assert "wants a certificate from its clients; give cert_file= and key_file=" in said(no_client, "tls")

        certificate, key = authority.issue("client")
        client = f"{trusted}&cert_file={certificate}&key_file={key}"
        other_host = tls(f"{client}&server_name=other.test")
        assert 'certificate is for 127.0.0.1, server.test, not for "other.test"' in said(other_host, "tls")

        stranger, stranger_key = Authority(tmp_path / "other").issue("stranger")
        refused = tls(f"{trusted}&cert_file={stranger}&key_file={stranger_key}")
        assert refused.code == 3
        assert f"does not accept the certificate of this client that it shows ({stranger})" in said(refused, "tls")

        fine = tls(client)
        assert fine.code == 0
        assert "speaks TLSv1.3; its certificate is for 127.0.0.1, server.test, issued by test authority" in said(
            fine, "tls"
        )
        assert "which is soon: renew it" in said(fine, "tls")  # it holds for a day

        unverified = tls(f"{client}&verify=false")
        assert unverified.code == 0
        assert states(unverified)["tls"] == "!"

        missing = tls("ca_file=/nonexistent/ca.pem")
        assert missing.code == 1
        assert "/nonexistent/ca.pem cannot be used" in said(missing, "tls")

    @pytest.mark.parametrize("url", [f"{one}?" for one in URLS] + ["consul://HOST?dc=dc1&"])
    def test_a_plain_url_for_a_port_that_speaks_tls(self, here: InProcess, secured: EtcdServer, url: str) -> None:
        given = url.replace("HOST", secured.address)
        outcome = here("test-connection", "--backend", given.rstrip("?&"))
        assert outcome.code in (1, 3)  # a server may refuse the request, or hang up
        assert said(outcome, "protocol") == (
            f"{secured.address} speaks TLS, and is asked in plain text; use {given}scheme=https"
        )

    @pytest.mark.parametrize("url", URLS)
    def test_a_server_that_speaks_none(self, here: InProcess, consul: ConsulServer, url: str) -> None:
        given = url.replace("HOST", consul.address)
        outcome = here("test-connection", "--backend", f"{given}?scheme=https")
        assert outcome.code == 3
        assert said(outcome, "tls") == (
            f"{consul.address} does not speak TLS: something answers there in plain text; "
            f"use {given}?scheme=http, or name the port that speaks TLS"
        )

    def test_what_a_kubeconfig_says_of_it(
        self, here: InProcess, secured: EtcdServer, consul: ConsulServer, tmp_path: Path
    ) -> None:
        kubeconfig = tmp_path / "kubeconfig"
        for server, step, text in (
            (
                f"http://{secured.address}",
                "protocol",
                "is asked in plain text; write https:// before its server in the",
            ),
            (
                f"https://{consul.address}",
                "tls",
                "in plain text; write http:// before its server in the kubeconfig, or",
            ),
        ):
            config = {
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            }
            kubeconfig.write_text(yaml.safe_dump(config))
            outcome = here("test-connection", "--backend", f"kubernetes://x?kubeconfig={kubeconfig}")
            assert text in said(outcome, step)

    def test_a_server_that_says_nothing(
        self, here: InProcess, serving: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("homeport.cli.handshake._HANDSHAKE_TIMEOUT", 0.1)
        address = serving(ThreadingTCPServer(("127.0.0.1", 0), Silent))
        outcome = here("test-connection", "--backend", f"consul://{address}?scheme=https")
        assert outcome.code == 3
        assert said(outcome, "tls") == (
            f"{address} said nothing for 0.1 s in the TLS handshake; "
            f"does it speak TLS? If not, use consul://{address}?scheme=http"
        )

    def test_a_certificate_that_is_over(
        self, here: InProcess, authority: Authority, serving: Callable[[Any], str]
    ) -> None:
        certificate, key = authority.issue("old.test", days=-1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        backend = f"consul://{serving(server)}?ca_file={authority.certificate}"
        outcome = here("test-connection", "--backend", backend)
        assert outcome.code == 3
        assert "its certificate is over since " in said(outcome, "tls")
        anyone = here("test-connection", "--backend", f"{backend}&verify=false")
        assert states(anyone)["tls"] == "!"
        assert said(anyone, "tls").endswith("which is over: renew it")


class TestCredentials:
    def test_a_token(self, here: InProcess, consul_factory: ConsulFactory, tmp_path: Path) -> None:
        guarded = consul_factory(config=ACL, start=False)
        guarded.token = ROOT
        guarded.start()
        token = tmp_path / "token"
        token.write_text(ROOT, encoding="utf-8")

        none = here("test-connection", "--backend", guarded.backend_url)
        assert none.code == 4
        assert states(none)["permission"] == "✗"
        assert "Give a token that may" in said(none, "permission")

        wrong = here("test-connection", "--backend", guarded.backend_url, CONSUL_HTTP_TOKEN="no-such-secret")
        assert wrong.code == 4
        assert states(wrong)["credentials"] == "✗"
        assert "no-such-secret" not in wrong.out + wrong.err

        right = here("test-connection", "--backend", f"{guarded.backend_url}?token_file={token}")
        assert right.code == 0
        assert said(right, "credentials") == f"the token in the file {token} is not refused"

        variable = here("test-connection", "--backend", guarded.backend_url, CONSUL_HTTP_TOKEN=ROOT)
        assert said(variable, "credentials") == "the token in CONSUL_HTTP_TOKEN is not refused"
        assert ROOT not in right.out + variable.out

    def test_a_token_that_may_do_no_more_than_it_must(
        self, here: InProcess, consul_factory: ConsulFactory, tmp_path: Path
    ) -> None:
        guarded = consul_factory(config=ACL, start=False)
        guarded.token = ROOT
        guarded.start()
        rules = 'service "api" { policy = "write" } node_prefix "" { policy = "read" }'
        guarded.request("PUT", "/v1/acl/policy", {"Name": "api", "Rules": rules})
        secret = guarded.request("PUT", "/v1/acl/token", {"Policies": [{"Name": "api"}]})["SecretID"]
        token = tmp_path / "token"
        token.write_text(secret, encoding="utf-8")
        backend = f"{guarded.backend_url}?token_file={token}"

        read = here("test-connection", "--backend", backend)
        assert read.code == 0
        assert (states(read)["protocol"], states(read)["round trip"]) == ("!", "✓")

        written = here("debug", "register", "api", "--backend", backend)
        assert written.code == 0
        assert (states(written)["version"], states(written)["removed"]) == ("!", "✓")

        held = here("status", "--backend", backend, "--format", "json")
        assert (held.code, held.json["services"]) == (0, 0)
        assert "does not let this program ask the agent who it is" in held.err

        other = here("debug", "register", "billing", "--backend", backend)
        assert (other.code, states(other)["register"]) == (4, "✗")

    def test_what_others_could_read(self, here: InProcess, homeport: HomeportServer) -> None:
        """The name is another one than loopback's, though HTTP then does not take it."""
        port = homeport.address.rpartition(":")[2]
        outcome = here("test-connection", "--backend", f"homeport://127.1:{port}", HOMEPORT_TOKEN="s3cret")
        assert said(outcome, "tls") == "no TLS: whoever is on the way can read the token in HOMEPORT_TOKEN"
        assert states(outcome)["tls"] == "!"
        here_only = here("test-connection", "--backend", homeport.backend_url, HOMEPORT_TOKEN="s3cret")
        assert states(here_only)["tls"] == "-"

    def test_a_user_of_etcd(self, here: InProcess, etcd_factory: EtcdFactory) -> None:
        server = etcd_factory(arguments=["--bcrypt-cost=4"])
        for path, body in (
            ("user/add", {"name": "root", "password": "root"}),
            ("user/grant", {"user": "root", "role": "root"}),
            ("enable", {}),
        ):
            server.request(f"/v3/auth/{path}", body)
        nobody = here("test-connection", "--backend", server.backend_url)
        assert (nobody.code, states(nobody)["permission"]) == (4, "✗")
        wrong = here("test-connection", "--backend", f"{server.backend_url}?user=root&password=wrong-secret")
        assert (wrong.code, states(wrong)["credentials"]) == (4, "✗")
        assert "wrong-secret" not in wrong.out
        right = here("test-connection", "--backend", f"{server.backend_url}?user=root", ETCD_PASSWORD="root")
        assert right.code == 0
        assert said(right, "credentials") == 'the user "root" with the password in ETCD_PASSWORD is not refused'
