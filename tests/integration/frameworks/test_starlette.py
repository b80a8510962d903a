"""FastAPI and Starlette applications under uvicorn, on a real registry."""

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from homeport import Discovery, InvalidValue, NotReady, Service
from homeport.integrations.starlette import discovering, discovery, registered
from tests.integration.frameworks.web_server import TIMEOUT, passing, services_seen_by, serving, wait_for
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer
from tests.servers.process import wait_until

UVICORN = ("uvicorn", "fastapi_shop:app", "--port", "PORT")


def test_registered_while_it_serves_and_gone_after_sigterm(homeport: HomeportServer, tmp_path: Path, name: str) -> None:
    with serving(tmp_path, UVICORN, backend=homeport.backend_url, environment={"SHOP_NAME": name}) as server:
        (service,) = wait_for(homeport, name, 1)
        assert service["Port"] == server.port  # nobody told it
        assert service["Tags"] == ["shop"]
        answer = server.json(f"/find/{name}")
        assert answer["endpoint"] == f"127.0.0.1:{server.port}"
        assert answer["greeting"] == "hello"
        server.send(signal.SIGTERM)
        server.wait()
        assert passing(homeport, name) == []
        assert server.log.index("own lifespan begins") < server.log.index("own lifespan ends")


def test_it_goes_on_answering_while_it_drains_until_a_second_signal(
    homeport: HomeportServer, tmp_path: Path, name: str
) -> None:
    environment = {"SHOP_NAME": name, "SHOP_DRAIN": "600"}
    with serving(tmp_path, UVICORN, backend=homeport.backend_url, environment=environment) as server:
        wait_for(homeport, name, 1)
        assert server.json(f"/find/{name}")["greeting"] == "hello"
        server.send(signal.SIGTERM)
        wait_for(homeport, name, 0)
        for _ in range(20):  # for longer than uvicorn takes to shut down
            server.text("/openapi.json")
            time.sleep(0.05)
        assert "Shutting down" not in server.log
        server.send(signal.SIGTERM)
        server.wait()
        assert "Traceback" not in server.log


def test_it_ends_by_itself_after_the_drain_time(homeport: HomeportServer, tmp_path: Path, name: str) -> None:
    environment = {"SHOP_NAME": name, "SHOP_DRAIN": "0.3"}
    with serving(tmp_path, UVICORN, backend=homeport.backend_url, environment=environment) as server:
        wait_for(homeport, name, 1)
        server.send(signal.SIGINT)
        server.wait()
        assert passing(homeport, name) == []


def test_signals_may_be_left_to_the_server(homeport: HomeportServer, tmp_path: Path, name: str) -> None:
    environment = {"SHOP_NAME": name, "SHOP_DRAIN": "None", "PORT": "4711"}
    with serving(tmp_path, UVICORN, backend=homeport.backend_url, environment=environment) as server:
        (service,) = wait_for(homeport, name, 1)
        assert service["Port"] == 4711
        server.send(signal.SIGTERM)
        server.wait()
        assert passing(homeport, name) == []


def test_each_worker_is_an_instance_of_its_own(homeport: HomeportServer, tmp_path: Path, name: str) -> None:
    command = (*UVICORN, "--workers", "2")
    environment = {"SHOP_NAME": name}
    with serving(tmp_path, command, backend=homeport.backend_url, environment=environment) as server:
        services = wait_for(homeport, name, 2)
        assert len({service["ID"] for service in services}) == 2
        assert {service["Port"] for service in services} == {server.port}
        server.send(signal.SIGTERM)
        server.wait()
        assert passing(homeport, name) == []


def test_the_asgi_worker_of_gunicorn_serves_it_too(homeport: HomeportServer, tmp_path: Path, name: str) -> None:
    command = ("gunicorn", "--bind", "127.0.0.1:PORT", "--no-control-socket", "-k", "asgi", "fastapi_shop:app")
    with serving(tmp_path, command, backend=homeport.backend_url, environment={"SHOP_NAME": name}) as server:
        (service,) = wait_for(homeport, name, 1)
        assert service["Port"] == server.port
        assert server.json(f"/find/{name}")["endpoint"] == f"127.0.0.1:{server.port}"
        server.send(signal.SIGTERM)
        server.wait()
        assert passing(homeport, name) == []


def test_a_registry_that_is_away_keeps_nobody_from_serving(
    homeport_factory: HomeportFactory, tmp_path: Path, name: str
) -> None:
    registry = homeport_factory()
    registry.stop()
    environment = {"SHOP_NAME": name, "SHOP_PORT": "1234"}
    with serving(tmp_path / "web", UVICORN, backend=registry.backend_url, environment=environment) as server:
        wait_until(
            lambda: "is not registered yet" in server.log or "Uvicorn running" in server.log,
            timeout=TIMEOUT,
            what="the application serving",
        )
        server.text("/openapi.json")
        registry.start()
        (service,) = wait_for(registry, name, 1)
        assert service["Port"] == 1234


def test_a_port_is_not_guessed_among_several(homeport: HomeportServer, tmp_path: Path, name: str) -> None:
    environment = {"SHOP_NAME": name, "SHOP_OTHER_SOCKET": "yes"}
    with serving(tmp_path, UVICORN, backend=homeport.backend_url, environment=environment) as server:
        wait_until(
            lambda: f'not registered: "{name}" listens on the ports' in server.log,
            timeout=TIMEOUT,
            what="the application asking for its port",
        )
        server.text("/openapi.json")
    environment["SHOP_PORT"] = "1234"
    with serving(tmp_path, UVICORN, backend=homeport.backend_url, environment=environment):
        (service,) = wait_for(homeport, name, 1)
        assert service["Port"] == 1234


def test_what_does_not_listen_is_not_registered(homeport: HomeportServer, name: str) -> None:
    program = """
import time
from starlette.testclient import TestClient
from fastapi_shop import app
with TestClient(app):
    time.sleep(0.6)
    print_services()
"""
    assert name not in services_seen_by(program, homeport, {"SHOP_NAME": name})


async def say(request: Request) -> PlainTextResponse:
    found = discovery(request)
    assert found is request.state.discovery
    return PlainTextResponse(f"{found!r} {getattr(request.state, 'own', '')}")


def test_finding_without_registering_also_in_mounted_applications() -> None:
    ended = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, str]]:
        assert isinstance(app.state.discovery, Discovery)
        yield {"own": "too"}
        ended.append(app)

    inner = Starlette(routes=[Route("/say", say)])
    app = Starlette(
        routes=[Route("/say", say), Mount("/inner", app=inner)],
        lifespan=discovering(backend="homeport://127.0.0.1:1", lifespan=own),
    )
    with TestClient(app) as client:
        for path in ("/say", "/inner/say"):
            assert client.get(path).text == "<Discovery on homeport://127.0.0.1:1> too"
    assert ended == [app]
    with TestClient(app) as client:  # a lifespan may run again
        assert client.get("/say").status_code == 200


def test_a_discovery_may_be_made_by_the_application() -> None:
    def make() -> Discovery:
        return Discovery("homeport://127.0.0.1:2", handle_signals=False)

    for lifespan in (discovering(discovery=make), registered("shop", discovery=make)):
        with TestClient(Starlette(routes=[Route("/say", say)], lifespan=lifespan)) as client:
            assert client.get("/say").text == "<Discovery on homeport://127.0.0.1:2> "
    with pytest.raises(InvalidValue, match="give one"):
        discovering(backend="homeport://127.0.0.1:1", discovery=make)


def test_without_a_lifespan_a_sentence_says_what_to_do() -> None:
    client = TestClient(Starlette(routes=[Route("/say", say)]))
    with pytest.raises(NotReady, match="give it lifespan=registered"):
        client.get("/say")


def test_what_cannot_be_registered_does_not_start() -> None:
    with pytest.raises(InvalidValue, match="drain_time is -1"):
        registered("shop", drain_time=-1)
    with pytest.raises(InvalidValue, match='PORT is "http"'):
        registered("shop", environ={"PORT": "http"})
    app = Starlette(lifespan=registered(Service(name="shop"), ttl=0.1, backend="homeport://127.0.0.1:1"))
    with pytest.raises(InvalidValue, match="must be 1 s or more"), TestClient(app):
        pass
