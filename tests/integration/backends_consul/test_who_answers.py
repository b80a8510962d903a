"""Who answers is asked anew after an outage, also when the outage falls into the question."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from homeport.backends.consul.api import ConsulAPI
from homeport.backends.consul.settings import ConsulSettings
from homeport.errors import BackendUnavailable


async def identity(api: ConsulAPI) -> str:
    await api.identify()
    return api.store_of(await api.send("GET", "/"))


async def product(api: ConsulAPI) -> str:
    return (await api.about()).product


@pytest.mark.parametrize(
    ("path", "ask", "answers"),
    [
        ("/v1/connect/ca/roots", identity, [{"TrustDomain": "old"}, {"TrustDomain": "new"}]),
        ("/v1/homeport/capabilities", product, [{"Product": "old"}, {"Product": "new"}]),
    ],
)
async def test_an_answer_from_before_an_outage_is_not_kept(
    path: str, ask: Callable[[ConsulAPI], Awaitable[str]], answers: list[dict[str, str]]
) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/cut":
            assert request.transport is not None
            request.transport.abort()
        if request.path != path:
            return web.json_response([])
        found = answers.pop(0)
        asked.set()
        await may_answer.wait()
        return web.json_response(found)

    server = TestServer(web.Application())
    server.app.router.add_route("*", "/{path:.*}", answer)
    async with server, aclosing(ConsulAPI(ConsulSettings.from_url(f"consul://127.0.0.1:{server.port}", {}))) as api:
        asking = asyncio.ensure_future(ask(api))
        await asked.wait()
        with pytest.raises(BackendUnavailable):
            await api.send("PUT", "/cut")
        may_answer.set()
        assert await asking == "new"
        assert await ask(api) == "new"
    assert not answers
