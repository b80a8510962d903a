"""Checks of the file on every instance of their services, on virtual time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from homeport.errors import SettingsError
from homeport.registry.checks import remove_check
from homeport.registry.health import HealthSettings
from homeport.registry.health.file_checks.parsing import NO_FILE_CHECKS, FileChecks, parse
from homeport.registry.health.settings import FileDefaults
from homeport.registry.nodes import put_node
from homeport.registry.records import NodeRecord
from homeport.registry.store.contract import StoreFull
from homeport.registry.store.memory import MemoryStore
from tests.integration.health.brought_kinds import switches
from tests.integration.health.engine import Engine, TroubledStore, virtual
from tests.unit.health.virtual_time import settle

TCP = {"name": "tcp", "type": "tcp", "address": "{{ .address }}:{{ .port }}", "interval": "1h"}
HTTP = {"name": "http", "type": "http", "url": "http://{{ .address }}:{{ .port }}/", "interval": "1h"}


def file(*checks: dict[str, Any], key: str = "web", **more: Any) -> FileChecks:
    return parse({key: {"checks": list(checks), **more}}, FileDefaults())


def target(engine: Engine, check_id: str, node: str = "") -> str:
    definition = engine.record(check_id, node).definition
    assert definition is not None
    return definition.tcp or definition.http


async def test_every_instance_gets_them_as_it_appears_and_loses_them_as_it_goes() -> None:
    async with virtual(file_checks=file(TCP, HTTP)) as engine:
        await engine.register(service_id="web-1", address="10.0.0.1")
        await engine.register(service_id="web-2", address="10.0.0.2")
        await engine.register(service_id="db-1", name="db")
        await settle()
        assert engine.ids() == ["file:web-1:1", "file:web-1:2", "file:web-2:1", "file:web-2:2"]
        assert target(engine, "file:web-2:2") == "http://10.0.0.2:80/"
        await engine.deregister("web-1")
        await settle()
        assert engine.ids() == ["file:web-2:1", "file:web-2:2"]


async def test_instances_that_are_there_already_get_them_at_the_start() -> None:
    store = MemoryStore()
    async with virtual(store=store) as engine:
        await engine.register()
    async with virtual(store=store, file_checks=file(TCP)) as engine:
        assert engine.ids() == ["file:web-1:1"]
    async with virtual(store=store) as engine:
        assert engine.ids() == []


async def test_they_follow_a_change_of_the_instance() -> None:
    async with virtual(file_checks=file(TCP)) as engine:
        await engine.register(address="10.0.0.1", port=80)
        await engine.register(address="10.0.0.9", port=81)
        await settle()
        assert target(engine, "file:web-1:1") == "10.0.0.9:81"
        await engine.register(name="other")
        await settle()
        assert engine.ids() == []
        await engine.register(name="web")
        await settle()
        assert engine.ids() == ["file:web-1:1"]


async def test_an_instance_without_address_has_its_nodes() -> None:
    async with virtual(file_checks=file(TCP)) as engine:
        far = NodeRecord(name="far", address="10.9.0.1")
        await engine.registry.transact(lambda transaction: put_node(transaction, far))
        await engine.register(address="", node="far")
        await settle()
        assert target(engine, "file:web-1:1", "far") == "10.9.0.1:80"
        moved = msgspec.structs.replace(far, address="10.9.0.2")
        await engine.registry.transact(lambda transaction: put_node(transaction, moved))
        await settle()
        assert target(engine, "file:web-1:1", "far") == "10.9.0.2:80"


async def test_checks_that_were_registered_stay_beside_them() -> None:
    async with virtual(file_checks=file(TCP)) as engine:
        await engine.register(engine.check("own", kind="ttl", ttl=1000.0))
        await settle()
        assert engine.ids() == ["file:web-1:1", "own"]
        await engine.health.configure(NO_FILE_CHECKS)
        assert engine.ids() == ["own"]


async def test_one_that_is_removed_comes_back() -> None:
    async with virtual(file_checks=file(TCP)) as engine:
        await engine.register()
        await settle()
        node = engine.registry.node
        await engine.registry.transact(lambda transaction: remove_check(transaction, node, "file:web-1:1"))
        await settle()
        assert engine.ids() == ["file:web-1:1"]


async def test_another_file_takes_its_place() -> None:
    async with virtual(file_checks=file(TCP)) as engine:
        await engine.register()
        await engine.health.configure(file(HTTP, TCP))
        assert [engine.record(check_id).name for check_id in engine.ids()] == ["http", "tcp"]
        await engine.health.configure(file(TCP, key="db"))
        assert engine.ids() == []


async def test_the_same_file_again_writes_nothing() -> None:
    async with virtual(file_checks=file(TCP)) as engine:
        await engine.register()
        await settle()
        revision = engine.registry.catalog.revision
        await engine.health.configure(file(TCP))
        await engine.register()
        await settle()
        assert engine.registry.catalog.revision == revision


@pytest.mark.usefixtures("brought_kinds")
async def test_a_new_check_passes_until_its_first_result_which_comes_soon() -> None:
    def switch(**more: Any) -> FileChecks:
        return file({"name": "s", "type": "switch", "interval": "1h", "options": {"name": "s", **more}})

    async with virtual(file_checks=switch()) as engine:
        await engine.register()
        await settle()
        assert engine.status("file:web-1:1") == "passing"
        await engine.health.run_now("file:web-1:1")
        switches[-1].said["s"] = "critical"
        await engine.register(service_id="web-2")
        await settle()
        assert engine.status("file:web-2:1") == "passing"
        await engine.time.pass_(5.0)
        assert engine.status("file:web-2:1") == "critical"


@pytest.mark.usefixtures("brought_kinds")
async def test_what_changes_in_a_check_keeps_its_status_and_another_check_begins_anew() -> None:
    def switch(name: str, **more: Any) -> FileChecks:
        return file({"name": name, "type": "switch", "interval": "1h", "options": {"name": "s"}, **more})

    async with virtual(file_checks=switch("one")) as engine:
        await engine.register()
        await settle()
        await engine.health.run_now("file:web-1:1")
        switches[-1].said["s"] = "critical"
        await engine.health.run_now("file:web-1:1")
        await engine.health.configure(switch("one", timeout="9s"))
        assert engine.status("file:web-1:1") == "critical"
        await engine.health.configure(switch("two"))
        assert engine.status("file:web-1:1") == "passing"


async def test_thresholds_and_removal_of_the_file_are_obeyed() -> None:
    checks = file(
        {"name": "h", "type": "http", "url": "nowhere", "interval": "10s"},
        failure_threshold=3, deregister_critical_service_after="70s",
    )  # fmt: skip
    async with virtual(file_checks=checks) as engine:
        await engine.register()
        await settle()
        for expected in ("passing", "passing", "critical"):
            assert (await engine.health.run_now("file:web-1:1")).status == expected
        await engine.time.pass_(120.0)
        assert engine.registry.catalog.service(engine.registry.node, "web-1") is None


async def test_scripts_in_the_file_are_refused_while_they_are_off() -> None:
    script = file({"name": "s", "type": "script", "script": "exit 0"})
    with pytest.raises(SettingsError, match=r"health_checks\.web\.checks\[0\] is a script check, and these are off"):
        async with virtual(file_checks=script):
            pass
    async with virtual(file_checks=file(TCP)) as engine:
        await engine.register()
        with pytest.raises(SettingsError):
            await engine.health.configure(script)
        await engine.register(service_id="web-2")
        await settle()
        assert engine.ids() == ["file:web-1:1", "file:web-2:1"]
    for settings in (HealthSettings(enable_local_script_checks=True), HealthSettings(enable_script_checks=True)):
        async with virtual(settings, file_checks=script) as engine:
            await engine.register()
            await settle()
            assert (await engine.health.run_now("file:web-1:1")).output == ""
            assert engine.status("file:web-1:1") == "passing"


async def test_an_instance_whose_values_would_be_obeyed_by_a_shell_is_critical() -> None:
    settings = HealthSettings(enable_local_script_checks=True)
    checks = file({"name": "s", "type": "script", "script": "echo {{ .address }}"})
    async with virtual(settings, file_checks=checks) as engine:
        await engine.register(address="$(touch /tmp/x)")
        await settle()
        assert engine.status("file:web-1:1") == "critical"
        assert "may not be put into a command" in engine.record("file:web-1:1").output
        await engine.register(address="10.0.0.1")
        await settle()
        assert (await engine.health.run_now("file:web-1:1")).output == "10.0.0.1\n"


async def test_what_could_not_be_written_is_tried_again() -> None:
    store = TroubledStore()
    async with virtual(store=store) as engine:
        await engine.register()
        store.full = True
        with pytest.raises(StoreFull):
            await engine.health.configure(file(TCP))
        assert engine.ids() == []
        store.full = False
        await engine.time.pass_(5.1)
        assert engine.ids() == ["file:web-1:1"]
