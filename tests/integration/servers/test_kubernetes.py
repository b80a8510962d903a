"""The API servers of the tests: the real one where it is found, and the stand-in always."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from homeport.testing import FaultProxy
from tests.servers.eureka_build import BuildFailedError
from tests.servers.install import NotInstalledError
from tests.servers.kubernetes import ApiError, ApiServer, KubernetesStandIn
from tests.servers.kubernetes.build import build_kube_apiserver
from tests.servers.kubernetes.choice import Programs, StandIn, choose

SERVICES = "/api/v1/namespaces/default/services"
READ = [{"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]}]


def service(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}


def names(server: ApiServer) -> list[str]:
    return [item["metadata"]["name"] for item in server.request("GET", SERVICES)["items"]]


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[KubernetesStandIn]:
    server = KubernetesStandIn(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.close()


def test_data_identities_and_address_outlive_a_kill_but_data_not_a_wipe(
    kubernetes_factory: Callable[..., ApiServer],
) -> None:
    server = kubernetes_factory()
    address, token = server.address, server.user("reader", READ)
    server.request("POST", SERVICES, service("web"))
    server.kill()
    assert not server.running
    server.start()
    assert names(server) == ["kubernetes", "web"]
    assert server.exchange("GET", SERVICES, user=token)[0] == 200
    with pytest.raises(RuntimeError, match="stop it first"):
        server.wipe()
    server.stop()
    server.wipe()
    server.start()
    assert server.address == address
    assert names(server) == ["kubernetes"]
    assert server.exchange("GET", SERVICES, user=token)[0] == 401


def test_a_user_may_do_what_its_rules_say_until_it_is_revoked(kubernetes: ApiServer) -> None:
    first = kubernetes.user("rotating", READ)
    second = kubernetes.user("rotating", READ)
    assert kubernetes.exchange("GET", SERVICES, user=first)[0] == 200
    with pytest.raises(ApiError, match=r"403: services is forbidden: .*rotating") as refused:
        kubernetes.request("POST", SERVICES, service("web"), user=first)
    assert refused.value.code == 403
    kubernetes.revoke(first)
    assert kubernetes.exchange("GET", SERVICES, user=first)[0] == 401
    assert kubernetes.exchange("GET", SERVICES, user=second)[0] == 200


def test_a_kubeconfig_leads_through_a_proxy(kubernetes: ApiServer) -> None:
    token = kubernetes.user("through", READ)
    with FaultProxy(kubernetes.address) as proxy:
        config = json.loads(kubernetes.kubeconfig_for(proxy.address, user=token, namespace="elsewhere").read_text())
        assert config["contexts"][0]["context"]["namespace"] == "elsewhere"
        cluster = config["clusters"][0]["cluster"]
        assert cluster["server"] == f"https://{proxy.address}"
        trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
        bearer = f"Bearer {config['users'][0]['user']['token']}"
        request = urllib.request.Request(f"{cluster['server']}{SERVICES}", headers={"Authorization": bearer})
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        with opener.open(request, timeout=60) as response:
            assert json.load(response)["kind"] == "ServiceList"
    admin = json.loads(kubernetes.kubeconfig.read_text())
    assert admin["users"][0]["user"]["token"] == kubernetes.admin_token
    assert admin["clusters"][0]["cluster"]["server"] == kubernetes.url


def test_whom_the_authority_did_not_certify_is_not_trusted(kubernetes: ApiServer) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{kubernetes.url}/version", timeout=60)


def test_a_watch_from_before_a_compaction_is_gone(kubernetes_factory: Callable[..., ApiServer]) -> None:
    server = kubernetes_factory()
    old = server.request("GET", SERVICES)["metadata"]["resourceVersion"]
    server.request("POST", SERVICES, service("web"))
    path = f"{SERVICES}?watch=1&timeoutSeconds=60&resourceVersion={old}"
    with closing(server.events(path)) as events:
        assert next(events)["type"] == "ADDED"
    server.compact()
    [event] = server.events(path)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    now = server.request("GET", SERVICES)["metadata"]["resourceVersion"]
    assert list(server.events(f"{SERVICES}?watch=1&timeoutSeconds=1&resourceVersion={now}")) == []
    assert names(server) == ["kubernetes", "web"]


def test_the_stand_in_can_tell_it_by_the_status_too(stand_in: KubernetesStandIn) -> None:
    old = stand_in.request("GET", SERVICES)["metadata"]["resourceVersion"]
    stand_in.request("POST", SERVICES, service("web"))
    stand_in.compact(as_status=True)
    code, status = stand_in.exchange("GET", f"{SERVICES}?watch=1&timeoutSeconds=1&resourceVersion={old}")
    assert (code, status["reason"]) == (410, "Expired")


def test_the_stand_in_can_have_too_much_to_do(stand_in: KubernetesStandIn) -> None:
    stand_in.overload(2)
    for _ in range(2):
        assert stand_in.exchange("GET", SERVICES) == (429, "Too many requests, please try again later.\n")
    assert stand_in.exchange("GET", SERVICES)[0] == 200


def test_the_stand_in_keeps_its_data_as_the_real_one_does(stand_in: KubernetesStandIn) -> None:
    assert not stand_in.real
    token = stand_in.user("reader", READ)
    stand_in.request("POST", SERVICES, service("web"))
    stand_in.kill()
    with (stand_in.folder / "data" / "journal").open("a") as journal:
        journal.write('{"revision": 99, "plural": "serv')  # what a kill can leave of a write
    stand_in.start()
    stand_in.request("POST", SERVICES, service("more"))
    stand_in.stop()
    stand_in.start()
    assert names(stand_in) == ["kubernetes", "more", "web"]
    assert stand_in.exchange("GET", SERVICES, user=token)[0] == 200


class TestChoice:
    @pytest.fixture
    def programs(self, tmp_path: Path) -> Path:
        folder = tmp_path / "assets"
        folder.mkdir()
        for name in ("kube-apiserver", "etcd"):
            (folder / name).write_text("#!/bin/sh\necho Kubernetes v1.2.3\n")
            (folder / name).chmod(0o700)
        return folder

    @pytest.fixture
    def nowhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """An environment in which nothing is installed."""
        monkeypatch.setattr("tests.servers.kubernetes.choice.ASSETS_FOLDER", tmp_path / "none")
        return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path)}

    def test_the_stand_in_is_what_is_left(self, nowhere: dict[str, str]) -> None:
        assert choose(nowhere) == StandIn()
        assert str(choose(nowhere)) == "a stand-in; not proved on a real API server"

    def test_real_programs_come_first(
        self, nowhere: dict[str, str], programs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = Programs(kube_apiserver=programs / "kube-apiserver", etcd=programs / "etcd")
        assert choose(nowhere | {"KUBEBUILDER_ASSETS": str(programs)}) == expected
        assert str(expected) == "a real API server, Kubernetes v1.2.3"
        assert choose(nowhere | {"HOMEPORT_TEST_KUBE_APISERVER": str(programs / "kube-apiserver")}) == expected
        monkeypatch.setattr("tests.servers.kubernetes.choice.ASSETS_FOLDER", programs)
        assert choose(nowhere) == expected

    def test_either_can_be_asked_for(self, nowhere: dict[str, str], programs: Path) -> None:
        found = nowhere | {"KUBEBUILDER_ASSETS": str(programs)}
        assert choose(found | {"HOMEPORT_TEST_KUBERNETES": "stand-in"}) == StandIn()
        assert choose(found | {"HOMEPORT_TEST_KUBERNETES": "real"}) != StandIn()
        with pytest.raises(NotInstalledError, match=r"none was found; run: python -m tests\.servers\.install"):
            choose(nowhere | {"HOMEPORT_TEST_KUBERNETES": "real"})
        with pytest.raises(NotInstalledError, match="is 'odd'; set it to"):
            choose(nowhere | {"HOMEPORT_TEST_KUBERNETES": "odd"})

    def test_a_folder_without_the_programs_is_told(self, nowhere: dict[str, str], programs: Path) -> None:
        (programs / "etcd").unlink()
        with pytest.raises(NotInstalledError, match="has no kube-apiserver or no etcd"):
            choose(nowhere | {"KUBEBUILDER_ASSETS": str(programs)})
        with pytest.raises(NotInstalledError, match="there is no etcd beside"):
            choose(nowhere | {"HOMEPORT_TEST_KUBE_APISERVER": str(programs / "kube-apiserver")})


GO = """#!/bin/sh
echo "$*" >> {calls}
case "$*" in
*"$FAIL_AT"*) [ -z "$FAIL_AT" ] || {{ echo "go: no such module" >&2; exit 1; }};;
esac
case "$*" in
"mod download"*) echo '{{"GoMod": "there/go.mod"}}';;
"mod edit -json"*) cat {own};;
build*) while [ "$1" != -o ]; do shift; done; echo made > "$2";;
esac
"""
OWN_MODULE = {
    "Go": "1.26.0",
    "Require": [
        {"Path": "go.etcd.io/etcd/server/v3", "Version": "v3.6.8"},
        {"Path": "example.com/x", "Version": "v1.0.0"},
    ],
    "Replace": [
        {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
        {"Old": {"Path": "example.com/x"}, "New": {"Path": "example.com/y", "Version": "v1.0.0"}},
    ],
}


class TestBuild:
    """With a stand-in for `go` that notes what it is asked for."""

    @pytest.fixture
    def calls(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        tools, calls, own = tmp_path / "tools", tmp_path / "calls", tmp_path / "own.json"
        tools.mkdir()
        own.write_text(json.dumps(OWN_MODULE))
        (tools / "go").write_text(GO.format(calls=calls, own=own))
        (tools / "go").chmod(0o700)
        monkeypatch.setenv("PATH", str(tools), prepend=":")
        monkeypatch.setenv("FAIL_AT", "")
        for name in ("root", "work"):
            (tmp_path / name).mkdir()
        return calls

    def test_both_programs_are_built_from_the_module_and_its_published_parts(self, calls: Path, tmp_path: Path) -> None:
        program = build_kube_apiserver(tmp_path / "root", tmp_path / "work")
        assert program == tmp_path / "root" / "bin" / "kube-apiserver"
        assert sorted(path.name for path in program.parent.iterdir()) == ["etcd", "kube-apiserver"]
        edit = next(line for line in calls.read_text().splitlines() if line.startswith("mod edit -go"))
        assert edit == (
            "mod edit -go=1.26.0 -replace=k8s.io/api=k8s.io/api@v0.36.3 "
            "-require=k8s.io/kubernetes@v1.36.3 -require=go.etcd.io/etcd/server/v3@v3.6.8"
        )

    def test_a_failure_is_told(self, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FAIL_AT", "mod download")
        with pytest.raises(BuildFailedError, match=r"^go mod failed: go: no such module$"):
            build_kube_apiserver(tmp_path / "root", tmp_path / "work")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(BuildFailedError, match="there is no go on the PATH"):
            build_kube_apiserver(tmp_path / "root", tmp_path / "work")
