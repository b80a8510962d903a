"""A real Consul that denies by default: what a token may not see is not taken for absent."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from homeport import ClientSettings, Discovery, PermissionDenied
from homeport.backends.consul import open_consul
from tests.plugins.following import Until
from tests.servers.consul import ConsulServer

ROOT = "11111111-2222-3333-4444-555555555555"
ANONYMOUS = "00000000-0000-0000-0000-000000000002"
ACL = {
    "primary_datacenter": "dc1",
    "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT, "agent": ROOT}},
}
NODES = 'node_prefix "" { policy = "read" }'


class Guarded:
    """A Consul that lets nobody do anything without a token."""

    def __init__(self, consul: ConsulServer) -> None:
        self.consul = consul
        self.url = consul.backend_url

    def add(self, service: str) -> None:
        self.consul.request("PUT", "/v1/agent/service/register", {"Name": service, "Port": 1})

    def policy(self, name: str, rules: str) -> str:
        made: dict[str, str] = self.consul.request("PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
        return made["ID"]

    def change(self, policy: str, name: str, rules: str) -> None:
        self.consul.request("PUT", f"/v1/acl/policy/{policy}", {"ID": policy, "Name": name, "Rules": rules})

    def token(self, policy: str) -> str:
        made: dict[str, str] = self.consul.request("PUT", "/v1/acl/token", {"Policies": [{"ID": policy}]})
        return made["SecretID"]


@pytest.fixture(scope="module")
def guarded(consul_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    consul = ConsulServer(consul_binary, tmp_path_factory.mktemp("guarded"), config=ACL)
    consul.token = ROOT
    try:
        consul.start()
        yield Guarded(consul)
    finally:
        consul.close()


async def test_a_service_that_may_not_be_read_is_not_an_empty_one(guarded: Guarded, name: str) -> None:
    await asyncio.to_thread(guarded.add, name)
    other = guarded.token(guarded.policy(name, f'service "other" {{ policy = "read" }} {NODES}'))
    for query in ("", f"?token={other}"):
        async with Discovery(guarded.url + query, environ={}) as discovery:
            with pytest.raises(PermissionDenied) as caught:
                await discovery.discover(name)
            assert f'does not let this program read "{name}", and says that there is nothing' in str(caught.value)
            assert "Give a token that may" in str(caught.value)
            assert other not in str(caught.value)


async def test_a_token_that_may_not_see_the_nodes_is_told_from_an_empty_service(guarded: Guarded, name: str) -> None:
    await asyncio.to_thread(guarded.add, name)
    blind = guarded.token(guarded.policy(name, f'service_prefix "{name}" {{ policy = "read" }}'))
    async with aclosing(open_consul(f"{guarded.url}?token={blind}", {})) as backend:
        with pytest.raises(PermissionDenied, match=f'read the nodes of "{name}" \\(node:read\\)'):
            await backend.fetch(name)
        assert (await backend.fetch(f"{name}-none")).instances == ()


async def test_what_may_be_read_and_is_not_there_is_empty(guarded: Guarded, name: str) -> None:
    seeing = guarded.token(guarded.policy(name, f'service "{name}" {{ policy = "read" }} {NODES}'))
    async with aclosing(open_consul(f"{guarded.url}?token={seeing}", {})) as backend:
        assert (await backend.fetch(name)).instances == ()
        await asyncio.to_thread(guarded.add, name)
        assert len((await backend.fetch(name)).instances) == 1
        assert [one.name for one in await backend.services()] == [name]


async def test_a_consul_without_tokens_is_believed(consul: ConsulServer, name: str) -> None:
    async with aclosing(open_consul(consul.backend_url, {})) as backend:
        assert (await backend.fetch(name)).instances == ()


async def test_an_empty_list_for_nobody_says_why(guarded: Guarded, name: str) -> None:
    async with aclosing(open_consul(guarded.url, {})) as backend:
        with pytest.raises(PermissionDenied, match="no services: it asks for a token, and none is given"):
            await backend.services()
    nothing_there = guarded.token(guarded.policy(name, f'service "{name}" {{ policy = "read" }}'))
    async with aclosing(open_consul(f"{guarded.url}?token={nothing_there}", {})) as backend:
        assert list(await backend.services()) == []


async def test_a_permission_that_is_withdrawn_makes_the_watch_stale_and_not_empty(
    guarded: Guarded, name: str, settings: ClientSettings, until: Until
) -> None:
    await asyncio.to_thread(guarded.add, name)
    allowed = f'service "{name}" {{ policy = "read" }} {NODES}'
    policy = guarded.policy(name, allowed)
    url = f"{guarded.url}?token={guarded.token(policy)}&wait=1s"
    async with Discovery(url, settings=settings, environ={}) as discovery, discovery.watch(name) as watch:
        await asyncio.to_thread(guarded.change, policy, name, NODES)
        snapshot = await until(watch, lambda snapshot: snapshot.stale)
        assert len(snapshot) == 1
        assert f'does not let this program read "{name}"' in snapshot.reason
        await asyncio.to_thread(guarded.change, policy, name, allowed)
        assert len(await until(watch, lambda snapshot: not snapshot.stale)) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_who_may_not_even_ask_what_he_may_believes_the_answer(name: str, status: int) -> None:
    """A stand-in for a proxy that hides everything but what is needed to find services."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.startswith("/v1/health/service/"):
            return web.json_response([], headers={"X-Consul-Index": "7"})
        return web.Response(status=status, text="blocked by the proxy")

    proxy = TestServer(web.Application())
    proxy.app.router.add_route("*", "/{path:.*}", answer)
    async with proxy, aclosing(open_consul(f"consul://127.0.0.1:{proxy.port}", {})) as backend:
        assert (await backend.fetch(name)).instances == ()


@pytest.mark.parametrize("path", ["/v1/health/service/web", "/v1/query/web/execute"])
async def test_what_was_hidden_until_just_now_is_asked_for_once_more(path: str) -> None:
    """A stand-in for a Consul whose token is given its permission between two questions."""
    row = {"Node": {"Node": "n", "Address": "10.0.0.1"}, "Service": {"ID": "web-1", "Service": "web", "Port": 80}}
    answers: dict[str, list[object]] = {
        "/v1/health/service/web": [[], [row]],
        "/v1/query/web/execute": [{"Service": "web", "Nodes": []}, {"Service": "web", "Nodes": [row]}],
        "/v1/internal/acl/authorize": [[{"Allow": True}]],
        "/v1/catalog/services": [{"web": []}],
        "/v1/catalog/service/web": [[{"Node": "n", "Address": "10.0.0.1", "ServiceID": "web-1", "ServiceName": "web"}]],
    }
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        if request.path == path:
            asked.append(dict(request.query))
        return web.json_response(answers[request.path].pop(0), headers={"X-Consul-Index": "7"})

    consul = TestServer(web.Application())
    consul.app.router.add_route("*", "/{path:.*}", answer)
    via = "via=query&" if "query" in path else ""
    async with consul, aclosing(open_consul(f"consul://127.0.0.1:{consul.port}?{via}wait=1s", {})) as backend:
        assert [one.id for one in (await backend.fetch("web")).instances] == ["web-1"]
    assert len(asked) == 2


async def test_what_everybody_may_needs_no_token(guarded: Guarded, name: str) -> None:
    await asyncio.to_thread(guarded.add, name)
    policy = guarded.policy(name, f'service "{name}" {{ policy = "read" }} {NODES}')
    path = f"/v1/acl/token/{ANONYMOUS}"
    body = {"AccessorID": ANONYMOUS, "Policies": [{"ID": policy}]}
    await asyncio.to_thread(guarded.consul.request, "PUT", path, body)
    try:
        async with aclosing(open_consul(guarded.url, {})) as backend:
            assert len((await backend.fetch(name)).instances) == 1
            assert [one.name for one in await backend.services()] == [name]
    finally:
        await asyncio.to_thread(guarded.consul.request, "PUT", path, {"AccessorID": ANONYMOUS, "Policies": []})
