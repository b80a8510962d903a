"""Who asks a Kubernetes API server, while the kubeconfig changes; small real servers stand in for it."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

from aiohttp import web

from homeport.connections.backend_url import HostPort
from homeport.connections.kubernetes import KubernetesConnection
from homeport.connections.kubernetes_access import KubernetesAccess
from tests.integration.client.test_http_connection import serving


def kubeconfig(address: HostPort, user: dict[str, str]) -> str:
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": f"http://{address}"}}],
        "users": [{"name": "x", "user": user}],
    }
    return json.dumps(config)


async def test_a_request_under_way_never_goes_out_as_somebody_else(tmp_path: Path) -> None:
    """The user of the new configuration is for the new connection only."""
    arrived, go_on = asyncio.Event(), asyncio.Event()
    seen: list[str | None] = []

    async def refusing(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        if request.path == "/slow":
            arrived.set()
            await go_on.wait()
        return web.Response(status=401)

    async def accepting(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("Authorization", "nobody"))

    file = tmp_path / "config"
    access = KubernetesAccess(kubeconfig=(str(file),))
    async with serving(refusing) as before, serving(accepting) as after:
        file.write_text(kubeconfig(before, {"token": "expired"}))
        connection = KubernetesConnection(access, backend="kubernetes://", timeout=60.0, connect_timeout=60.0)
        async with aclosing(connection):
            slow = asyncio.create_task(connection.request("GET", "/slow"))
            await arrived.wait()
            file.write_text(kubeconfig(after, {}))
            assert (await connection.request("GET", "/quick")).text == "nobody"
            go_on.set()
            assert (await slow).text == "nobody"
    assert seen == ["Bearer expired"] * 2


async def test_a_new_token_in_the_kubeconfig_is_used_over_the_same_connection(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.headers["Authorization"] == "Bearer new" else 401)

    file = tmp_path / "config"
    access = KubernetesAccess(kubeconfig=(str(file),))
    async with serving(handler) as address:
        file.write_text(kubeconfig(address, {"token": "expired"}))
        connection = KubernetesConnection(access, backend="kubernetes://", timeout=60.0, connect_timeout=60.0)
        async with aclosing(connection):
            assert (await connection.request("GET", "/")).status == 401
            file.write_text(kubeconfig(address, {"token": "new"}))
            assert (await connection.request("GET", "/")).status == 200
