"""Registrations on a real API server, whose own objects are the witnesses."""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from homeport import ClientSettings, Discovery, HTTPCheck, InvalidValue, Service, Unsupported
from homeport.backends.kubernetes import KubernetesBackend, open_kubernetes
from homeport.errors import Conflict, LeaseLost, Refused
from tests.integration.backends_kubernetes.conftest import PATIENCE, Open, Room, arriving, endpoint, following
from tests.servers.kubernetes import ApiServer
from tests.servers.process import ServerProcess, wait_until

PROGRAM = """
import asyncio, sys
from homeport import Discovery

async def main():
    discovery = Discovery(sys.argv[1], environ={})
    await discovery.register("api", id="killed", address="10.0.0.9", port=1, ttl=1.0)
    print("registered", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def service(number: int = 1, **fields: Any) -> Service:
    return Service(**{"name": "api", "id": f"api-{number}", "address": "10.0.0.1", "port": 8080, **fields})


async def test_what_is_registered_is_a_slice_that_anybody_reads_and_a_lease(room: Room, opened: Open) -> None:
    async with aclosing(opened()) as backend:
        await backend.register(
            service(version="2.1.0", environment="live", meta={"zone": "z"}), ttl=2.5, incarnation="me"
        )
        (found,) = await asyncio.to_thread(room.registered)
        labels = found["metadata"]["labels"]
        assert labels == {
            "kubernetes.io/service-name": "api",
            "endpointslice.kubernetes.io/managed-by": "homeport",
            "app.kubernetes.io/version": "2.1.0",
            "app.kubernetes.io/environment": "live",
        }
        assert found["addressType"] == "IPv4"
        assert found["endpoints"] == [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "zone": "z"}]
        assert found["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]
        assert "ownerReferences" not in found["metadata"]
        (lease,) = await asyncio.to_thread(room.held)
        assert lease["metadata"]["name"] == found["metadata"]["name"]
        assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseDurationSeconds"]) == ("me", 3)
        assert await backend.deregister("api-1", incarnation="me")
        assert await asyncio.to_thread(room.registered) == await asyncio.to_thread(room.held) == []


@pytest.mark.parametrize(
    ("address", "family", "addresses"),
    [
        ("10.0.0.1", "IPv4", ["10.0.0.1"]),
        ("fd00::1", "IPv6", ["fd00::1"]),
        ("web.example.com", "FQDN", ["web.example.com"]),
        ("127.0.0.1", "IPv4", None),
        ("169.254.1.1", "IPv4", None),
        ("fe80::1", "IPv4", None),
        ("localhost", "IPv4", None),
    ],
)
async def test_addresses(room: Room, opened: Open, address: str, family: str, addresses: list[str] | None) -> None:
    """Those that no slice may have are found all the same."""
    async with aclosing(opened()) as backend:
        await backend.register(service(address=address), ttl=None, incarnation="me")
        (found,) = await asyncio.to_thread(room.registered)
        assert found["addressType"] == family
        assert [one["addresses"] for one in found["endpoints"] or ()] == ([addresses] if addresses else [])
        assert [one.address for one in (await backend.fetch("api")).instances] == [address]
        assert await asyncio.to_thread(room.held) == []
        await backend.register(service(address="fd00::9"), ttl=None, incarnation="me")  # of another family
        assert [one.address for one in (await backend.fetch("api")).instances] == ["fd00::9"]


async def test_a_lease_is_made_changed_and_dropped_with_its_registration(room: Room, opened: Open) -> None:
    async with aclosing(opened()) as backend:
        for ttl, seconds in ((15.0, 15), (30.0, 30), (None, None)):
            await backend.register(service(), ttl=ttl, incarnation="me")
            assert [one["spec"]["leaseDurationSeconds"] for one in await asyncio.to_thread(room.held)] == (
                [seconds] if seconds else []
            )


async def test_renewals_are_seen_and_lost_leases_noticed(room: Room, opened: Open) -> None:
    async with aclosing(opened()) as backend, aclosing(opened()) as other:
        lease = await backend.register(service(), ttl=15.0, incarnation="me")
        (before,) = await asyncio.to_thread(room.held)
        await backend.renew(lease)
        (after,) = await asyncio.to_thread(room.held)
        assert after["spec"]["renewTime"] > before["spec"]["renewTime"]
        await other.renew(lease)  # what it knew of the lease is old now
        await backend.renew(lease)
        await asyncio.to_thread(room.server.request, "DELETE", f"{room.leases}/{after['metadata']['name']}")
        with pytest.raises(LeaseLost, match='the lease of the registration "api-1" is not in Kubernetes any more'):
            await backend.renew(lease)
        lease = await backend.register(service(), ttl=15.0, incarnation="me")
        await asyncio.to_thread(room.server.request, "DELETE", f"{room.slices}/{after['metadata']['name']}")
        with pytest.raises(LeaseLost, match='the registration "api-1" is not in Kubernetes any more'):
            await backend.renew(lease)


async def test_a_successor_is_left_alone(room: Room, opened: Open) -> None:
    async with aclosing(opened()) as old, aclosing(opened()) as new:
        lease = await old.register(service(), ttl=15.0, incarnation="old")
        successor = await new.register(service(port=2), ttl=15.0, incarnation="new")
        with pytest.raises(Conflict, match='"api-1" was registered anew by another program; this registration is over'):
            await old.renew(lease)
        assert not await old.deregister("api-1", incarnation="old")
        await new.renew(successor)


async def test_one_who_comes_between_a_look_and_a_removal_is_left_alone(
    room: Room, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aclosing(opened()) as old, aclosing(opened()) as new:
        await old.register(service(), ttl=15.0, incarnation="old")
        look = old._api.get

        async def look_and_be_overtaken(*asked: Any) -> Any:
            found = await look(*asked)
            monkeypatch.setattr(old._api, "get", look)
            await new.register(service(port=2), ttl=15.0, incarnation="new")
            return found

        monkeypatch.setattr(old._api, "get", look_and_be_overtaken)
        assert not await old.deregister("api-1", incarnation="old")
        assert [one.port for one in (await new.fetch("api")).instances] == [2]


async def test_a_slice_of_somebody_else_is_not_ours(room: Room, opened: Open) -> None:
    async with aclosing(opened()) as backend:
        await backend.register(service(), ttl=None, incarnation="me")
        (found,) = await asyncio.to_thread(room.registered)
        labels = {"labels": {"endpointslice.kubernetes.io/managed-by": "somebody"}}
        path = f"{room.slices}/{found['metadata']['name']}"
        await asyncio.to_thread(room.server.request, "PATCH", path, {"metadata": labels})
        assert not await backend.deregister("api-1")


async def test_a_killed_program_is_critical_at_once_and_swept_by_one_that_lives(
    room: Room, opened: Open, kubernetes: ApiServer, tmp_path: Path
) -> None:
    program = ServerProcess("registering", tmp_path)
    url = f"kubernetes:///{room.namespace}?kubeconfig={kubernetes.kubeconfig}"
    async with aclosing(opened("sweep_after=1")) as backend, aclosing(backend.watch("api")) as stream:
        program.spawn([sys.executable, "-c", PROGRAM, url], stdout_apart=True)
        try:
            assert await asyncio.to_thread(program.first_line) == "registered"
            await arriving(stream, lambda found: found == {"killed": "passing"})
        finally:
            await asyncio.to_thread(program.kill)
        await arriving(stream, lambda found: found == {"killed": "critical"})
        lease = await backend.register(service(), ttl=15.0, incarnation="me")
        async with asyncio.timeout(PATIENCE):
            while len(await asyncio.to_thread(room.held)) > 1:
                await backend.renew(lease)
                await asyncio.sleep(0.1)
        await arriving(stream, lambda found: found == {"api-1": "passing"})
        assert len(await asyncio.to_thread(room.registered)) == 1


@pytest.fixture
def in_pod(room: Room, kubernetes: ApiServer, tmp_path: Path) -> Callable[..., KubernetesBackend]:
    """Makes backends as in a pod of the namespace, as the administrator."""
    (tmp_path / "namespace").write_text(room.namespace)
    (tmp_path / "token").write_text(kubernetes.admin_token)
    (tmp_path / "ca.crt").write_text(kubernetes.authority.certificate.read_text())
    host, _, port = kubernetes.address.rpartition(":")

    def made(namespace: str = "", **environ: str) -> KubernetesBackend:
        server = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        return open_kubernetes(f"kubernetes:///{namespace}?service_account_dir={tmp_path}", {**server, **environ})

    return made


async def test_the_own_pod_owns_what_is_registered_so_that_it_ends_with_it(
    room: Room, new_room: Callable[[], Room], in_pod: Callable[..., KubernetesBackend]
) -> None:
    room.pod("me-0")
    uid = room.server.request("GET", f"{room.core}/pods/me-0")["metadata"]["uid"]
    owner = [{"apiVersion": "v1", "kind": "Pod", "name": "me-0", "uid": uid}]
    for environ, expected in (
        ({"HOSTNAME": "me-0"}, owner),
        ({"HOSTNAME": "x", "POD_NAME": "me-0", "POD_UID": uid}, owner),
        ({"HOSTNAME": "not-a-pod"}, None),
        ({}, None),
    ):
        async with aclosing(in_pod(**environ)) as backend:
            await backend.register(service(), ttl=15.0, incarnation="me")
            (found,), (lease,) = await asyncio.to_thread(room.registered), await asyncio.to_thread(room.held)
            assert found["metadata"].get("ownerReferences") == expected
            assert lease["metadata"].get("ownerReferences") == expected
    other = new_room()
    async with aclosing(in_pod(other.namespace, HOSTNAME="me-0")) as backend:
        await backend.register(service(), ttl=None, incarnation="me")
        assert "ownerReferences" not in other.registered()[0]["metadata"]


async def test_a_service_is_created_if_that_is_asked_for(room: Room, opened: Open) -> None:
    async with aclosing(opened()) as backend:
        await backend.register(service(), ttl=None, incarnation="me")
        assert room.server.request("GET", f"{room.core}/services")["items"] == []
    async with aclosing(opened("create_service=true")) as backend:
        await backend.register(service(), ttl=None, incarnation="me")
        await backend.register(service(2), ttl=None, incarnation="me")  # it is there already
        await backend.register(service(3, name="no-port", port=0), ttl=None, incarnation="me")
        items = room.server.request("GET", f"{room.core}/services")["items"]
        made = {one["metadata"]["name"]: one["spec"] for one in items}
        assert [port["port"] for port in made["api"]["ports"]] == [8080]
        assert "selector" not in made["api"]
        assert made["no-port"]["clusterIP"] == "None"
        assert [row.name for row in await backend.services()] == ["api", "no-port"]


async def test_registrations_and_endpoints_of_one_service_are_found_together(room: Room, opened: Open) -> None:
    room.service("api")
    room.slice("s", "api", [endpoint("10.1.0.1", hostname="native")])
    async with aclosing(opened("ready_only=true")) as backend:
        await backend.register(service(), ttl=15.0, incarnation="me")
        assert [one.id for one in (await backend.fetch("api")).instances] == ["api-1", "native"]


async def test_what_cannot_be_registered(room: Room, opened: Open) -> None:
    async with aclosing(opened()) as backend:
        with pytest.raises(InvalidValue, match='"a/b" cannot be a service in Kubernetes'):
            await backend.register(service(name="a/b"), ttl=None, incarnation="me")
        with pytest.raises(InvalidValue, match="an instance needs an id to be registered in Kubernetes"):
            await backend.register(service(id=""), ttl=None, incarnation="me")
        with pytest.raises(Unsupported, match="Kubernetes runs no health checks"):
            await backend.register(service(checks=(HTTPCheck(url="http://x/"),)), ttl=None, incarnation="me")
    async with aclosing(opened(namespaces="nowhere")) as backend:
        with pytest.raises(Refused, match='has no namespace "nowhere"; create it, or name another one'):
            await backend.register(service(), ttl=None, incarnation="me")


async def test_a_version_that_no_label_can_be_travels_in_the_annotation(room: Room, opened: Open) -> None:
    async with aclosing(opened()) as backend:
        await backend.register(service(version="1.0+build 7"), ttl=None, incarnation="me")
        (found,) = await asyncio.to_thread(room.registered)
        assert "app.kubernetes.io/version" not in found["metadata"]["labels"]
        assert json.loads(found["metadata"]["annotations"]["homeport/registration"])["version"] == "1.0+build 7"
        assert (await backend.fetch("api")).instances[0].version == "1.0+build 7"


async def test_the_client_keeps_it_alive(room: Room, opened: Open) -> None:
    def renewed_at() -> datetime:
        (lease,) = room.held()
        return datetime.fromisoformat(lease["spec"]["renewTime"])

    backend, ttl, settings = opened("confirm_interval=50"), 8.0, ClientSettings(renew_interval=0.5)
    async with aclosing(backend), Discovery(backend, settings=settings, environ={}, handle_signals=False) as discovery:
        async with (
            discovery.register("api", id="kept", address="10.0.0.1", port=1, ttl=ttl),
            aclosing(backend.watch("api")) as stream,
        ):
            await following(stream)
            told = asyncio.create_task(anext(stream))
            over = await asyncio.to_thread(renewed_at) + timedelta(seconds=ttl)
            await asyncio.to_thread(wait_until, lambda: renewed_at() > over, timeout=PATIENCE, what="a late renewal")
            assert not told.done()  # no renewal and no expiry is to be seen
            told.cancel()
            with suppress(asyncio.CancelledError):
                await told
        assert await asyncio.to_thread(room.held) == []
