"""Kubeconfigs, service accounts, and commands that give credentials."""

import base64
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeport.connections.kubernetes_access import KubernetesAccess
from homeport.connections.kubernetes_config import ClusterConfig, read_cluster_config
from homeport.errors import SettingsError

CLUSTER: dict[str, Any] = {"server": "https://10.0.0.1:6443/k8s/c-1/"}
Write = Callable[..., Path]


def kubeconfig(
    *,
    user: dict[str, Any] | None = None,
    cluster: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    name: str = "prod",
) -> dict[str, Any]:
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **(context or {})}}],
        "clusters": [{"name": name, "cluster": {**CLUSTER, **(cluster or {})}}],
        "users": [{"name": name, "user": user or {}}],
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(content: object, file: str = "config") -> Path:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return made


def read(*paths: Path, context: str = "") -> ClusterConfig:
    return read_cluster_config(KubernetesAccess(kubeconfig=tuple(map(str, paths)), context=context))


async def authorization(config: ClusterConfig) -> str:
    return f"{config.scheme} {await config.token.current()}".strip()


def test_where_it_is(write: Write) -> None:
    config = read(write(kubeconfig(context={"namespace": "x"})))
    assert (config.name, str(config.address), config.path, config.namespace) == (
        "prod",
        "10.0.0.1:6443",
        "/k8s/c-1",
        "x",
    )
    assert read(write(kubeconfig())).namespace == "default"
    plain = read(write(kubeconfig(cluster={"server": "http://[::1]"})))
    assert (str(plain.address), plain.tls) == ("[::1]:80", None)


async def test_who_asks(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    for user, expected in (
        ({}, ""),
        ({"token": "t"}, "Bearer t"),
        ({"tokenFile": "token", "token": "t"}, "Bearer from-file"),
        ({"username": "u", "password": "p"}, f"Basic {base64.b64encode(b'u:p').decode()}"),
    ):
        config = read(write(kubeconfig(user=user)))
        assert await authorization(config) == expected
        assert repr(config) == "ClusterConfig('prod')"


async def test_several_files_are_one_and_the_first_counts(write: Write, tmp_path: Path) -> None:
    first = write(kubeconfig(user={"token": "one"}), "a/config")
    second = write({**kubeconfig(user={"token": "two"}), "current-context": "other"}, "b/config")
    third = write(kubeconfig(user={"tokenFile": "token"}, name="third"), "c/config")
    (tmp_path / "c" / "token").write_text("three")
    assert await authorization(read(tmp_path / "missing", first, second, third)) == "Bearer one"
    assert await authorization(read(first, second, third, context="third")) == "Bearer three"


def test_tls(write: Write) -> None:
    config = read(write(kubeconfig(cluster={"tls-server-name": "kube.test", "insecure-skip-tls-verify": True})))
    assert config.tls is not None
    assert (config.tls.server_name, config.tls.verify) == ("kube.test", False)
    assert config.tls.context().check_hostname is False
    broken = base64.b64encode(b"no certificate").decode()
    config = read(write(kubeconfig(cluster={"certificate-authority-data": broken})))
    assert config.tls is not None
    with pytest.raises(SettingsError, match="the CA certificate of the cluster cannot be used"):
        config.tls.context()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "is no YAML"),
        ("[]", "is not a kubeconfig"),
        ({"clusters": ["x"]}, "has clusters that are none"),
        ({**kubeconfig(), "contexts": []}, 'has no context "prod"; it has none.'),
        ({**kubeconfig(), "current-context": ""}, "has no current context; name one, as in kubernetes://CONTEXT"),
        ({**kubeconfig(), "clusters": []}, 'the context "prod" of the kubeconfig'),
        ({**kubeconfig(), "users": []}, "names a user that is not there"),
        (kubeconfig(context={"cluster": 7}), "is not as Kubernetes defines it"),
        (
            kubeconfig(cluster={"server": "10.0.0.1:6443"}),
            'names the server "10.0.0.1:6443", which is no http or https',
        ),
        (kubeconfig(cluster={"proxy-url": "http://p"}), 'the cluster "prod" of the kubeconfig'),
        (kubeconfig(user={"auth-provider": {"name": "gcp"}}), "has auth-provider, which is not supported"),
        (kubeconfig(user={"as": "root"}), "has as, which is not supported"),
        (kubeconfig(cluster={"certificate-authority": "nix.pem"}), "nix.pem that the kubeconfig names cannot be read"),
        (kubeconfig(cluster={"certificate-authority-data": "!"}), "certificate data that are not base64"),
        (
            kubeconfig(cluster={"certificate-authority-data": "eA==", "insecure-skip-tls-verify": True}),
            "gives a CA certificate and insecure-skip-tls-verify for one cluster; remove one",
        ),
        (
            kubeconfig(user={"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}),
            "update the program and the kubeconfig",
        ),
    ],
)
def test_what_cannot_be_used(write: Write, content: object, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(write(content))
    assert text in str(caught.value)


def test_a_context_that_is_not_there(write: Write) -> None:
    path = write(kubeconfig())
    with pytest.raises(SettingsError) as caught:
        read(path, context="prd")
    assert str(caught.value) == f'the kubeconfig {path} has no context "prd"; it has prod; did you mean prod?'


def test_no_kubeconfig_at_all(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no kubeconfig .* or .*; name one by KUBECONFIG"):
        read(tmp_path / "a", tmp_path / "b")


async def test_a_pod(tmp_path: Path) -> None:
    access = KubernetesAccess(api_server="https://[fd00::1]:443", service_account_dir=str(tmp_path))
    with pytest.raises(SettingsError, match=r"let the pod mount it \(automountServiceAccountToken\)"):
        read_cluster_config(access)
    for name, content in (("namespace", "x\n"), ("ca.crt", "ca"), ("token", "t")):
        (tmp_path / name).write_text(content)
    config = read_cluster_config(access)
    assert (str(config.address), config.namespace, config.name) == ("[fd00::1]:443", "x", "in-cluster")
    assert await authorization(config) == "Bearer t"


def with_command(write: Write, script: str, **more: Any) -> ClusterConfig:
    path = write(f"#!{sys.executable}\n{script}", "login.py")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login.py", **more}
    return read(write(kubeconfig(user={"exec": command})))


def printing(status: str) -> str:
    return f'print(\'{{"kind": "ExecCredential", "status": {status}}}\')'


async def test_a_command_gives_the_token_until_it_runs_out(write: Write, tmp_path: Path) -> None:
    script = f"""
import json, os, pathlib, sys
count = pathlib.Path({str(tmp_path / "count")!r})
count.write_text(count.read_text() + "x" if count.exists() else "x")
told = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
status = {{"token": f"{{os.environ['HI']}}-{{sys.argv[1]}}-{{told['spec']['cluster']['server']}}"}}
if len(count.read_text()) == 1:
    status["expirationTimestamp"] = "2001-01-02T03:04:05Z"
print(json.dumps({{"kind": "ExecCredential", "status": status}}))
"""
    config = with_command(write, script, args=["arg"], env=[{"name": "HI", "value": "hi"}], provideClusterInfo=True)
    for _ in range(3):
        assert await authorization(config) == f"Bearer hi-arg-{CLUSTER['server']}"
    assert (tmp_path / "count").read_text() == "xx"


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("raise SystemExit(3)", "failed with exit status 3; run it by hand, or log in again"),
        ("print('hello')", "did not print an ExecCredential"),
        (printing("{}"), "printed no token"),
        (printing('{"clientCertificateData": "x", "clientKeyData": "y"}'), "gives a client certificate, which is not"),
    ],
)
async def test_a_command_that_gives_nothing(write: Write, script: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        await with_command(write, script).token.current()
    assert text in str(caught.value)


async def test_a_command_that_is_not_there(write: Write) -> None:
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "/nix/login",
        "installHint": "Install it from the shop.",
    }
    config = read(write(kubeconfig(user={"exec": command})))
    with pytest.raises(SettingsError) as caught:
        await config.token.current()
    assert str(caught.value) == (
        "the command /nix/login of the kubeconfig cannot be run: no such file or directory. Install it from the shop."
    )
