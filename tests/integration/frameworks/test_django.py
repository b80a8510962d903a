"""A Django project under gunicorn, uvicorn and its own server, on a real registry."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.frameworks.web_server import HERE, TIMEOUT, passing, services_seen_by, serving, wait_for
from tests.servers.homeport import HomeportServer
from tests.servers.process import clean_environment

SETTINGS = {"DJANGO_SETTINGS_MODULE": "django_shop.settings"}
SERVERS = {
    "gunicorn": ("gunicorn", "--bind", "127.0.0.1:PORT", "--no-control-socket", "django_shop.wsgi"),
    "uvicorn": ("uvicorn", "--port", "PORT", "django_shop.asgi:application"),
    "runserver": ("django", "runserver", "--noreload", "127.0.0.1:PORT"),
}


@pytest.mark.parametrize("kind", SERVERS)
def test_registered_while_it_serves_and_gone_after_sigterm(
    kind: str, homeport: HomeportServer, tmp_path: Path, name: str
) -> None:
    with serving(
        tmp_path, SERVERS[kind], backend=homeport.backend_url, environment={"SHOP_NAME": name, **SETTINGS}
    ) as server:
        (service,) = wait_for(homeport, name, 1)
        assert service["Port"] == server.port
        assert service["Tags"] == ["shop"]
        assert server.json(f"/find/{name}")["endpoint"] == f"127.0.0.1:{server.port}"
        server.send(signal.SIGTERM)
        server.wait()
        assert passing(homeport, name) == []


def test_of_the_two_processes_of_runserver_one_is_registered(
    homeport: HomeportServer, tmp_path: Path, name: str
) -> None:
    command = ("django", "runserver", "127.0.0.1:PORT")
    with serving(
        tmp_path, command, backend=homeport.backend_url, environment={"SHOP_NAME": name, **SETTINGS}
    ) as server:
        (service,) = wait_for(homeport, name, 1)
        assert service["Port"] == server.port
        pid = server.json(f"/find/{name}")["pid"]
        assert int(pid) != server.pid
        assert len(passing(homeport, name)) == 1
        subprocess.run(["kill", "-TERM", pid], check=True)  # its parent does not pass signals on
        wait_for(homeport, name, 0)


LISTENS = """
import socket, time
import django
django.setup()
{before}
with socket.create_server(("127.0.0.1", 0)):
    time.sleep(0.6)
    print_services()
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        "import django_shop.wsgi; from django.test.utils import setup_test_environment; setup_test_environment()",
    ],
    ids=["a worker that listens", "a test with a live server"],
)
def test_what_is_no_application_that_serves_is_not_registered(before: str, homeport: HomeportServer, name: str) -> None:
    program = LISTENS.format(before=before)
    assert name not in services_seen_by(program, homeport, {"SHOP_NAME": name, **SETTINGS})


def test_a_command_is_not_registered_and_ends_as_ever(homeport: HomeportServer, name: str) -> None:
    environment = {"SHOP_NAME": name, "HOMEPORT_BACKEND": homeport.backend_url, "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, "-m", "django", "migrate"],
        env=clean_environment(environment | SETTINGS),
        check=True,
        timeout=TIMEOUT,
        capture_output=True,
        text=True,
    )
    assert "No migrations to apply" in done.stdout
    assert done.stderr == ""
    assert name not in homeport.request("GET", "/v1/catalog/services")


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (
            "settings.configure(INSTALLED_APPS=['homeport.integrations.django'], HOMEPORT={'servce': 'x'})",
            'SettingsError: HOMEPORT["servce"] is not a setting; did you mean HOMEPORT["service"]?',
        ),
        (
            "settings.configure(INSTALLED_APPS=['homeport.integrations.django'], HOMEPORT=['x'])",
            "SettingsError: the setting HOMEPORT is ['x']; it must be a dictionary",
        ),
        (
            "settings.configure(INSTALLED_APPS=[])",
            'NotReady: this project has no Discovery yet: add "homeport.integrations.django" to INSTALLED_APPS',
        ),
        (
            "settings.configure(INSTALLED_APPS=['homeport.integrations.django'], HOMEPORT={'backend': 'homeport://b'})",
            "<blocking Discovery on homeport://b:8500>",
        ),
    ],
)
def test_mistakes_are_told_in_a_sentence(program: str, sentence: str) -> None:
    head = "import django\nfrom django.conf import settings\nfrom homeport.integrations.django import discovery\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{head}{program}\ndjango.setup()\nprint(discovery())"],
        env=clean_environment(),
        check=False,
        timeout=TIMEOUT,
        capture_output=True,
        text=True,
    )
    assert sentence in done.stderr + done.stdout
