"""What a source has stands on its node, under the rules, whatever happens."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from homeport.errors import BackendUnavailable, InvalidValue, PermissionDenied, SettingsError
from homeport.model import CheckState, Instance
from homeport.registry.checks import put_check
from homeport.registry.mirroring import (
    SOURCE_CHECK,
    Owner,
    claim,
    origin_of,
    refuse_mirrored,
    refuse_writes_on,
)
from homeport.registry.nodes import put_node
from homeport.registry.records import CheckRecord, NodeRecord
from homeport.registry.registry import Registry
from homeport.registry.store.contract import StoreFull
from homeport.registry.store.memory import MemoryStore
from homeport.registry.store.transaction import Refusal
from homeport.spi import Cursor, Observed
from homeport.testing.memory import Memory
from tests.unit.client.virtual_time import run
from tests.unit.registry.stores import HeldStore
from tests.unit.server.sources.mirrored import HOLD, mirroring, one, source


def test_what_is_there_stands_here_and_follows() -> None:
    async def scenario() -> None:
        memory = Memory(web=[one("web", 1, tags=("eu",), weight=3, version="2.1", meta={"a": "b"}), one("web", 2)])
        async with mirroring(source(), one=memory) as mirrored:
            await mirrored.until_ids("web-1", "web-2")
            row = mirrored.rows()["web-1"]
            assert (row.name, row.address, row.port, row.tags, row.weights) == ("web", "10.0.0.1", 1, ("eu",), (3, 1))
            store = (await memory.ping())["store"]
            assert row.meta == {"a": "b", "version": "2.1", "homeport-source": store}
            memory.put("web", one("web", 2), one("web", 3))
            memory.put("db", one("db", 1))
            await mirrored.until_ids("web-2", "web-3", "db-1")
            status = mirrored.status
            assert (status.state, status.services, status.instances, status.stale_since) == ("connected", 2, 3, None)

    run(scenario())


def test_every_status_travels_and_only_a_change_is_written() -> None:
    async def scenario() -> None:
        memory = Memory(web=[one("web", 1), one("web", 2), one("web", 3), one("web", 4)])
        async with mirroring(source(), one=memory) as mirrored:
            await mirrored.until(lambda: len(mirrored.rows()) == 4)
            catalog = mirrored.registry.catalog
            untouched = catalog.service("one", "web-1")
            memory.put(
                "web", one("web", 1), one("web", 2, status="warning"), one("web", 3, status="critical"),
                one("web", 4, status="maintenance"),
            )  # fmt: skip
            await mirrored.until(lambda: "_service_maintenance:web-4" in mirrored.checks("web-4"))
            states = {
                service_id: {check.id: check.status for check in mirrored.checks(service_id).values()}
                for service_id in mirrored.rows()
            }
            assert states == {
                "web-1": {"web-1:alive": "passing"},
                "web-2": {"web-2:alive": "warning"},
                "web-3": {"web-3:alive": "critical"},
                "web-4": {"_service_maintenance:web-4": "critical"},
            }
            assert mirrored.checks("web-3")["web-3:alive"].output == "is critical"
            assert mirrored.checks("web-3")["web-3:alive"].critical_since > 0
            assert catalog.service("one", "web-1") is untouched
            revision = catalog.revision
            memory.put("web", *reversed((await memory.fetch("web")).instances))
            memory.put("other", one("other", 1))
            await mirrored.until(lambda: "other-1" in mirrored.rows())
            changed = [entry for entry in catalog.image.entries.values() if entry.modified > revision]
            assert {entry.value.id for entry in changed if hasattr(entry.value, "id")} == {"other-1", "other-1:alive"}

    run(scenario())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"web-1", "web-2", "web-3", "api-1", "db-1"}),
        ({"services": ("web", "d*")}, {"web-1", "web-2", "web-3", "db-1"}),
        ({"tags": ("eu", "blue")}, {"web-1"}),
        ({"passing": True}, {"web-1", "web-2", "api-1", "db-1"}),
        ({"datacenter": "dc1"}, {"web-1", "web-2", "web-3", "api-1", "db-1"}),
    ],
)
def test_only_what_is_asked_for(settings: dict[str, Any], expected: set[str]) -> None:
    async def scenario() -> None:
        memory = Memory(
            web=[one("web", 1, tags=("blue", "eu")), one("web", 2, tags=("eu",)), one("web", 3, status="critical")],
            api=[one("api", 1)], db=[one("db", 1)],
        )  # fmt: skip
        async with mirroring(source(**settings), one=memory) as mirrored:
            await mirrored.until(lambda: mirrored.rows().keys() >= expected)
            await mirrored.until(lambda: mirrored.status.state == "connected")
            assert mirrored.rows().keys() == expected

    run(scenario())


def test_another_datacenter_is_asked_for_as_such() -> None:
    async def scenario() -> None:
        async with mirroring(source(datacenter="dc7"), one=Memory(web=[one("web", 1)])) as mirrored:
            await mirrored.until(lambda: "dc7" in mirrored.status.reason)

    run(scenario())


def test_a_service_that_is_named_needs_no_list() -> None:
    class Unlisted(Memory):
        async def services(self, *, datacenter: str = "") -> list[object]:  # type: ignore[override]
            raise AssertionError(datacenter)

    async def scenario() -> None:
        async with mirroring(source(services=("web",)), one=Unlisted(web=[one("web", 1)])) as mirrored:
            await mirrored.until_ids("web-1")
            assert mirrored.status.state == "connected"

    run(scenario())


def test_a_prefix_stands_before_every_name() -> None:
    async def scenario() -> None:
        async with mirroring(source(prefix="far-"), one=Memory(web=[one("web", 1)])) as mirrored:
            await mirrored.until_ids("web-1")
            assert mirrored.registry.catalog.service_names() == ["far-web"]

    run(scenario())


def test_equal_ids_are_kept_apart() -> None:
    async def scenario() -> None:
        memory = Memory(
            web=[one("web", 1, id="x", node="a"), one("web", 2, id="X", node="b")], api=[one("api", 3, id="x")]
        )
        async with mirroring(source(), one=memory) as mirrored:
            await mirrored.until(lambda: len(mirrored.rows()) == 3)
            assert {row.port for row in mirrored.rows().values()} == {1, 2, 3}
            assert len({row_id.lower() for row_id in mirrored.rows()}) == 3
            assert {row.meta.get("homeport-source-id", row.id).lower() for row in mirrored.rows().values()} == {"x"}

    run(scenario())


class TestRemovals:
    def test_most_of_a_source_is_held_and_then_goes(self) -> None:
        async def scenario() -> None:
            memory = Memory(web=[one("web", number) for number in range(4)], db=[one("db", 1)])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until(lambda: len(mirrored.rows()) == 5)
                memory.put("web", one("web", 7))
                await mirrored.until(lambda: "web-7" in mirrored.rows())
                assert len(mirrored.rows()) == 6, "what is new is not held"
                (held,) = mirrored.status.held
                assert (held.service, held.instances) == ("web", 4)
                memory.put("web", one("web", 0), one("web", 7))  # one is back
                await mirrored.until(lambda: mirrored.status.held[0].instances == 3)
                await mirrored.until_ids("web-0", "web-7", "db-1")
                assert not mirrored.status.held

        run(scenario())

    def test_only_what_is_held_is_logged_as_such(self, caplog: pytest.LogCaptureFixture) -> None:
        async def scenario() -> None:
            memory = Memory(web=[one("web", number) for number in range(6)])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until(lambda: len(mirrored.rows()) == 6)
                memory.put("web", *(one("web", number) for number in range(5)))
                await mirrored.until(lambda: len(mirrored.rows()) == 5)
                said = "most of a source is gone at once; it is kept for a while"
                assert said not in caplog.messages
                memory.put("web", one("web", 0))
                await mirrored.until(lambda: bool(mirrored.status.held))
                await mirrored.until_ids("web-0")
                assert caplog.messages.count(said) == 1

        run(scenario())

    def test_without_a_hold_it_goes_at_once(self) -> None:
        async def scenario() -> None:
            memory = Memory(web=[one("web", number) for number in range(4)])
            async with mirroring(source(removal_hold=0.0), one=memory) as mirrored:
                await mirrored.until(lambda: len(mirrored.rows()) == 4)
                memory.put("web", one("web", 7))
                await mirrored.until(lambda: "web-7" in mirrored.rows())
                assert mirrored.rows().keys() == {"web-7"}

        run(scenario())

    def test_after_a_wipe_it_is_held_once_and_not_twice(self) -> None:
        async def scenario() -> None:
            memory = Memory(web=[one("web", number) for number in range(4)])
            async with mirroring(source(removal_hold=100.0), one=memory) as mirrored:
                await mirrored.until(lambda: len(mirrored.rows()) == 4)
                memory.wipe()
                await mirrored.until(lambda: mirrored.status.state == "stale")
                assert mirrored.status.reason == (
                    "memory:// lost its data or was replaced; what it has no more is kept for 100 s"
                )
                assert len(mirrored.rows()) == 4
                stale_since = asyncio.get_running_loop().time()
                await mirrored.until(lambda: not mirrored.rows())
                assert asyncio.get_running_loop().time() - stale_since < 190.0

        run(scenario())


class TestNames:
    def test_a_service_here_goes_before_and_comes_back_after(self) -> None:
        async def scenario() -> None:
            async with mirroring(source(), one=Memory(web=[one("web", 1)], db=[one("db", 1)])) as mirrored:
                await mirrored.until_ids("web-1", "db-1")
                await mirrored.register("Web", "own")
                await mirrored.until_ids("db-1")
                assert [(one.service, one.node) for one in mirrored.status.conflicts] == [("web", "homeport")]
                await mirrored.deregister("own")
                await mirrored.until_ids("web-1", "db-1")
                assert not mirrored.status.conflicts

        run(scenario())

    def test_merged_both_are_there(self) -> None:
        async def scenario() -> None:
            async with mirroring(source(merge=True), one=Memory(web=[one("web", 1)])) as mirrored:
                await mirrored.register("web", "own")
                await mirrored.until_ids("web-1")
                assert [entry.value.id for entry in mirrored.registry.catalog.instances("web")] == ["own", "web-1"]
                assert not mirrored.status.conflicts

        run(scenario())

    def test_two_sources_may_give_one_id(self) -> None:
        async def scenario() -> None:
            first, second = Memory(web=[one("web", 1, id="x")]), Memory(web=[one("web", 2, id="X")])
            async with mirroring(
                source("one", merge=True), source("two", merge=True), one=first, two=second
            ) as mirrored:
                await mirrored.until_ids("x", node="one")
                await mirrored.until_ids("X", node="two")
                first.put("web")
                await mirrored.until_ids(node="one")
                assert mirrored.rows("two")["X"].port == 2

        run(scenario())

    def test_the_source_that_is_named_first_has_a_name(self) -> None:
        async def scenario() -> None:
            first, second = Memory(), Memory(web=[one("web", 2)])
            async with mirroring(source("one"), source("two"), one=first, two=second) as mirrored:
                await mirrored.until_ids("web-2", node="two")
                first.put("web", one("web", 1))
                await mirrored.until_ids("web-1", node="one")
                await mirrored.until_ids(node="two")
                assert mirrored.sources.statuses()[1].conflicts[0].node == "one"
                assert not mirrored.status.conflicts

        run(scenario())


class TestLoops:
    def test_a_service_that_only_came_from_here_is_no_conflict(self) -> None:
        async def scenario() -> None:
            async with Registry(MemoryStore()) as registry:
                back = one("web", 1, meta={"homeport-source": registry.identity.id})
                memory = Memory(web=[back], db=[one("db", 1)])
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.register("web", "web-1")
                    await mirrored.until_ids("db-1")
                    await mirrored.until(lambda: mirrored.status.looped == 1)
                    assert not mirrored.status.conflicts
                    memory.put("web", back, one("web", 2))  # now the source has one of its own
                    await mirrored.until(lambda: bool(mirrored.status.conflicts))
                    assert (set(mirrored.rows()), mirrored.status.looped) == ({"db-1"}, 1)

        run(scenario())

    def test_what_came_from_here_is_left_out(self) -> None:
        async def scenario() -> None:
            async with Registry(MemoryStore()) as registry:
                back = {"homeport-source": f"far {registry.identity.id}"}
                memory = Memory(web=[one("web", 1, meta=back), one("web", 2, meta={"homeport-source": "far"})])
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.until_ids("web-2")
                    store = (await memory.ping())["store"]
                    assert mirrored.rows()["web-2"].meta["homeport-source"] == f"far {store}"
                    assert mirrored.status.looped == 1

        run(scenario())

    def test_the_registry_itself_is_refused(self) -> None:
        class Oneself(Memory):
            store = ""

            async def ping(self) -> dict[str, str]:
                return {"store": self.store}

        async def scenario() -> None:
            async with Registry(MemoryStore()) as registry:
                memory = Oneself(web=[one("web", 1)])
                memory.store = registry.identity.id
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.until(lambda: mirrored.status.state == "refused")
                    assert mirrored.status.reason == "memory:// is this registry itself"
                    assert not mirrored.rows()
                    memory.store = "another"  # somebody else answers there
                    await mirrored.until_ids("web-1")
                    assert mirrored.rows()["web-1"].meta["homeport-source"] == "another"

        run(scenario())

    def test_who_answers_is_asked_again_after_an_outage(self) -> None:
        class Known(Memory):
            store = "first"

            async def ping(self) -> dict[str, str]:
                return {"store": self.store}

        async def scenario() -> None:
            memory = Known(web=[one("web", 1)])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until_ids("web-1")
                with memory.outage():
                    await mirrored.until(lambda: mirrored.status.state == "stale")
                    memory.store = "second"
                await mirrored.until(lambda: mirrored.rows()["web-1"].meta["homeport-source"] == "second")

        run(scenario())

    def test_so_is_who_never_told_of_a_service_before_it(self) -> None:
        class Known(Memory):
            store = "first"

            async def ping(self) -> dict[str, str]:
                return {"store": self.store}

            async def watch(
                self, service: str, *, datacenter: str = "", after: Cursor | None = None
            ) -> AsyncGenerator[Observed, None]:
                if self.store == "first":
                    raise BackendUnavailable("it tells no more than names")
                async for observed in super().watch(service, datacenter=datacenter, after=after):
                    yield observed

        async def scenario() -> None:
            memory = Known(web=[one("web", 1)])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until(lambda: mirrored.status.state == "stale")
                memory.store = "second"
                await mirrored.until_ids("web-1")
                assert mirrored.rows()["web-1"].meta["homeport-source"] == "second"

        run(scenario())


class TestOutages:
    def test_rows_stay_and_are_marked_until_it_is_back(self) -> None:
        async def scenario() -> None:
            memory = Memory(web=[one("web", 1)])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until_ids("web-1")

                def told() -> str:
                    check = mirrored.registry.catalog.check("one", SOURCE_CHECK)
                    assert check is not None
                    assert check.value.status == "passing"
                    return str(check.value.output)

                assert told() == "mirrored from memory://"
                with memory.outage():
                    await mirrored.until(lambda: "not confirmed since" in told())
                    assert mirrored.status.state == "stale"
                    assert mirrored.status.stale_since is not None
                    assert mirrored.status.reason in told()
                    assert mirrored.rows().keys() == {"web-1"}
                await mirrored.until(lambda: told() == "mirrored from memory://")
                await mirrored.until(lambda: mirrored.status.state == "connected")

        run(scenario())

    def test_a_source_that_refuses_at_first_is_mirrored_once_it_does_not(self) -> None:
        async def scenario() -> None:
            memory = Memory(web=[one("web", 1)])
            with memory.failing(PermissionDenied("the token may not")):
                async with mirroring(source(), one=memory) as mirrored:
                    await mirrored.until(lambda: mirrored.status.reason == "the token may not")
                    assert mirrored.status.state == "connecting"
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until_ids("web-1")

        run(scenario())

    def test_rows_stay_while_a_token_is_revoked(self) -> None:
        async def scenario() -> None:
            memory = Memory(web=[one("web", 1)])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until_ids("web-1")
                with memory.failing(PermissionDenied("the token may not")):
                    await mirrored.until(lambda: mirrored.status.state == "stale")
                    assert mirrored.status.reason == "the token may not"
                    await asyncio.sleep(2 * HOLD)
                    assert mirrored.rows().keys() == {"web-1"}
                await mirrored.until(lambda: mirrored.status.state == "connected")

        run(scenario())

    def test_a_store_that_is_full_is_tried_again(self) -> None:
        async def scenario() -> None:
            full = True
            store = HeldStore(fault=lambda number: StoreFull("the disk is full") if full and number else None)
            async with Registry(store) as registry:
                memory = Memory(web=[one("web", 1)])
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.until(lambda: mirrored.status.reason == "the disk is full")
                    assert mirrored.status.state == "stale"
                    full = False
                    await mirrored.until_ids("web-1")
                    await mirrored.until(lambda: mirrored.status.state == "connected")

        run(scenario())

    def test_a_full_store_says_nothing_about_the_source(self) -> None:
        """What the node says is for those who mirror it, and could not be written before there is space again."""

        async def scenario() -> None:
            full = True
            store = HeldStore(fault=lambda number: StoreFull("the disk is full") if full and number else None)
            memory = Memory(web=[one("web", 1)])
            async with Registry(store) as registry, mirroring(source(), registry=registry, one=memory) as mirrored:
                await mirrored.until(lambda: mirrored.status.reason == "the disk is full")
                await asyncio.sleep(10.0)
                full = False
                await mirrored.until(lambda: mirrored.status.state == "connected")
                await asyncio.sleep(10.0)
                puts = [put.value for group in store.groups for effect in group for put in effect.puts.values()]
                said = [put.output for put in puts if isinstance(put, CheckRecord) and put.id == SOURCE_CHECK]
                assert set(said) == {"mirrored from memory://"}

        run(scenario())

    def test_a_removal_that_was_held_and_could_not_be_written_is_tried_again(self) -> None:
        async def scenario() -> None:
            full = False
            store = HeldStore(fault=lambda _: StoreFull("the disk is full") if full else None)
            async with Registry(store) as registry:
                memory = Memory(web=[one("web", number) for number in range(5)])
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.until(lambda: len(mirrored.rows()) == 5)
                    memory.put("web", one("web", 0))
                    await mirrored.until(lambda: bool(mirrored.status.held))
                    full = True
                    await mirrored.until(lambda: mirrored.status.state == "stale")
                    await asyncio.sleep(HOLD)
                    assert len(mirrored.rows()) == 5
                    full = False
                    await mirrored.until_ids("web-0")
                    assert (mirrored.status.state, mirrored.status.held) == ("connected", [])

        run(scenario())

    def test_what_could_not_be_written_is_written_later(self) -> None:
        async def scenario() -> None:
            full = False
            store = HeldStore(fault=lambda _: StoreFull("the disk is full") if full else None)
            async with Registry(store) as registry:
                memory = Memory(web=[one("web", 1)])
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.until_ids("web-1")
                    full = True
                    memory.put("web", one("web", 1), one("web", 2))
                    await mirrored.until(lambda: mirrored.status.reason == "the disk is full")
                    full = False
                    await mirrored.until_ids("web-1", "web-2")

        run(scenario())

    def test_what_could_not_be_removed_is_not_told_as_held(self) -> None:
        async def scenario() -> None:
            full = False
            store = HeldStore(fault=lambda _: StoreFull("the disk is full") if full else None)
            async with Registry(store) as registry:
                memory = Memory(web=[one("web", number) for number in range(5)])
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.until(lambda: len(mirrored.rows()) == 5)
                    full = True
                    memory.put("web", *(one("web", number) for number in range(3)))
                    await mirrored.until(lambda: mirrored.status.state == "stale")
                    assert not mirrored.status.held
                    full = False
                    await mirrored.until_ids("web-0", "web-1", "web-2")

        run(scenario())

    def test_a_backend_that_breaks_its_promises_is_asked_again(self) -> None:
        class Broken(Memory):
            broken = True

            async def services(self, *, datacenter: str = "") -> object:  # type: ignore[override]
                if self.broken:
                    raise ZeroDivisionError
                return await super().services(datacenter=datacenter)

        async def scenario() -> None:
            memory = Broken(web=[one("web", 1)])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until(lambda: "ZeroDivisionError" in mirrored.status.reason)
                memory.broken = False
                await mirrored.until_ids("web-1")

        run(scenario())


class TestWhatCannotBeMirrored:
    @pytest.mark.parametrize(
        "broken",
        [
            one("bad", 1, id="bad-\ud800"),
            one("bad", 1, tags=("\udfff",)),
            one("bad", 1, meta={"\ud800": "x"}),
            one("bad", 1, checks=(CheckState(id="alive", output="\ud800"),)),
        ],
    )
    def test_an_instance_that_cannot_be_stored_keeps_no_other_away(
        self, broken: Instance, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scenario() -> None:
            memory = Memory(bad=[broken, one("bad", 2)], web=[one("web", 1)])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until_ids("bad-2", "web-1")
                assert mirrored.status.state == "connected"
                told = mirrored.status.reason
                assert told.startswith(f"the instance {broken.id!a} of 'bad' cannot be stored (")
                assert told.isascii()
                memory.put("bad", broken, one("bad", 2), one("bad", 3))
                await mirrored.until_ids("bad-2", "bad-3", "web-1")
                assert caplog.messages.count("an instance cannot be mirrored") == 1
                memory.put("bad", one("bad", 1), one("bad", 2))
                await mirrored.until_ids("bad-1", "bad-2", "web-1")
                assert not mirrored.status.reason

        run(scenario())

    def test_an_instance_that_cannot_be_stored_takes_no_id(self) -> None:
        async def scenario() -> None:
            memory = Memory(bad=[one("bad", 1, id="x", tags=("\ud800",))], web=[one("web", 1, id="x")])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until_ids("x")
                assert mirrored.rows()["x"].name == "web"

        run(scenario())

    def test_an_instance_that_cannot_be_stored_any_more_goes(self) -> None:
        async def scenario() -> None:
            memory = Memory(bad=[one("bad", 1)], web=[one("web", 1), one("web", 2)])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until_ids("bad-1", "web-1", "web-2")
                memory.put("bad", one("bad", 1, tags=("\ud800",)))
                await mirrored.until_ids("web-1", "web-2")
                memory.put("bad")
                await mirrored.until(lambda: not mirrored.status.reason)

        run(scenario())

    def test_a_service_that_cannot_be_asked_for_is_told(self) -> None:
        class Picky(Memory):
            async def watch(
                self, service: str, *, datacenter: str = "", after: Cursor | None = None
            ) -> AsyncGenerator[Observed, None]:
                if service.startswith("."):
                    raise InvalidValue(f'"{service}" cannot be asked for')
                async for observed in super().watch(service, datacenter=datacenter, after=after):
                    yield observed

        async def scenario() -> None:
            memory = Picky({".": [one(".", 1)], "..": [one("..", 1)], "web": [one("web", 1)]})
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until_ids("web-1")
                await mirrored.until(lambda: bool(mirrored.status.reason))
                assert mirrored.status.state == "connected"
                assert mirrored.status.reason == (
                    '"." cannot be asked for (one of 2 services that are not mirrored whole)'
                )
                memory.put(".")
                await mirrored.until(lambda: mirrored.status.reason == '".." cannot be asked for')
                memory.put("..")
                await mirrored.until(lambda: not mirrored.status.reason)

        run(scenario())

    def test_a_defect_is_logged_once_and_not_with_every_attempt(self, caplog: pytest.LogCaptureFixture) -> None:
        class Odd(Memory):
            asked = 0

            async def ping(self) -> Mapping[str, str]:
                self.asked += 1
                if self.asked > 1:
                    raise ZeroDivisionError
                return await super().ping()

        async def scenario() -> None:
            memory = Odd(web=[one("web", 1)])
            async with mirroring(source(), one=memory) as mirrored:
                await mirrored.until_ids("web-1")
                with memory.outage():
                    await mirrored.until(lambda: mirrored.status.state == "stale")
                await mirrored.until(lambda: memory.asked > 5)
                assert mirrored.status.reason == "ZeroDivisionError()"
                assert caplog.messages.count("a source was not written; it is tried again") == 1

        run(scenario())


class TestStarts:
    def test_another_url_under_the_same_name_that_does_not_answer_is_told_on_the_node(self) -> None:
        class Moved(Memory):
            url = "memory://moved"

        async def scenario() -> None:
            async with Registry(MemoryStore()) as registry:
                before, after = Memory(web=[one("web", 1)]), Moved()
                async with mirroring(source(), registry=registry, one=before) as mirrored:
                    await mirrored.until_ids("web-1")
                with after.outage():
                    async with mirroring(source(), registry=registry, one=after):

                        def told() -> str:
                            check = registry.catalog.check("one", SOURCE_CHECK)
                            return "" if check is None else str(check.value.output)

                        assert told() == "mirrored from memory://moved"
                        await mirrored.until(lambda: told().startswith("mirrored from memory://moved, not confirmed"))

        run(scenario())

    def test_rows_of_before_stay_and_are_corrected(self) -> None:
        async def scenario() -> None:
            memory = Memory(web=[one("web", number) for number in range(5)], old=[one("old", 1)])
            async with Registry(MemoryStore()) as registry:
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.until(lambda: len(mirrored.rows()) == 6)
                memory.put("web", *(one("web", number) for number in range(1, 6)))
                memory.put("old")
                with memory.outage():
                    async with mirroring(source(), registry=registry, one=memory) as mirrored:
                        assert len(mirrored.rows()) == 6
                        assert mirrored.status.state == "connecting"
                kept = registry.catalog.service("one", "web-1")
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.until_ids(*(f"web-{number}" for number in range(1, 6)))
                    assert registry.catalog.service("one", "web-1") is kept

        run(scenario())

    def test_a_source_that_is_no_more_goes_with_its_node(self) -> None:
        async def scenario() -> None:
            many = Memory(web=[one("web", number) for number in range(70)])
            async with Registry(MemoryStore()) as registry:
                async with mirroring(source(), registry=registry, one=many) as mirrored:
                    await mirrored.until(lambda: len(mirrored.rows()) == 70)
                async with mirroring(source("two"), registry=registry, two=Memory()):
                    assert registry.catalog.node("one") is None
                    assert not registry.catalog.instances("web")
                    assert registry.catalog.node("two") is not None
                async with mirroring(registry=registry):
                    assert [entry.value.name for entry in registry.catalog.node_entries()] == ["homeport"]

        run(scenario())

    def test_a_source_that_is_no_more_goes_when_there_is_space_again(self) -> None:
        async def scenario() -> None:
            full = False
            store = HeldStore(fault=lambda _: StoreFull("the disk is full") if full else None)
            memory = Memory(web=[one("web", 1)])
            async with Registry(store) as registry:
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.until_ids("web-1")
                full = True
                async with mirroring(source("two"), registry=registry, two=memory) as mirrored:
                    await asyncio.sleep(10.0)
                    assert mirrored.rows("one").keys() == {"web-1"}
                    full = False
                    await mirrored.until(lambda: registry.catalog.node("one") is None)
                    await mirrored.until_ids("web-1", node="two")

        run(scenario())

    def test_what_other_settings_mirrored_goes_at_once(self) -> None:
        async def scenario() -> None:
            memory = Memory(web=[one("web", 1)], db=[one("db", 1)])
            async with Registry(MemoryStore()) as registry:
                async with mirroring(source(), registry=registry, one=memory) as mirrored:
                    await mirrored.until_ids("web-1", "db-1")
                with memory.outage():
                    async with mirroring(source(services=("web",)), registry=registry, one=memory) as mirrored:
                        assert mirrored.rows().keys() == {"web-1"}

        run(scenario())

    def test_names_must_differ(self) -> None:
        async def scenario() -> None:
            with pytest.raises(SettingsError, match='two sources have the name "one"; give each one of its own'):
                async with mirroring(source("one"), source("One"), one=Memory(), One=Memory()):
                    pass

        run(scenario())

    def test_the_node_of_somebody_else_is_not_taken(self) -> None:
        async def scenario() -> None:
            async with Registry(MemoryStore()) as registry:
                await registry.transact(lambda transaction: put_node(transaction, NodeRecord(name="one")))
                with pytest.raises(SettingsError, match='the node "one" exists already and is no source'):
                    async with mirroring(source(), registry=registry, one=Memory()):
                        pass

        run(scenario())


def test_an_owner_that_was_replaced_writes_no_more() -> None:
    async def scenario() -> None:
        memory = Memory(web=[one("web", 1)])
        async with mirroring(source(), one=memory) as mirrored:
            await mirrored.until_ids("web-1")
            registry, other = mirrored.registry, Owner("one", "another")
            await registry.transact(
                lambda transaction: claim(transaction, other, url="memory://", address="127.0.0.1", now=0.0)
            )
            memory.put("web", one("web", 2))
            began = time.time()
            await mirrored.until(lambda: mirrored.status.state == "refused")
            assert mirrored.status.reason == 'the source "one" has another owner now'
            assert mirrored.status.stale_since is not None
            assert mirrored.status.stale_since >= began, "until now it was mirrored"
            assert mirrored.rows().keys() == {"web-1"}

    run(scenario())


def test_checks_that_were_given_here_stay() -> None:
    async def scenario() -> None:
        memory = Memory(web=[one("web", 1)])
        async with mirroring(source(), one=memory) as mirrored:
            await mirrored.until_ids("web-1")
            own = CheckRecord(node="one", id="own", service_id="web-1", service_name="web", origin="file")
            await mirrored.registry.transact(
                lambda transaction: put_check(transaction, own, now=0.0, keeps_state=False)
            )
            memory.put("web", one("web", 1, status="warning"))
            await mirrored.until(lambda: mirrored.checks("web-1")["web-1:alive"].status == "warning")
            assert mirrored.checks("web-1").keys() == {"own", "web-1:alive"}

    run(scenario())


def test_a_status_without_a_check_is_shown_by_one() -> None:
    async def scenario() -> None:
        plain = Instance(id="a", service="web", address="10.0.0.1", status="critical")
        async with mirroring(source(), one=Memory(web=[plain])) as mirrored:
            await mirrored.until_ids("a")
            assert {check.name: check.status for check in mirrored.checks("a").values()} == {
                "Status at the source": "critical"
            }

    run(scenario())


def test_refused_writes_name_the_source() -> None:
    async def scenario() -> None:
        async with mirroring(source(), one=Memory(web=[one("web", 1)])) as mirrored:
            await mirrored.until_ids("web-1")
            registry = mirrored.registry
            for refused in (
                lambda transaction: refuse_writes_on(transaction, "ONE"),
                lambda transaction: refuse_mirrored(transaction, "web-1"),
            ):
                with pytest.raises(Refusal, match="mirrored from memory://; change it there") as refusal:
                    await registry.transact(refused)
                assert refusal.value.status == 409
            assert origin_of(registry.catalog, "web-1:alive") == "memory://"
            assert origin_of(registry.catalog, "web-2") is None

    run(scenario())
