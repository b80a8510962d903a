"""Rights, credentials and TLS on a real API server."""

import asyncio
import base64
import logging
import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeport import PermissionDenied
from homeport.backends.kubernetes import open_kubernetes
from homeport.errors import BackendUnavailable
from homeport.model import Service
from homeport.spi import Observed
from tests.contract.kubernetes.harness import documented_rules
from tests.integration.backends_kubernetes.conftest import Open, Room, arriving, endpoint, following
from tests.integration.client.certificates import Authority, CertificateFiles
from tests.servers.kubernetes import ApiServer

READ = ["list", "watch"]
SLICES = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ}
CORE = {"apiGroups": [""], "resources": ["services", "pods"], "verbs": READ}
LEASES = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": READ}
SERVICE = Service(name="api", id="api-1", address="10.0.0.1", port=1)


def token(room: Room, *rules: Any) -> str:
    return room.server.user("reader", rules, namespace=room.namespace)


async def test_list_and_watch_are_enough_to_find(room: Room, opened: Open) -> None:
    room.service("api")
    room.pod("api-0")
    room.slice("s", "api", [endpoint("10.1.0.1", "api-0")])
    async with aclosing(opened(user=token(room, SLICES, CORE, LEASES))) as backend:
        cursor = (await backend.fetch("api")).cursor
        assert cursor.store == ""  # no namespace may be read
        assert [row.name for row in await backend.services()] == ["api"]
        async with aclosing(backend.watch("api", after=cursor)) as stream:
            first = await following(stream)
            assert (len(first.instances), first.reset) == (1, False)
            await asyncio.to_thread(room.slice, "s", "api", [])
            assert (await following(stream)).instances == ()
        assert (await backend.ping())["product"] == "kubernetes"


async def test_the_documented_rules_are_enough(room: Room, opened: Open) -> None:
    room.slice("s", "api", [endpoint("10.1.0.1", hostname="one")])
    finding = token(room, *documented_rules(registering=False))
    registering = room.server.user("writer", documented_rules(registering=True), namespace=room.namespace)
    async with aclosing(opened(user=finding)) as reader, aclosing(opened("sweep_after=1", user=registering)) as writer:
        lease = await writer.register(SERVICE, ttl=15.0, incarnation="me")
        await writer.renew(lease)
        async with aclosing(reader.watch("api")) as stream:
            assert [one.id for one in (await following(stream)).instances] == ["api-1", "one"]
        with pytest.raises(PermissionDenied):
            await reader.register(SERVICE, ttl=15.0, incarnation="me")
        assert await writer.deregister("api-1", incarnation="me")


async def test_without_a_look_at_leases_nothing_runs_out(
    room: Room, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "homeport")
    blind = opened("confirm_interval=1", user=token(room, SLICES, CORE))
    async with aclosing(opened()) as writer, aclosing(opened()) as seeing, aclosing(blind) as backend:
        await writer.register(SERVICE, ttl=1.0, incarnation="me")
        async with aclosing(seeing.watch("api")) as stream, aclosing(backend.watch("api")) as dim:
            assert (await following(dim)).instances[0].healthy
            await arriving(stream, lambda found: found == {"api-1": "critical"})
            assert (await following(dim)).instances[0].healthy
            assert (await backend.fetch("api")).instances[0].healthy
    assert "leases are not followed" in caplog.text


async def refused(stream: AsyncGenerator[Observed, None]) -> None:
    """Follow until it fails; the first thing may be a list that is allowed."""
    while True:
        await following(stream)


@pytest.mark.parametrize(
    ("rules", "verb", "what", "group"),
    [
        ([SLICES, {**CORE, "resources": ["pods"]}], "list", "services", ""),
        ([SLICES, {**CORE, "resources": ["services"]}], "list", "pods", ""),
        ([CORE], "list", "endpointslices", "discovery.k8s.io"),
        ([{**SLICES, "verbs": ["list"]}, CORE], "watch", "endpointslices", "discovery.k8s.io"),
    ],
)
async def test_what_is_missing_is_named(room: Room, opened: Open, rules: Any, verb: str, what: str, group: str) -> None:
    async with aclosing(opened(user=token(room, *rules))) as backend, aclosing(backend.watch("api")) as stream:
        with pytest.raises(PermissionDenied) as caught:
            await refused(stream)
    assert str(caught.value) == (
        f"the Kubernetes API server at {room.server.url} does not let "
        f'"system:serviceaccount:{room.namespace}:reader" {verb} {what} in the namespace "{room.namespace}"; '
        f'give it a Role with the verb {verb} on {what} of the API group "{group}".'
    )
    assert not caught.value.unauthenticated
    assert caught.value.backend == backend.url


async def test_all_namespaces_want_a_cluster_role(room: Room, opened: Open) -> None:
    async with aclosing(opened(namespaces="*", user=token(room, SLICES, CORE, LEASES))) as backend:
        with pytest.raises(PermissionDenied, match="in all namespaces; give it a ClusterRole with the verb list"):
            await backend.services()


async def test_registering_wants_more(room: Room, opened: Open) -> None:
    async with aclosing(opened(user=token(room, SLICES, CORE, LEASES))) as backend:
        with pytest.raises(PermissionDenied, match="create leases in the namespace"):
            await backend.register(SERVICE, ttl=15.0, incarnation="me")
        with pytest.raises(PermissionDenied, match="create endpointslices in the namespace"):
            await backend.register(SERVICE, ttl=None, incarnation="me")


async def test_credentials_that_are_not_accepted(room: Room, opened: Open) -> None:
    async with aclosing(opened(user="wrong-secret")) as backend:
        with pytest.raises(PermissionDenied) as caught:
            await backend.fetch("api")
    assert str(caught.value) == (
        f'the Kubernetes API server at {room.server.url} does not accept the credentials of the context "test"; '
        "log in again, or renew its token or certificate."
    )
    assert caught.value.unauthenticated
    assert not caught.value.retryable
    assert "wrong-secret" not in f"{caught.value!r} {backend!r}"


async def test_a_new_login_in_the_kubeconfig_is_noticed(room: Room, kubernetes: ApiServer) -> None:
    kubeconfig = kubernetes.kubeconfig_for(kubernetes.address, user="expired")
    fresh = kubernetes.kubeconfig.read_text()
    url = f"kubernetes://test/{room.namespace}?kubeconfig={kubeconfig}&confirm_interval=1"
    async with aclosing(open_kubernetes(url, {})) as backend:
        with pytest.raises(PermissionDenied):
            await backend.fetch("api")
        kubeconfig.write_text(fresh)
        await backend.fetch("api")
        async with aclosing(backend.watch("api")) as stream:
            await following(stream)
            kubeconfig.write_text(fresh.replace(kubernetes.admin_token, "expired"))
            await following(stream)  # what is accepted is not read again
            assert (await backend.fetch("api")).instances == ()


async def test_a_client_certificate_takes_the_place_of_a_token(
    room: Room, kubernetes: ApiServer, tmp_path: Path
) -> None:
    """The API server knows the names of such clients, though they may do nothing."""
    certificate, key = kubernetes.authority.issue("client.test")
    config = yaml.safe_load(kubernetes.kubeconfig_for(kubernetes.address, user="expired").read_text())
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(yaml.safe_dump(config))
    async with aclosing(open_kubernetes(f"kubernetes:///{room.namespace}?kubeconfig={kubeconfig}", {})) as backend:
        with pytest.raises(PermissionDenied, match="does not accept the credentials of the current context"):
            await backend.fetch("api")
        config["clusters"][0]["cluster"] = {
            "server": kubernetes.url,
            "certificate-authority-data": encoded(kubernetes.authority.certificate),
            "tls-server-name": "localhost",
        }
        config["users"][0]["user"] = {"client-certificate": str(certificate), "client-key-data": encoded(key)}
        kubeconfig.write_text(yaml.safe_dump(config))
        who = "client.test" if kubernetes.real else "system:anonymous"  # the stand-in asks for no certificate
        for _ in range(2):
            with pytest.raises(PermissionDenied, match=f'does not let "{who}" list'):
                await backend.fetch("api")


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@pytest.mark.parametrize("change", [{"certificate-authority": ""}, {"tls-server-name": "other.test"}])
async def test_servers_that_are_not_trusted(kubernetes: ApiServer, tmp_path: Path, change: dict[str, str]) -> None:
    config = yaml.safe_load(kubernetes.kubeconfig.read_text())
    config["clusters"][0]["cluster"].update(change)
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(yaml.safe_dump(config))
    async with aclosing(open_kubernetes(f"kubernetes://?kubeconfig={kubeconfig}", {})) as backend:
        with pytest.raises(BackendUnavailable, match="its certificate is not accepted"):
            await backend.fetch("api")
    config["clusters"][0]["cluster"] = {"server": kubernetes.url, "insecure-skip-tls-verify": True}
    kubeconfig.write_text(yaml.safe_dump(config))
    async with aclosing(open_kubernetes(f"kubernetes://?kubeconfig={kubeconfig}", {})) as backend:
        await backend.fetch("api")


async def test_certificates_in_files_that_change_are_read_anew(
    room: Room, kubernetes: ApiServer, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    files = CertificateFiles(tmp_path / "own")
    files.hold(other, other.issue("client.test"))
    config = yaml.safe_load(kubernetes.kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {
        "server": kubernetes.url,
        "certificate-authority": str(files.authority),
        "tls-server-name": "localhost",
    }
    config["users"][0]["user"] = {"client-certificate": str(files.certificate), "client-key": str(files.key)}
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(yaml.safe_dump(config))
    async with aclosing(open_kubernetes(f"kubernetes:///{room.namespace}?kubeconfig={kubeconfig}", {})) as backend:
        for _ in range(2):
            with pytest.raises(BackendUnavailable, match="its certificate is not accepted"):
                await backend.fetch("api")
        certificate, key = kubernetes.authority.issue("client.test")
        shutil.copyfile(certificate, files.certificate)  # half of a rotation
        shutil.copyfile(kubernetes.authority.certificate, files.authority)
        with pytest.raises(BackendUnavailable, match="its certificate is not accepted"):
            await backend.fetch("api")
        shutil.copyfile(key, files.key)
        who = "client.test" if kubernetes.real else "system:anonymous"  # the stand-in asks for no certificate
        with pytest.raises(PermissionDenied, match=f'does not let "{who}" list'):
            await backend.fetch("api")
        if kubernetes.real:  # a certificate that is not accepted, as one that has expired
            files.hold(kubernetes.authority, other.issue("client.test"))
            async with aclosing(
                open_kubernetes(f"kubernetes:///{room.namespace}?kubeconfig={kubeconfig}", {})
            ) as refused:
                with pytest.raises(PermissionDenied, match="does not accept the credentials"):
                    await refused.fetch("api")
                files.hold(kubernetes.authority, (certificate, key))
                with pytest.raises(PermissionDenied, match=r'does not let "client\.test" list'):
                    await refused.fetch("api")
