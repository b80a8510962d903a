"""A blocking Discovery as the settings file wants it."""

import threading
from pathlib import Path
from queue import SimpleQueue

import pytest

from homeport.blocking import (
    BackendUnavailable,
    ConfiguredDiscovery,
    InvalidValue,
    NotReady,
    Registration,
    Standing,
    configured,
)
from homeport.client.configuration.configuration import read_configuration
from tests.unit.blocking.waiting import PATIENCE
from tests.unit.client.scripted_backend import ScriptedBackend, instance

TWO = """
services:
  - {name: api, id: "api-{{ .version }}", port: 80, address: "{{ .host_ip }}"}
  - {name: web, id: web-1, port: 81, tags: [own]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "homeport.yaml"
    file.write_text(TWO, encoding="utf-8")
    return file


def test_what_the_file_defines_is_registered_when_it_is_entered_and_gone_at_the_end(
    backend: ScriptedBackend, file: Path
) -> None:
    with configured(file, backend=backend, values={"version": "2"}, environ={}) as discovery:
        assert isinstance(discovery, ConfiguredDiscovery)
        assert [one.id for one in discovery.registrations] == ["api-2", "web-1"]
        assert discovery.registrations == discovery.registrations
        assert all(isinstance(one, Registration) for one in discovery.registrations)
        assert discovery.configuration.definitions
        web = discovery.registrations[1]
        discovery.update(web, tags=["new"])
        discovery.update_meta("web-1", {"k": "v"})
        assert backend.registered["web-1"][0].tags == ("new",)
        assert discovery.resolve("web").port == 81
    assert not backend.registered
    assert web.standing is Standing.CLOSED


def test_settings_and_parameters_are_obeyed(backend: ScriptedBackend, file: Path) -> None:
    uncached = configured(file, backend=backend, balancer="random", settings={"cache.enabled": False}, environ={})
    assert uncached.configuration.client.balancer == "random"
    backend.put("shop", instance("s", "shop"))
    for _ in range(2):
        uncached.discover("shop")
    assert backend.asked["fetch shop"] == 2
    uncached.close()
    with pytest.raises(InvalidValue):
        configured(file, backend=backend, balancer="no_such_policy", environ={})
    silent = ConfiguredDiscovery(read_configuration(str(file), backend=backend, environ={}), register=False)
    with silent:
        assert not backend.registered
        assert silent.registrations == ()


def test_when_something_cannot_be_registered_it_raises_and_nothing_is_left(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    file = tmp_path / "homeport.yaml"
    file.write_text(TWO + "high_availability: {service_registration: {retry_attempts: 0}}\n", encoding="utf-8")
    backend.fail()
    discovery = configured(file, backend=backend, values={"version": "2"}, environ={})
    with pytest.raises(BackendUnavailable), discovery:
        pass
    with pytest.raises(NotReady, match="was closed"):
        discovery.discover("web")


def test_its_callback_gets_the_registration_of_the_program(backend: ScriptedBackend, file: Path) -> None:
    heard: SimpleQueue[tuple[str, Registration]] = SimpleQueue()

    def on_change(registration: Registration) -> None:
        heard.put((threading.current_thread().name, registration))

    configuration = read_configuration(str(file), backend=backend, environ={})
    with ConfiguredDiscovery(configuration, values={"version": "2"}, ttl=1.0, on_change=on_change) as discovery:
        backend.registered["web-1"] = (backend.registered["web-1"][0], "another")
        assert heard.get(timeout=PATIENCE) == ("homeport callbacks", discovery.registrations[1])

    async def coroutine_function(_: object) -> None:
        return

    with pytest.raises(InvalidValue, match="coroutine function"):
        ConfiguredDiscovery(configuration, on_change=coroutine_function)


def test_it_finds_services_without_a_file(backend: ScriptedBackend) -> None:
    backend.put("shop", instance("s", "shop"))
    with configured(backend=backend, environ={}) as discovery:
        assert discovery.resolve("shop").id == "s"
        assert discovery.registrations == ()
