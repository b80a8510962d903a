"""What the engine is asked: the state of checks, and running one now."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from homeport.connections.tls import TLS
from homeport.errors import SettingsError
from homeport.registry.checks import put_check, set_maintenance
from homeport.registry.health import HealthSettings
from homeport.registry.health.summary import check_status, instance_status, overall_status, service_status
from homeport.registry.nodes import put_node
from homeport.registry.records import CheckDefinition, CheckRecord, NodeRecord
from homeport.registry.store.contract import StoreFull
from homeport.registry.store.transaction import Refusal
from tests.integration.health.answering import plain, serving
from tests.integration.health.engine import TroubledStore, real, virtual


async def test_the_state_of_all_checks_is_known() -> None:
    async with virtual() as engine:
        await engine.register(engine.check("t", kind="ttl", ttl=10.0), engine.written("w"))
        await engine.register(service_id="db-1", name="db")
        await engine.health.heartbeat("t", "warning", "slow")
        every = engine.health.state()
        assert [view.check_id for view in every] == ["serfHealth", "t", "w"]
        (found,) = engine.health.state(service="WEB", status="warning")
        assert (found.node, found.service, found.service_id, found.name) == (
            engine.registry.node,
            "web",
            "web-1",
            "name of t",
        )
        assert (found.type, found.status, found.output, found.flapping) == ("ttl", "warning", "slow", False)
        assert (found.checked_at, found.critical_since) == (engine.time.clock(), None)
        assert [view.check_id for view in engine.health.state(status="passing")] == ["serfHealth", "w"]
        assert engine.health.state(service="db") == []
        assert engine.health.live("none") is None


async def test_a_check_that_nobody_executes_has_no_last_result() -> None:
    async with virtual() as engine:
        await engine.register(engine.written("w", status="critical"))
        view = engine.health.live("W")
        assert view is not None
        assert (view.checked_at, view.critical_since) == (None, engine.time.clock())


@pytest.mark.parametrize(
    ("check_id", "status", "message"),
    [
        ("none", 404, 'Unknown check ID "none". Ensure that the check ID is passed, not the check name.'),
        ("t", 400, 'check "t" cannot be run: its status is reported by the service'),
        ("w", 400, 'check "w" cannot be run: its status was written into the catalog'),
        ("serfHealth", 400, 'check "serfHealth" cannot be run'),
    ],
)
async def test_what_cannot_be_run_is_refused(check_id: str, status: int, message: str) -> None:
    async with virtual() as engine:
        await engine.register(engine.check("t", kind="ttl", ttl=10.0), engine.written("w"))
        with pytest.raises(Refusal) as caught:
            await engine.health.run_now(check_id)
        assert caught.value.status == status
        assert str(caught.value).startswith(message)


async def test_running_now_gives_the_new_status_when_it_is_written() -> None:
    async with serving(plain()) as served, real() as engine:
        check = engine.check("h", kind="http", http=served.url(), interval=3600.0)
        await engine.register(check)
        view = await engine.health.run_now("H")
        assert (view.check_id, view.status, engine.status("h")) == ("h", "passing", "passing")
        assert view.checked_at is not None


async def test_running_an_alias_now_judges_it() -> None:
    async with virtual() as engine:
        await engine.register(engine.check("a", kind="alias", alias_service="web-1"))
        assert (await engine.health.run_now("a")).status == "passing"


async def test_running_now_while_the_store_is_full_says_so() -> None:
    store = TroubledStore()
    async with serving(plain()) as served, real(store=store) as engine:
        await engine.register(engine.check("h", kind="http", http=served.url(), interval=3600.0))
        store.full = True
        with pytest.raises(StoreFull):
            await engine.health.run_now("h")


async def test_a_check_of_another_node_is_executed_too() -> None:
    async with serving(plain()) as served, real() as engine:
        far = NodeRecord(name="far", address="127.0.0.1")
        check = CheckRecord(
            node="far", id="h", name="h", type="http", executed=True,
            definition=CheckDefinition(kind="http", http=served.url(), interval=3600.0),
        )  # fmt: skip
        await engine.registry.transact(lambda transaction: put_node(transaction, far))
        await engine.registry.transact(lambda transaction: put_check(transaction, check, now=1.0, keeps_state=True))
        assert (await engine.health.run_now("h", node="far")).status == "passing"
        with pytest.raises(Refusal):
            await engine.health.run_now("h")
        with pytest.raises(Refusal):
            await engine.health.heartbeat("h", "passing")


@contextmanager
def few_descriptors() -> Iterator[None]:
    """Let this process open no more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("kind", ["http", "tcp"])
async def test_running_out_of_descriptors_makes_no_service_critical(kind: str) -> None:
    async with serving(plain()) as served, real() as engine:
        definition: dict[str, Any] = {kind: served.url() if kind == "http" else f"127.0.0.1:{served.port}"}
        await engine.register(engine.check("x", kind=kind, interval=3600.0, **definition))
        assert (await engine.health.run_now("x")).status == "passing"
        with few_descriptors():
            assert (await engine.health.run_now("x")).status == "passing"
        assert len(engine.probed) == 1
        assert (await engine.health.run_now("x")).status == "passing"
        assert len(engine.probed) == 2


async def test_a_file_of_the_settings_that_is_missing_is_told_at_the_start() -> None:
    with pytest.raises(SettingsError, match="no-such-file"):
        async with real(HealthSettings(tls=TLS(ca_file="no-such-file.pem"))):
            pass


async def test_the_status_of_the_whole_is_the_worst_of_its_parts() -> None:
    async with virtual() as engine:
        catalog, node = engine.registry.catalog, engine.registry.node

        def status(service_id: str) -> str:
            entry = catalog.service(node, service_id)
            assert entry is not None
            return instance_status(catalog, entry.value)

        await engine.register(engine.check("t", kind="ttl", ttl=10.0, status="passing"), service_id="web-1")
        await engine.register(engine.check("u", service="web-2", kind="ttl", ttl=10.0), service_id="web-2")
        await engine.register(service_id="db-1", name="db")
        assert (status("web-1"), status("web-2"), status("db-1")) == ("passing", "critical", "passing")
        assert (service_status(catalog, "web"), service_status(catalog, "db")) == ("critical", "passing")
        assert service_status(catalog, "none") is None
        assert overall_status(catalog) == "critical"
        await engine.health.heartbeat("u", "warning")
        assert (service_status(catalog, "web"), overall_status(catalog)) == ("warning", "warning")
        await engine.registry.transact(
            lambda transaction: set_maintenance(transaction, node, "db-1", enable=True, reason="", now=1.0)
        )
        assert (status("db-1"), overall_status(catalog)) == ("maintenance", "maintenance")
        await engine.put(engine.check("n", service="", kind="ttl", ttl=10.0))
        assert (status("web-1"), check_status(engine.record("n"))) == ("critical", "critical")


async def test_ending_does_not_wait_for_what_runs() -> None:
    async with serving(b"", stays_open=True) as served, asyncio.timeout(120), real() as engine:
        await engine.register(engine.check("h", kind="http", http=served.url(), interval=0.01, timeout=600.0))
        await engine.until_true(lambda: served.open == 1)


async def test_after_the_end_nothing_is_executed_and_ending_again_is_harmless() -> None:
    async with virtual() as engine:
        await engine.register(engine.check("t", kind="ttl", ttl=10.0))
        await engine.health.heartbeat("t", "passing")
        await engine.health.aclose()
        await engine.register(engine.check("u", kind="ttl", ttl=10.0, status="passing"))
        await engine.time.pass_(100.0)
        assert (engine.status("t"), engine.status("u")) == ("passing", "passing")


async def test_a_rewritten_record_of_another_kind_is_taken_over() -> None:
    async with virtual() as engine:
        await engine.register(engine.check("x", kind="ttl", ttl=10.0))
        await engine.health.heartbeat("x", "passing")
        await engine.register(engine.check("x", kind="alias", alias_service="web-1"))
        await engine.time.pass_(100.0)
        assert engine.status("x") == "passing"
        with pytest.raises(Refusal) as caught:
            await engine.health.heartbeat("x", "passing")
        assert caught.value.status == 500
