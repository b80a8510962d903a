"""Alias checks: another service's status as one's own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from homeport.model import Status
from homeport.registry.checks import put_check, set_maintenance
from homeport.registry.health import HealthSettings
from homeport.registry.nodes import put_node
from homeport.registry.records import CheckRecord, NodeRecord
from tests.integration.health.engine import Engine, TroubledStore, virtual


async def with_alias(engine: Engine, *, of: str = "db-1", **definition: Any) -> None:
    """``web-1`` with the alias ``a`` of ``db-1``, which has the TTL checks ``t`` and ``u``."""
    await engine.register(
        engine.check("t", service="db-1", kind="ttl", ttl=1000.0, status="passing"),
        engine.check("u", service="db-1", kind="ttl", ttl=1000.0, status="passing"),
        service_id="db-1", name="db",
    )  # fmt: skip
    await engine.register(engine.check("a", kind="alias", alias_service=of, **definition))
    await engine.time.pass_(0.0)


def said(engine: Engine, check_id: str = "a") -> tuple[str, str]:
    record = engine.record(check_id)
    return record.status, record.output


async def test_it_follows_the_worst_check_of_its_target() -> None:
    async with virtual() as engine:
        await with_alias(engine)
        assert said(engine) == ("passing", "All checks passing.")
        await engine.health.heartbeat("t", "warning", "slow")
        await engine.time.pass_(0.0)
        assert said(engine) == ("warning", 'Aliased check "name of t" failing: slow')
        await engine.health.heartbeat("u", "critical", "dead")
        await engine.time.pass_(0.0)
        assert said(engine) == ("critical", 'Aliased check "name of u" failing: dead')
        await engine.health.heartbeat("u", "passing")
        await engine.health.heartbeat("t", "passing")
        await engine.time.pass_(0.0)
        assert said(engine) == ("passing", "All checks passing.")


async def test_a_target_without_checks_passes() -> None:
    async with virtual() as engine:
        await engine.register(service_id="db-1", name="db")
        await engine.register(engine.check("a", kind="alias", alias_service="db-1"))
        await engine.time.pass_(0.0)
        assert said(engine) == ("passing", "No checks found.")


async def test_a_missing_target_is_critical_until_it_comes() -> None:
    async with virtual() as engine:
        await engine.register(engine.check("a", kind="alias", alias_service="db-1"))
        await engine.time.pass_(0.0)
        assert said(engine) == ("critical", f"Service db-1 could not be found on node {engine.registry.node}")
        await engine.register(service_id="db-1", name="db")
        await engine.time.pass_(0.0)
        assert engine.status("a") == "passing"
        await engine.deregister("db-1")
        await engine.time.pass_(0.0)
        assert engine.status("a") == "critical"


async def test_checks_of_the_targets_node_count_too() -> None:
    async with virtual() as engine:
        await with_alias(engine)
        await engine.put(engine.check("n", service="", kind="ttl", ttl=1000.0, status="passing"))
        await engine.health.heartbeat("n", "critical", "disk full")
        await engine.time.pass_(0.0)
        assert said(engine) == ("critical", 'Aliased check "name of n" failing: disk full')


async def test_maintenance_of_the_target_counts() -> None:
    async with virtual() as engine:
        await with_alias(engine)
        node = engine.registry.node
        await engine.registry.transact(
            lambda transaction: set_maintenance(transaction, node, "db-1", enable=True, reason="work", now=1.0)
        )
        await engine.time.pass_(0.0)
        assert engine.status("a") == "critical"


async def test_an_alias_of_another_node() -> None:
    async with virtual() as engine:
        await engine.register(engine.check("a", kind="alias", alias_node="far"))
        await engine.time.pass_(0.0)
        assert said(engine) == ("critical", "Node far could not be found")
        far = CheckRecord(node="far", id="ping", name="ping", status="passing")
        await engine.registry.transact(lambda transaction: put_node(transaction, NodeRecord(name="far")))
        await engine.registry.transact(lambda transaction: put_check(transaction, far, now=1.0, keeps_state=False))
        await engine.time.pass_(0.0)
        assert engine.status("a") == "passing"
        down = msgspec.structs.replace(far, status="critical", output="no answer")
        await engine.registry.transact(lambda transaction: put_check(transaction, down, now=2.0, keeps_state=False))
        await engine.time.pass_(0.0)
        assert said(engine) == ("critical", 'Aliased check "ping" failing: no answer')


async def test_a_change_of_another_service_does_not_concern_it() -> None:
    async with virtual() as engine:
        await with_alias(engine)
        await engine.register(
            engine.check("o", service="other-1", kind="ttl", ttl=1000.0), service_id="other-1", name="other"
        )
        await engine.time.pass_(0.0)
        assert engine.status("a") == "passing"


async def test_an_alias_of_its_own_service_does_not_hold_itself_down() -> None:
    async with virtual() as engine:
        await engine.register(
            engine.check("t", kind="ttl", ttl=1000.0, status="passing"),
            engine.check("a", kind="alias", alias_service="web-1"),
        )
        await engine.time.pass_(0.0)
        assert engine.status("a") == "passing"


@pytest.mark.parametrize("first", ["passing", "critical"])
async def test_aliases_of_each_other_come_to_rest(first: Status) -> None:
    async with virtual() as engine:
        await engine.register(
            engine.check("a", service="s1", kind="alias", alias_service="s2", status="passing"),
            service_id="s1", name="one",
        )  # fmt: skip
        await engine.register(
            engine.check("b", service="s2", kind="alias", alias_service="s1", status=first),
            service_id="s2", name="two",
        )  # fmt: skip
        await engine.time.pass_(1.0)
        revision = engine.registry.catalog.revision
        await engine.time.pass_(200.0)
        assert engine.registry.catalog.revision == revision
        assert engine.status("a") == engine.status("b")


async def test_what_could_not_be_written_is_mended_by_looking_again() -> None:
    store = TroubledStore()
    async with virtual(HealthSettings(alias_refresh_interval=20.0), store=store) as engine:
        await with_alias(engine)
        await engine.health.heartbeat("t", "critical")
        store.full = True
        await engine.time.pass_(0.0)
        assert engine.status("a") == "passing"
        store.full = False
        await engine.time.pass_(21.0)
        assert engine.status("a") == "critical"


async def test_it_looks_by_itself_as_often_as_told() -> None:
    async with virtual(HealthSettings(alias_refresh_interval=20.0)) as engine:
        await with_alias(engine)
        began = engine.time.clock()
        await engine.time.pass_(19.0)
        view = engine.health.live("a")
        assert view is not None
        assert view.checked_at == began
        await engine.time.pass_(2.0)
        view = engine.health.live("a")
        assert view is not None
        assert view.checked_at == pytest.approx(began + 20.0, abs=0.1)


async def test_aliases_do_not_all_look_at_the_same_time() -> None:
    async with virtual(HealthSettings(alias_refresh_interval=20.0), random=0.25) as engine:
        await with_alias(engine)
        began = engine.time.clock()
        await engine.time.pass_(15.5)
        view = engine.health.live("a")
        assert view is not None
        assert view.checked_at == pytest.approx(began + 15.0, abs=0.1)


async def test_an_alias_that_is_gone_is_told_nothing() -> None:
    async with virtual() as engine:
        await with_alias(engine)
        await engine.deregister("web-1")
        await engine.health.heartbeat("t", "critical")
        await engine.time.pass_(100.0)
        assert sorted(engine.ids()) == ["t", "u"]


async def test_an_alias_that_follows_another_target_now() -> None:
    async with virtual() as engine:
        await with_alias(engine)
        await engine.register(engine.check("v", service="db-2", kind="ttl", ttl=1000.0), service_id="db-2", name="db")
        await engine.register(engine.check("a", kind="alias", alias_service="db-2"))
        await engine.time.pass_(0.0)
        assert engine.status("a") == "critical"
        await engine.health.heartbeat("t", "critical")
        await engine.health.heartbeat("v", "passing")
        await engine.time.pass_(0.0)
        assert engine.status("a") == "passing"
