"""Flask applications under gunicorn and Werkzeug, on a real registry."""

import gc
import signal
import subprocess
import threading
import weakref
from pathlib import Path

import pytest
from flask import Flask

from homeport import InvalidValue, NotReady, SettingsError
from homeport.blocking import Discovery
from homeport.integrations.flask import Homeport, discovery
from tests.integration.frameworks.web_server import TIMEOUT, passing, services_seen_by, serving, wait_for
from tests.servers.homeport import HomeportServer
from tests.servers.process import wait_until

ANNOUNCER = "homeport announcer"
GUNICORN = ("gunicorn", "--bind", "127.0.0.1:PORT", "--no-control-socket", "flask_shop:create_app()")
WERKZEUG = ("flask", "--app", "flask_shop", "run", "--port", "PORT")


@pytest.mark.parametrize("options", [("--preload",), ("--threads", "2")], ids=["preload", "threads"])
def test_each_worker_of_gunicorn_is_registered_while_it_serves(
    options: tuple[str, ...], homeport: HomeportServer, tmp_path: Path, name: str
) -> None:
    command = (*GUNICORN, "--workers", "2", *options)
    with serving(tmp_path, command, backend=homeport.backend_url, environment={"SHOP_NAME": name}) as server:
        services = wait_for(homeport, name, 2)
        assert {service["Port"] for service in services} == {server.port}
        assert {tuple(service["Tags"]) for service in services} == {("shop",)}
        answer = server.json(f"/find/{name}")
        assert answer["endpoint"] == f"127.0.0.1:{server.port}"
        assert int(answer["pid"]) != server.pid
        server.send(signal.SIGTERM)
        server.wait()
        assert passing(homeport, name) == []


@pytest.mark.parametrize("options", [("--no-reload",), ("--reload",)], ids=["plain", "reloader"])
def test_the_development_server_is_registered_once_and_leaves_on_sigterm(
    options: tuple[str, ...], homeport: HomeportServer, tmp_path: Path, name: str
) -> None:
    with serving(
        tmp_path, (*WERKZEUG, *options), backend=homeport.backend_url, environment={"SHOP_NAME": name}
    ) as server:
        (service,) = wait_for(homeport, name, 1)
        assert service["Port"] == server.port
        answer = server.json(f"/find/{name}")
        assert len(passing(homeport, name)) == 1
        if options == ("--reload",):
            assert int(answer["pid"]) != server.pid
            # The watcher does not pass the signal on: the process that serves is told.
            subprocess.run(["kill", "-TERM", answer["pid"]], check=True)
        else:
            server.send(signal.SIGTERM)
            assert server.wait() == -signal.SIGTERM
        wait_for(homeport, name, 0)


def test_ctrl_c_leaves_too(homeport: HomeportServer, tmp_path: Path, name: str) -> None:
    with serving(tmp_path, WERKZEUG, backend=homeport.backend_url, environment={"SHOP_NAME": name}) as server:
        wait_for(homeport, name, 1)
        server.send(signal.SIGINT)
        server.wait()
        assert passing(homeport, name) == []


def test_it_goes_on_answering_while_it_drains(homeport: HomeportServer, tmp_path: Path, name: str) -> None:
    environment = {"SHOP_NAME": name, "SHOP_DRAIN": "600"}
    with serving(tmp_path, WERKZEUG, backend=homeport.backend_url, environment=environment) as server:
        wait_for(homeport, name, 1)
        server.send(signal.SIGTERM)
        wait_for(homeport, name, 0)
        with pytest.raises(OSError, match="HTTP Error 500"):  # it answers: that nothing of that name is there
            server.text(f"/find/{name}")
        server.send(signal.SIGTERM)
        assert server.wait() == -signal.SIGTERM


def test_a_worker_that_ends_takes_its_registration_along_only(
    homeport: HomeportServer, tmp_path: Path, name: str
) -> None:
    command = (*GUNICORN, "--workers", "2", "--preload")
    with serving(tmp_path, command, backend=homeport.backend_url, environment={"SHOP_NAME": name}) as server:
        before = {service["ID"] for service in wait_for(homeport, name, 2)}
        pid = server.json(f"/find/{name}")["pid"]
        subprocess.run(["kill", "-TERM", pid], check=True)

        def replaced() -> bool:
            now = {service["ID"] for service in passing(homeport, name)}
            return len(now) == 2 and len(now & before) == 1

        wait_until(replaced, timeout=TIMEOUT, what="a new worker registering itself")


LISTENS = """
import socket, time
from flask_shop import create_app
app = create_app()
with {socket}:
    time.sleep(0.6)
    print_services()
"""


@pytest.mark.parametrize(
    ("opened", "environment"),
    [("socket.socket()", {}), ("socket.create_server(('127.0.0.1', 0))", {"SHOP_TESTING": "yes"})],
    ids=["it does not listen", "it is tested"],
)
def test_what_does_not_serve_is_not_registered(
    opened: str, environment: dict[str, str], homeport: HomeportServer, name: str
) -> None:
    program = LISTENS.format(socket=opened)
    assert name not in services_seen_by(program, homeport, {"SHOP_NAME": name, **environment})


def test_an_application_may_only_find() -> None:
    before = set(threading.enumerate())
    app = Flask("finder")
    app.config["HOMEPORT_BACKEND"] = "homeport://127.0.0.1:1"
    Homeport(app)
    with app.app_context():
        found = discovery()
        assert found is app.extensions["homeport"]
        assert "homeport://127.0.0.1:1" in repr(found)
    assert ANNOUNCER not in {thread.name for thread in set(threading.enumerate()) - before}
    found.close()


def test_a_discovery_may_be_made_by_the_application() -> None:
    app = Flask("finder")
    Homeport(app, discovery=lambda: Discovery("homeport://127.0.0.1:2", handle_signals=False))
    with app.app_context(), discovery() as found:
        assert "homeport://127.0.0.1:2" in repr(found)
    other = Flask("other")
    other.config["HOMEPORT_BALANCER"] = "round_robin"
    with pytest.raises(InvalidValue, match="give one"):
        Homeport(other, discovery=Discovery)


def test_an_application_that_is_thrown_away_waits_no_longer() -> None:
    before = set(threading.enumerate())
    app = Flask("short-lived")
    app.config.update(HOMEPORT_SERVICE="short-lived", HOMEPORT_BACKEND="homeport://127.0.0.1:1", TESTING=True)
    app.config["HOMEPORT_DRAIN_TIME"] = None
    Homeport(app)
    (waiting,) = (thread for thread in set(threading.enumerate()) - before if thread.name == ANNOUNCER)
    gone = weakref.ref(app)
    del app

    def collected() -> bool:
        gc.collect()
        return gone() is None

    wait_until(collected, timeout=TIMEOUT, what="its end")  # it may be looked at in this very moment
    waiting.join(TIMEOUT)
    assert not waiting.is_alive()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("HOMEPORT_SERVCE", "x", "HOMEPORT_SERVCE is not a setting; did you mean HOMEPORT_SERVICE?"),
        ("HOMEPORT_PORT", "80", "HOMEPORT_PORT is '80': Expected `int`, got `str`"),
        ("HOMEPORT_DRAIN_TIME", -1, "HOMEPORT_DRAIN_TIME is -1.0; it must not be below 0"),
    ],
)
def test_a_mistake_in_the_configuration_is_told(key: str, value: object, sentence: str) -> None:
    app = Flask("mistaken")
    app.config[key] = value
    with pytest.raises(SettingsError) as caught:
        Homeport(app)
    assert str(caught.value) == sentence


def test_an_application_without_homeport_is_told_what_to_do() -> None:
    with Flask("plain").app_context(), pytest.raises(NotReady, match=r'"plain" has no Discovery: call Homeport\(app\)'):
        discovery()


def test_an_application_has_homeport_once() -> None:
    app = Flask("twice")
    Homeport(app)
    with pytest.raises(InvalidValue, match="has Homeport already"):
        Homeport(app)
