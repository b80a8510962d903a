"""A `Discovery` as the settings file wants it: what it registers on start-up, how stubbornly, and what it leaves."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from homeport import ConfiguredDiscovery, configured
from homeport.client.automatic import AutomaticRegistrations, stable_id
from homeport.client.configuration.configuration import Configuration, read_configuration
from homeport.errors import BackendUnavailable, HomeportError, PermissionDenied, SettingsError
from homeport.model import HTTPCheck, Service, TCPCheck
from homeport.spi import Lease
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import now, run

TWO = """
services:
  - {name: api, id: "api-{{ .version }}", port: 80, address: "{{ .host_ip }}"}
  - {name: web, id: web-1, port: 81, tags: [own], meta: {team: mine}}
"""


def made(
    backend: ScriptedBackend, tmp_path: Path, text: str = TWO, values: dict[str, str] | None = None, **environ: str
) -> ConfiguredDiscovery:
    """What `configured` makes, on virtual time."""
    file = tmp_path / "homeport.yaml"
    file.write_text(text, encoding="utf-8")
    return ConfiguredDiscovery(
        read_configuration(str(file), backend=backend, environ=environ),
        values={"version": "2", **(values or {})},
        handle_signals=False,
        clock=now,
    )


def test_what_the_file_defines_is_registered_while_the_program_lives(tmp_path: Path) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with made(backend, tmp_path) as discovery:
            assert [one.id for one in discovery.registrations] == ["api-2", "web-1"]
            assert backend.registered["api-2"][0].address == backend.address
            await asyncio.sleep(100)
            assert backend.asked["renew api-2"] > 10
            assert (await discovery.resolve("web")).port == 81
        assert not backend.registered

    run(main())


def test_the_address_of_a_place_may_be_given(tmp_path: Path) -> None:
    async def main() -> None:
        for values, environ, expected in (
            ({}, {}, "10.9.9.9"),
            ({}, {"HOMEPORT_ADVERTISE": "10.1.1.1"}, "10.1.1.1"),
            ({"host_ip": "10.2.2.2"}, {"HOMEPORT_ADVERTISE": "10.1.1.1"}, "10.2.2.2"),
        ):
            backend = ScriptedBackend()
            async with made(backend, tmp_path, values=values, **environ):
                assert backend.registered["api-2"][0].address == expected

    run(main())


def test_common_tags_and_metadata_reach_every_registration(tmp_path: Path) -> None:
    text = TWO + "consul: {service_registration: {tags: [common], meta: {team: ours, region: eu}}}\n"

    async def main() -> None:
        backend = ScriptedBackend()
        async with made(backend, tmp_path, text) as discovery:
            web = backend.registered["web-1"][0]
            assert web.tags == ("own", "common")
            assert (web.meta["team"], web.meta["region"]) == ("mine", "eu")
            mine = await discovery.register("other", id="o", port=1, tags=["x"])
            assert backend.registered["o"][0].tags == ("x", "common")
            assert mine.service.meta["team"] == "ours"

    run(main())


def test_defaults_of_checks_reach_definitions(tmp_path: Path) -> None:
    text = """
services: [{name: a, id: a, port: 1, health_checks: [{http: "http://u"}, {tcp: "h:1", interval: 1s}]}]
consul: {health_checks: {interval: 7s, timeout: 2s, deregister_after: 90s}}
"""

    async def main() -> None:
        backend = ScriptedBackend()
        async with made(backend, tmp_path, text):
            assert backend.registered["a"][0].checks == (
                HTTPCheck(url="http://u", interval=7.0, timeout=2.0, deregister_after=90.0),
                TCPCheck(target="h:1", interval=1.0, timeout=2.0, deregister_after=90.0),
            )
        async with made(backend, tmp_path, text, DISCOVERY_HEALTH_CHECK="false"):
            assert len(backend.registered["a"][0].checks) == 0

    run(main())


@pytest.mark.parametrize(
    "text",
    [
        "consul: {service_registration: {auto_register: false}}",
        "high_availability: {service_registration: {register_on_startup: false}}",
    ],
)
def test_it_may_be_told_not_to_register(tmp_path: Path, text: str) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with made(backend, tmp_path, f"{TWO}{text}\n") as discovery:
            assert not backend.registered
            assert discovery.registrations == ()

    run(main())


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("", False),
        ("consul: {service_registration: {deregister_on_exit: false}}", True),
        ("high_availability: {service_registration: {deregister_on_shutdown: false}}", True),
        ("consul: {service_registration: {deregister_on_exit: true}}", False),
    ],
)
def test_what_is_left_at_the_end(tmp_path: Path, text: str, stays: bool) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with made(backend, tmp_path, f"{TWO}{text}\n"):
            pass
        assert bool(backend.registered) is stays
        renewals = backend.asked["renew web-1"]
        await asyncio.sleep(60)
        assert backend.asked["renew web-1"] == renewals

    run(main())


class TestRetries:
    TEXT = TWO + "high_availability: {service_registration: {retry_attempts: 2, retry_delay: 4s}}\n"

    def test_a_backend_that_comes_in_time_is_waited_for(self, tmp_path: Path) -> None:
        async def main() -> None:
            backend = ScriptedBackend()
            backend.fail()
            asyncio.get_running_loop().call_later(7.0, backend.recover)
            begun = now()
            text = self.TEXT.replace("{{ .host_ip }}", "10.0.0.1")
            async with made(backend, tmp_path, text, HOMEPORT_ADVERTISE="10.0.0.2"):
                assert now() == begun + 8.0
                assert sorted(backend.registered) == ["api-2", "web-1"]

        run(main())

    def test_the_address_of_this_host_is_waited_for_too(self, tmp_path: Path) -> None:
        async def main() -> None:
            backend = ScriptedBackend()
            backend.fail()
            asyncio.get_running_loop().call_later(7.0, backend.recover)
            async with made(backend, tmp_path, self.TEXT):
                assert sorted(backend.registered) == ["api-2", "web-1"]

        run(main())

    def test_then_it_is_given_up_and_nothing_stays(self, tmp_path: Path) -> None:
        async def main() -> None:
            backend = ScriptedBackend()
            backend.fail()
            begun = now()
            discovery = made(backend, tmp_path, self.TEXT, HOMEPORT_ADVERTISE="10.0.0.2")
            with pytest.raises(BackendUnavailable):
                await discovery.__aenter__()
            assert now() == begun + 8.0
            assert backend.asked["register web-1"] == 3
            backend.recover()
            await asyncio.sleep(100)
            assert not backend.registered

        run(main())

    def test_what_will_not_change_is_not_tried_again(self, tmp_path: Path) -> None:
        async def main() -> None:
            backend = ScriptedBackend()
            backend.fail(PermissionDenied("no", backend=backend.url))
            begun = now()
            with pytest.raises(PermissionDenied):
                await made(backend, tmp_path, self.TEXT, HOMEPORT_ADVERTISE="10.0.0.2").__aenter__()
            assert now() == begun

        run(main())

    def test_one_that_is_refused_takes_the_others_along(self, tmp_path: Path) -> None:
        class Choosy(ScriptedBackend):
            async def register(self, service: Service, *, ttl: float, incarnation: str) -> Lease:
                if service.name == "web":
                    raise PermissionDenied("no web", backend=self.url)
                return await super().register(service, ttl=ttl, incarnation=incarnation)

        async def main() -> None:
            backend = Choosy()
            with pytest.raises(PermissionDenied, match="no web"):
                await made(backend, tmp_path, self.TEXT).__aenter__()
            assert backend.asked["register api-2"] == 1
            assert not backend.registered

        run(main())

    def test_a_definition_that_cannot_be_right_is_told_before_anything_is_registered(self, tmp_path: Path) -> None:
        async def main() -> None:
            backend = ScriptedBackend()
            text = TWO.replace("port: 81", 'port: "{{ .nothing }}"')
            with pytest.raises(SettingsError, match=r"homeport.yaml: services\[1\].port: .* stands for nothing"):
                await made(backend, tmp_path, text).__aenter__()
            assert not backend.asked["register api-2"]

        run(main())


def test_the_program_is_told_when_one_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        backend, told = ScriptedBackend(), []
        file = tmp_path / "homeport.yaml"
        file.write_text("services: [{name: a, id: a, port: 1}]", encoding="utf-8")
        configuration = read_configuration(str(file), backend=backend, environ={})
        async with ConfiguredDiscovery(
            configuration, handle_signals=False, clock=now, on_change=lambda one: told.append(one.lost)
        ):
            backend.registered.clear()
            await asyncio.sleep(20)
            assert told == [True, False]

    run(main())


def test_two_definitions_with_one_id_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        text = "services: [{name: a, id: x, port: 1}, {name: b, id: x, port: 2}]"
        with pytest.raises(SettingsError) as caught:
            await made(backend, tmp_path, text).__aenter__()
        file = tmp_path / "homeport.yaml"
        assert str(caught.value) == f'{file}: services[1] has the id "x", as {file}: services[0] has; change one'
        assert not backend.registered

    run(main())


class TestNameOfTheEnvironment:
    def test_it_names_what_has_no_name(self, tmp_path: Path) -> None:
        async def main() -> None:
            backend = ScriptedBackend()
            async with made(
                backend, tmp_path, "services: [{id: a, port: 1}]", DISCOVERY_SERVICE_NAME="api"
            ) as discovery:
                assert backend.registered["a"][0].name == "api"
                _ = await discovery.register(id="b", port=2)
                assert backend.registered["b"][0].name == "api"
                _ = await discovery.register("own", id="c", port=2)
                assert backend.registered["c"][0].name == "own"

        run(main())

    def test_auto_register_without_a_definition_registers_it(self, tmp_path: Path) -> None:
        async def main() -> None:
            backend = ScriptedBackend()
            text = "consul: {service_registration: {auto_register: true}}"
            async with made(backend, tmp_path, text, DISCOVERY_SERVICE_NAME="api", PORT="8080") as discovery:
                (registration,) = discovery.registrations
                assert (registration.service.name, registration.service.port) == ("api", 8080)
            with pytest.raises(SettingsError, match=r"DISCOVERY_SERVICE_NAME.port: .* has no value; set PORT"):
                await made(backend, tmp_path, text, DISCOVERY_SERVICE_NAME="api").__aenter__()

        run(main())


def test_the_settings_reach_the_client(tmp_path: Path) -> None:
    """With a cache that is off every question goes to the backend."""

    async def main() -> None:
        for text, asked in (("client: {cache: {enabled: false}}", 3), ("", 0)):
            backend = ScriptedBackend()
            backend.put("billing")
            async with made(backend, tmp_path, text or "{}") as discovery:
                for _ in range(3):
                    await discovery.discover("billing")
                assert backend.asked["fetch billing"] == asked

    run(main())


def test_the_entrance_takes_arguments_over_everything(tmp_path: Path) -> None:
    file = tmp_path / "h.yaml"
    file.write_text("backend: homeport://file:1\nclient: {balancer: random, idle_timeout: 9}\n", encoding="utf-8")
    environ = {"HOMEPORT_CONFIG": str(file), "HOMEPORT_CLIENT_IDLE_TIMEOUT": "8"}

    async def main() -> None:
        async with configured(environ=environ) as discovery:
            assert discovery.backend.url == "homeport://file:1"
            assert discovery.configuration.client.idle_timeout == 8.0
            assert discovery.configuration.client.balancer == "random"
        async with configured(
            file, backend="homeport://argument:1", settings={"idle_timeout": "7s"}, balancer="round_robin", environ={}
        ) as discovery:
            assert discovery.backend.url == "homeport://argument:1"
            assert discovery.configuration.client.idle_timeout == 7.0
            assert discovery.configuration.client.balancer == "round_robin"
        async with configured(environ={}) as discovery:
            assert discovery.configuration == Configuration()

    asyncio.run(main())
    with pytest.raises(SettingsError, match=r"client.idle_timeot is not a setting; did you mean client.idle_timeout\?"):
        configured(environ={}, settings={"idle_timeot": 7})


class TestFollowing:
    """`AutomaticRegistrations`, when what is wanted changes."""

    def run(self, *steps: Any) -> None:
        """Apply each state; ``expected`` are the changes, and afterwards the backend has exactly what is wanted."""

        async def main() -> None:
            backend = ScriptedBackend()
            async with ConfiguredDiscovery(
                Configuration(backend=backend), handle_signals=False, clock=now
            ) as discovery:
                automatic = AutomaticRegistrations(discovery, ttl=15.0)
                for wanted, expected in steps:
                    changes = await automatic.apply({one.id: one for one in wanted})
                    assert [(change.done, change.service.id) for change in changes] == expected
                    assert {key: one.name for key, (one, _) in backend.registered.items()} == {
                        one.id: one.name for one in wanted
                    }

        run(main())

    def test_what_is_new_what_changed_and_what_is_gone(self) -> None:
        a, b = Service(name="a", id="a", port=1, address="h"), Service(name="b", id="b", port=1, address="h")
        other_b = Service(name="b", id="b", port=2, address="h", tags=("t",))
        self.run(
            ([a, b], [("registered", "a"), ("registered", "b")]),
            ([a, b], []),
            ([a, other_b], [("updated", "b")]),
            ([other_b], [("deregistered", "a")]),
            ([Service(name="new", id="b", port=2, address="h")], [("deregistered", "b"), ("registered", "b")]),
            ([], [("deregistered", "b")]),
        )

    def test_a_change_replaces_everything_but_the_start_time(self) -> None:
        async def main() -> None:
            backend = ScriptedBackend()
            async with ConfiguredDiscovery(
                Configuration(backend=backend), handle_signals=False, clock=now
            ) as discovery:
                automatic = AutomaticRegistrations(discovery, ttl=15.0)
                begun = {"started_at": "2024-01-15T10:30:00Z"}
                before = Service(
                    name="a", id="a", port=1, address="h", meta={"old": "1", **begun}, tags=("t",), weight=3
                )
                await automatic.apply({"a": before})
                after = Service(
                    name="a", id="a", port=2, address="h", meta={"new": "1"}, checks=(HTTPCheck(url="http://u"),)
                )
                await automatic.apply({"a": after})
                found, _ = backend.registered["a"]
                assert found.meta == {"new": "1", **begun}
                assert (found.port, found.tags, found.weight, found.checks) == (2, (), 1, (HTTPCheck(url="http://u"),))

        run(main())

    def test_what_failed_is_tried_again_by_the_next_call(self) -> None:
        async def main() -> None:
            backend = ScriptedBackend()
            async with ConfiguredDiscovery(
                Configuration(backend=backend), handle_signals=False, clock=now
            ) as discovery:
                automatic = AutomaticRegistrations(discovery, ttl=15.0)
                wanted = {"a": Service(name="a", id="a", address="10.0.0.1")}
                backend.fail()
                (change,) = await automatic.apply(wanted)
                assert isinstance(change.error, BackendUnavailable)
                backend.recover()
                (change,) = await automatic.apply(wanted)
                assert change.error is None
                changed = {"a": Service(name="a", id="a", address="10.0.0.1", port=2)}
                backend.fail()
                (change,) = await automatic.apply(changed)
                assert isinstance(change.error, HomeportError)
                backend.recover()
                (change,) = await automatic.apply(changed)
                assert (change.done, change.error, backend.registered["a"][0].port) == ("updated", None, 2)

        run(main())

    def test_a_takeover_is_left_alone_until_the_definition_changes(self) -> None:
        async def main() -> None:
            backend = ScriptedBackend()
            async with ConfiguredDiscovery(
                Configuration(backend=backend), handle_signals=False, clock=now
            ) as discovery:
                automatic = AutomaticRegistrations(discovery, ttl=15.0)
                mine = Service(name="a", id="a", port=1, address="h")
                await automatic.apply({"a": mine})
                backend.registered["a"] = (mine, "somebody else")
                await asyncio.sleep(20)
                assert await automatic.apply({"a": mine}) == []
                assert backend.registered["a"][1] == "somebody else"
                changes = await automatic.apply({"a": Service(name="a", id="a", port=2, address="h")})
                assert [change.done for change in changes] == ["registered"]
                assert backend.registered["a"][1] != "somebody else"

        run(main())


def test_an_id_is_made_of_name_address_and_port() -> None:
    assert stable_id(Service(name="a", address="::1", port=8)) == "a---1-8"
    assert stable_id(Service(name="a", address="10.0.0.1", port=8)) == "a-10.0.0.1-8"


@pytest.mark.parametrize(("ttl", "asked"), [("5s", 2), ("50s", 1)])
def test_how_long_an_answer_is_fresh_comes_from_the_environment(tmp_path: Path, ttl: str, asked: int) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing")
        text = "client: {cache: {watch: false, negative_ttl: 1000, refresh_interval: 1000}}"
        async with made(backend, tmp_path, text, DISCOVERY_CACHE_TTL=ttl) as discovery:
            backend.put("billing", instance("b"))
            await discovery.discover("billing")
            await asyncio.sleep(20)
            await discovery.discover("billing")
            assert backend.asked["fetch billing"] == asked

    run(main())


@pytest.mark.parametrize(("balancer", "expected"), [("round_robin", 2), ("consistent_hash", 1)])
def test_the_balancer_comes_from_the_environment(tmp_path: Path, balancer: str, expected: int) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", instance("a"), instance("b"))
        async with made(backend, tmp_path, "{}", DISCOVERY_BALANCER=balancer) as discovery:
            picked = {(await discovery.resolve("billing", key="k")).id for _ in range(10)}
            assert len(picked) == expected

    run(main())
