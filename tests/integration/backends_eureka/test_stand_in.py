"""A small HTTP server in Eureka's place, which says what a real one does not: other products, and odd instances."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from homeport.backends.eureka import EurekaBackend, open_eureka
from homeport.errors import BackendUnavailable, InvalidAnswer, PermissionDenied
from tests.servers.eureka import EurekaServer

GOOD: dict[str, Any] = {"instanceId": "good", "hostName": "h", "app": "WEB", "status": "UP"}


@asynccontextmanager
async def stand_in(answer: Callable[[web.Request], web.Response], parameters: str = "") -> AsyncIterator[EurekaBackend]:
    """A backend for a server that answers like this."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aclosing(open_eureka(f"eureka://127.0.0.1:{port}/eureka?{parameters}", {})) as backend:
            yield backend
    finally:
        await runner.cleanup()


def registry(*instances: dict[str, Any], hashcode: str = "") -> web.Response:
    content = {
        "versions__delta": "1",
        "apps__hashcode": hashcode,
        "application": [{"name": "WEB", "instance": instances}],
    }
    return web.json_response({"applications": content})


async def test_an_instance_that_cannot_be_read_is_left_out_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    nameless = {"instanceId": "nowhere", "app": "WEB"}
    odd = {"instanceId": "odd", "app": "WEB", "port": []}
    caplog.set_level(logging.WARNING, logger="homeport")
    async with stand_in(lambda _: registry(GOOD, nameless, odd, hashcode="UP_3_")) as backend:
        for _ in range(3):
            (row,) = await backend.services()
            assert (row.name, row.instances) == ("web", 1)
    reported = [record.getMessage() for record in caplog.records if "cannot be read" in record.getMessage()]
    assert len(reported) == 2
    assert "the instance nowhere of WEB cannot be read" in reported[0]
    assert "neither a host name nor an IP address" in reported[0]
    assert "the instance odd of WEB cannot be read" in reported[1]


async def test_one_application_is_enough_while_nobody_watches() -> None:
    asked: list[str] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path.endswith("/WEB"):
            return web.json_response({"application": {"name": "WEB", "instance": GOOD}})
        return registry(GOOD, hashcode="UP_1_") if request.path.endswith("/apps") else web.Response(status=404)

    async with stand_in(answer) as backend:
        assert [one.id for one in (await backend.fetch("web")).instances] == ["good"]
        assert asked == ["/eureka/apps/WEB"]
        # One that is not there looks like a path that is not there, so it is looked for among all.
        assert not (await backend.fetch("nobody")).instances
        assert asked[1:] == ["/eureka/apps/NOBODY", "/eureka/apps"]


async def test_what_is_asked_for_is_json_and_may_be_compressed() -> None:
    seen: list[tuple[str, str]] = []

    def answer(request: web.Request) -> web.Response:
        seen.append((request.headers["Accept"], request.headers["Accept-Encoding"]))
        response = registry(GOOD, hashcode="UP_1_")
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with stand_in(answer) as backend:
        assert [row.name for row in await backend.services()] == ["web"]
    assert {accept for accept, _ in seen} == {"application/json"}
    assert all("gzip" in encodings for _, encodings in seen)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (web.Response(status=404, text="nothing"), InvalidAnswer, "is no Eureka server"),
        (web.Response(text="<html>hello</html>", content_type="text/html"), InvalidAnswer, "is no Eureka server"),
        (web.json_response({"hello": 1}), InvalidAnswer, "not what Eureka's API promises"),
        (web.Response(status=500), BackendUnavailable, "HTTP 500"),
        (web.Response(status=401), PermissionDenied, "anybody without a user"),
    ],
)
async def test_another_product_is_told_whatever_is_asked(
    answer: web.Response, error: type[Exception], words: str
) -> None:
    body, status, kind = answer.body, answer.status, answer.content_type
    async with stand_in(lambda _: web.Response(body=body, status=status, content_type=kind)) as backend:
        questions: list[Callable[[], Awaitable[object]]] = [
            backend.ping,
            backend.services,
            lambda: backend.fetch("web"),
            lambda: anext(backend.watch("web")),
            lambda: backend.deregister("web-1"),
        ]
        if kind != "application/json":  # what stands in an answer to a change does not matter
            questions.append(lambda: backend.override_status("web", "web-1", "DOWN"))
        for question in questions:
            with pytest.raises(error, match=words):
                await question()


async def test_a_server_that_waits_for_its_peers_is_not_empty() -> None:
    async with stand_in(lambda _: web.Response(status=403)) as backend:
        for question in (backend.ping, backend.services, lambda: backend.fetch("web")):
            with pytest.raises(BackendUnavailable, match="it has just started and waits for its peers"):
                await question()
        with pytest.raises(PermissionDenied, match="CSRF"):
            await backend.override_status("web", "web-1", "DOWN")


async def test_the_path_decides_whether_a_real_server_is_found(eureka: EurekaServer) -> None:
    for path in ("/eureka", "/eureka/", "/eureka/v2", "//eureka"):
        async with aclosing(open_eureka(f"eureka://{eureka.address}{path}", {})) as backend:
            assert (await backend.ping())["product"] == "eureka"
    async with aclosing(open_eureka(f"eureka://{eureka.address}/elsewhere", {})) as backend:
        with pytest.raises(InvalidAnswer, match="the path in the backend URL is mostly /eureka"):
            await backend.services()


async def test_a_large_registry_is_read_while_other_things_go_on() -> None:
    many = [{**GOOD, "instanceId": f"i-{number}", "app": f"APP-{number % 50}"} for number in range(5000)]
    body = json.dumps({"applications": {"apps__hashcode": "UP_5000_", "application": [{"instance": many}]}}).encode()
    assert len(body) > 256 * 1024
    async with stand_in(lambda _: web.Response(body=body, content_type="application/json")) as backend:
        rows, again = await asyncio.gather(backend.services(), backend.services())
        assert (len(rows), sum(row.instances or 0 for row in rows)) == (50, 5000)
        assert rows == again
