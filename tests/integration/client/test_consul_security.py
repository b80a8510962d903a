"""A real Consul that asks for tokens and certificates."""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery, PermissionDenied, Standing
from homeport.testing.contract.waiting import fresh, until
from tests.integration.client.certificates import Authority
from tests.plugins.following import PATIENCE
from tests.servers.consul import ConsulServer
from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import wait_until

ROOT = "11111111-2222-3333-4444-555555555555"
ACL = {
    "primary_datacenter": "dc1",
    "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT, "agent": ROOT}},
}
EAGER = ClientSettings(first_retry_interval=0.05, longest_retry_interval=0.5)


@pytest.fixture
async def guarded(consul_factory: Callable[..., ConsulServer]) -> ConsulServer:
    """A Consul that lets nobody do anything without a token."""
    consul = consul_factory(config=ACL, start=False)
    consul.token = ROOT
    await asyncio.to_thread(consul.start)
    return consul


def make_token(consul: ConsulServer, rules: str) -> tuple[str, str]:
    """The accessor and the secret of a token with these rules."""
    name = f"p{abs(hash(rules))}"
    consul.request("PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
    token: dict[str, Any] = consul.request("PUT", "/v1/acl/token", {"Policies": [{"Name": name}]})
    return token["AccessorID"], token["SecretID"]


def lease_checks(consul: ConsulServer, instance: str) -> dict[str, str]:
    """The checks of an instance, and how they are."""
    checks: dict[str, dict[str, str]] = consul.request("GET", "/v1/agent/checks")
    return {check: row["Status"] for check, row in checks.items() if row["ServiceID"] == instance}


WRITE = 'service_prefix "" { policy = "write" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }'


async def test_without_a_token_it_is_told_what_to_give(guarded: ConsulServer, name: str) -> None:
    async with Discovery(guarded.backend_url, environ={}) as discovery:
        with pytest.raises(PermissionDenied) as caught:
            _ = await discovery.register(name, port=1)
        assert f'does not let this program register "{name}"' in str(caught.value)
        assert "Give a token" in str(caught.value)
        assert not caught.value.retryable
    async with Discovery(f"{guarded.backend_url}?token=unknown-secret", environ={}) as discovery:
        with pytest.raises(PermissionDenied) as caught:
            await discovery.discover(name)
        assert "unknown-secret" not in str(caught.value)


@pytest.mark.parametrize("way", ["parameter", "variable", "file", "named variable"])
async def test_a_token_may_come_from_anywhere(guarded: ConsulServer, name: str, way: str, tmp_path: Path) -> None:
    _, secret = make_token(guarded, WRITE)
    path = tmp_path / "token"
    path.write_text(secret)
    url, environ = {
        "parameter": (f"?token={secret}", {}),
        "variable": ("", {"CONSUL_HTTP_TOKEN": secret}),
        "file": (f"?token_file={path}", {}),
        "named variable": ("?token_env=MY_TOKEN", {"MY_TOKEN": secret}),
    }[way]
    discovery = Discovery(guarded.backend_url + url, environ=environ)
    async with discovery, discovery.register(name, port=1) as registration:
        assert (await discovery.resolve(name)).id == registration.id
        assert secret not in f"{discovery!r} {discovery.backend!r} {discovery.backend.url}"


async def test_a_token_that_is_rotated_in_its_file_is_followed(
    guarded: ConsulServer, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old_accessor, old_secret = make_token(guarded, WRITE)
    _, new_secret = make_token(guarded, WRITE + " ")
    path = tmp_path / "token"
    path.write_text(old_secret)
    caplog.set_level(logging.DEBUG, "homeport")
    discovery = Discovery(f"{guarded.backend_url}?token_file={path}&wait=1s", settings=EAGER, environ={})
    async with discovery, discovery.register(name, port=1, ttl=5.0) as registration, discovery.watch(name) as watch:
        replacement = tmp_path / "next"
        replacement.write_text(new_secret)
        os.replace(replacement, path)  # noqa: PTH105 - as rotation tools do
        await asyncio.to_thread(guarded.request, "DELETE", f"/v1/acl/token/{old_accessor}")
        (lease,) = lease_checks(guarded, registration.id)
        await asyncio.to_thread(guarded.request, "PUT", f"/v1/agent/check/fail/{lease}")

        def renewed() -> bool:
            return lease_checks(guarded, registration.id) == {lease: "passing"}

        await asyncio.to_thread(wait_until, renewed, timeout=PATIENCE, what="a renewal")
        async with asyncio.timeout(PATIENCE):
            await registration.wait_for(Standing.REGISTERED)
        await registration.update(tags=["rotated"])
        await until(watch, lambda snapshot: fresh(snapshot) and [one.tags for one in snapshot] == [("rotated",)])
        assert len(await discovery.discover(name, healthy=False, use_cache=False)) == 1
    for secret in (old_secret, new_secret):
        assert secret not in caplog.text


async def test_a_token_that_is_revoked_makes_the_watch_stale_and_says_why(guarded: ConsulServer, name: str) -> None:
    accessor, secret = make_token(guarded, WRITE)
    discovery = Discovery(f"{guarded.backend_url}?token={secret}&wait=1s", settings=EAGER, environ={})
    owner = Discovery(f"{guarded.backend_url}?token={ROOT}", environ={})
    async with owner, discovery, owner.register(name, port=1), discovery.watch(name) as watch:
        await asyncio.to_thread(guarded.request, "DELETE", f"/v1/acl/token/{accessor}")
        revoked = await until(watch, lambda snapshot: "does not let this program read" in snapshot.reason)
        assert revoked.stale
        assert len(revoked) == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def test_tls_with_a_client_certificate(
    consul_factory: Callable[..., ConsulServer], authority: Authority, name: str
) -> None:
    certificate, key = authority.issue("server.dc1.consul")
    client_certificate, client_key = authority.issue("client")
    with PortLease() as lease:
        (https_port,) = lease.ports
        https = ("-hcl", f"ports {{ https = {https_port} }}")
        config = {
            "verify_incoming_https": True,
            "ca_file": str(authority.certificate),
            "cert_file": str(certificate),
            "key_file": str(key),
        }
        consul = await asyncio.to_thread(lambda: consul_factory(config=config, arguments=https))
        environ = {
            "CONSUL_HTTP_ADDR": f"https://{LOOPBACK}:{https_port}",
            "CONSUL_CACERT": str(authority.certificate),
            "CONSUL_CLIENT_CERT": str(client_certificate),
            "CONSUL_CLIENT_KEY": str(client_key),
        }
        discovery = Discovery(environ=environ)
        async with discovery, discovery.register(name, port=1):
            assert len(await discovery.discover(name)) == 1
            assert name in {row["Service"] for row in consul.request("GET", "/v1/agent/services").values()}
        bare = f"consul://{LOOPBACK}:{https_port}?ca_file={authority.certificate}"
        async with Discovery(bare, environ={}) as discovery:
            with pytest.raises(BackendUnavailable):
                await discovery.discover(name)
