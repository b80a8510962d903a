"""The watch: what it delivers, in which order, and what it does in an outage. On virtual time."""

import asyncio
import logging
import random
from collections import Counter
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport import Discovery
from homeport.balancing import Loads, LoadTable, Picker
from homeport.client.settings import ClientSettings
from homeport.client.upstream import NOT_ITS_TURN
from homeport.client.watch import Watch
from homeport.errors import BackendUnavailable, InvalidValue, NoInstances, NotReady, PermissionDenied, SettingsError
from homeport.model import Instance, Snapshot, diff
from homeport.spi import Observed
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import now, run

A, B, C = instance("a"), instance("b"), instance("c")


def discovery(backend: ScriptedBackend, **settings: Any) -> Discovery:
    return Discovery(backend, settings=ClientSettings(**settings), environ={})


async def until_settled() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


def ids(snapshot: Snapshot) -> list[str]:
    return [one.id for one in snapshot]


def test_it_enters_with_its_first_snapshot() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", B, A)
        async with discovery(backend) as client, client.watch("billing") as billing:
            assert ids(billing.current) == ["a", "b"]
            assert billing.current.revision == 1
            assert billing.current.backend == "scripted://"
            assert not billing.current.stale

    run(main())


def test_it_raises_when_there_is_no_first_snapshot() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.fail()
        async with discovery(backend) as client:
            with pytest.raises(BackendUnavailable):
                async with client.watch("billing"):
                    pass
            backend.recover()
            async with client.watch("billing") as billing:  # and leaves nothing broken behind
                assert ids(billing.current) == []

    run(main())


def test_before_it_began_it_says_what_to_do() -> None:
    async def main() -> None:
        async with discovery(ScriptedBackend()) as client:
            billing = client.watch("billing")
            for ask in (lambda: billing.current, billing.pick, billing.call):
                with pytest.raises(NotReady, match="await it first"):
                    ask()

    run(main())


def test_it_can_be_awaited_and_closed_instead() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            billing = await client.watch("billing")
            assert backend.watching["billing"] == 1
            await billing.close()
            await billing.close()
            assert backend.watching["billing"] == 0
            with pytest.raises(NotReady, match="closed"):
                await billing.begin()

    run(main())


def test_every_change_is_delivered_in_order_to_a_reader_that_keeps_up() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client, client.watch("billing") as billing:
            seen: list[tuple[int, list[str]]] = []

            async def read() -> None:
                async for snapshot in billing:
                    seen.append((snapshot.revision, ids(snapshot)))
                    if ids(snapshot) == ["c"]:
                        return

            reader = asyncio.create_task(read())
            for instances in ((A,), (A, B), (B,), (C,)):
                await until_settled()
                backend.put("billing", *instances)
            await reader
            assert seen == [(1, []), (2, ["a"]), (3, ["a", "b"]), (4, ["b"]), (5, ["c"])]

    run(main())


def test_a_slow_reader_skips_states_but_never_the_last_one() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client, client.watch("billing") as billing:
            snapshots = aiter(billing)
            first = await anext(snapshots)
            for instances in ((A,), (A, B), (B,), (C,)):
                backend.put("billing", *instances)
                await until_settled()
            last = await anext(snapshots)
            assert (ids(first), ids(last)) == ([], ["c"])
            assert last.revision == 5

    run(main())


def test_nothing_is_delivered_twice_and_confirmations_are_no_news() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend) as client, client.watch("billing") as billing:
            snapshots = aiter(billing)
            await anext(snapshots)
            backend.put("other", B)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3600):
                    await anext(snapshots)
            assert billing.current.revision == 1
            assert not billing.current.stale

    run(main())


def test_each_reader_has_its_own_place() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend) as client, client.watch("billing") as billing:
            one, other = aiter(billing), aiter(billing)
            assert ids(await anext(one)) == ["a"]
            backend.put("billing", B)
            assert ids(await anext(one)) == ["b"]
            assert ids(await anext(other)) == ["b"]

    run(main())


def test_readers_end_when_it_is_closed() -> None:
    async def main() -> None:
        async with discovery(ScriptedBackend()) as client:
            billing = await client.watch("billing")
            reader = asyncio.create_task(_collect(billing))
            await until_settled()
            await billing.close()
            assert [ids(snapshot) for snapshot in await reader] == [[]]
            assert ids(billing.current) == []

    run(main())


async def _collect(watch: Watch) -> list[Snapshot]:
    return [snapshot async for snapshot in watch]


def test_an_outage_and_its_end_are_states_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend) as client, client.watch("billing") as billing:
            snapshots = aiter(billing)
            fresh = await anext(snapshots)
            backend.fail()
            stale = await anext(snapshots)
            assert ids(stale) == ["a"]
            assert stale.stale_since is not None
            assert stale.reason == "no registry answers at scripted://."
            assert billing.pick() == A
            await asyncio.sleep(600)
            assert billing.current is stale
            backend.recover()
            again = await anext(snapshots)
            assert (again.stale, again.reason, ids(again)) == (False, "", ["a"])
            assert [one.revision for one in (fresh, stale, again)] == [1, 2, 3]

    with caplog.at_level(logging.INFO, "homeport"):
        run(main())
    assert [record.message for record in caplog.records] == [
        "the instances of a service are stale",
        "the instances of a service are confirmed again",
    ]


def test_in_an_outage_the_pauses_grow_up_to_the_longest() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend, longest_retry_interval=10.0) as client, client.watch("billing"):
            backend.fail()
            await asyncio.sleep(1000)
            attempts = backend.asked["watch billing"]
            # Pauses are random between 0 and 10 s, 5 s on average.
            assert 120 < attempts < 400

    run(main())


def test_after_a_success_the_pauses_are_short_again() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        longest = random.Random()
        longest.random = lambda: 1.0  # type: ignore[method-assign]
        client = Discovery(backend, settings=ClientSettings(), environ={}, random=longest)
        async with client, client.watch("billing") as billing:
            for _ in range(2):
                backend.fail()
                await asyncio.sleep(600)
                backend.recover()
                await asyncio.sleep(20)
                assert not billing.current.stale
            attempts = backend.asked["watch billing"]
            backend.fail()
            await asyncio.sleep(1)  # 0.2 s, then 0.4 s
            assert backend.asked["watch billing"] - attempts == 2

    run(main())


def test_after_an_outage_it_goes_on_from_where_it_stood() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend) as client, client.watch("billing") as billing:
            backend.fail()
            await asyncio.sleep(5)
            backend.put("billing", A, B)
            backend.recover()
            await asyncio.sleep(30)
            assert ids(billing.current) == ["a", "b"]
            assert not billing.current.stale

    run(main())


@pytest.mark.parametrize("trouble", [PermissionDenied("no"), RuntimeError("a defect")])
def test_no_error_ends_it(trouble: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend) as client, client.watch("billing") as billing:
            backend.fail(trouble)
            await asyncio.sleep(60)
            assert billing.current.stale
            assert str(trouble) in billing.current.reason
            backend.recover()
            backend.put("billing", B)
            await asyncio.sleep(60)
            assert ids(billing.current) == ["b"]
            assert not billing.current.stale

    run(main())


def test_a_backend_that_falls_silent_is_asked_anew_and_stale_meanwhile() -> None:
    class SilentBackend(ScriptedBackend):
        async def _until_news(self, service: str, observed: Any) -> None:
            if self.asked[f"watch {service}"] == 1:
                await asyncio.Event().wait()
            await super()._until_news(service, observed)

    async def main() -> None:
        backend = SilentBackend()
        client = discovery(backend, silence_timeout=90.0, first_retry_interval=0.001)
        async with client, client.watch("billing") as billing:
            begun = now()
            snapshots = aiter(billing)
            await anext(snapshots)
            stale = await anext(snapshots)
            assert now() - begun == 90
            assert stale.stale
            assert 'said nothing about "billing" for 90 s' in stale.reason
            assert not (await anext(snapshots)).stale

    run(main())


def test_a_reset_keeps_the_instances_until_they_are_back() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A, B)
        async with discovery(backend) as client, client.watch("billing") as billing:
            snapshots = aiter(billing)
            await anext(snapshots)
            backend.wipe("two")
            kept = await anext(snapshots)
            assert (ids(kept), kept.reason) == (["a", "b"], "reset")
            assert kept.stale
            backend.put("billing", A, B)
            back = await anext(snapshots)
            assert (ids(back), back.stale) == (["a", "b"], False)

    run(main())


def test_after_the_grace_a_reset_is_believed() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A, B)
        async with discovery(backend, reset_grace=60.0) as client, client.watch("billing") as billing:
            snapshots = aiter(billing)
            await anext(snapshots)
            backend.wipe("two")
            await anext(snapshots)
            begun = now()
            gone = await anext(snapshots)
            assert (ids(gone), gone.stale) == ([], False)
            assert now() - begun == 60

    run(main())


def test_watches_of_one_service_share_one_upstream_watch_and_filter_for_themselves() -> None:
    async def main() -> None:
        eu = instance("a", tags=("eu",), version="2.1.0", environment="live", meta={"team": "x"})
        us = instance("b", tags=("us",), version="3.0.0", status="critical")
        backend = ScriptedBackend()
        backend.put("billing", eu, us)
        async with discovery(backend) as client:
            everything = await client.watch("billing", healthy=False)
            healthy = await client.watch("billing")
            by_tag = await client.watch("billing", tags=["us"])
            by_version = await client.watch("billing", version=">=2,<3")
            by_environment = await client.watch("billing", environment="live")
            by_meta = await client.watch("billing", meta={"team": "y"})
            assert [ids(one.current) for one in (everything, healthy, by_tag, by_version, by_environment, by_meta)] == [
                ["a", "b"],
                ["a"],
                [],
                ["a"],
                ["a"],
                [],
            ]
            assert by_tag.current.registered == 1
            assert backend.watching.total() == 1
            assert backend.asked["watch billing"] == 1

    run(main())


def test_a_change_that_does_not_concern_a_filter_is_not_delivered() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", instance("a", tags=("eu",)))
        async with discovery(backend) as client, client.watch("billing", tags=["eu"]) as billing:
            backend.put("billing", instance("a", tags=("eu",)), instance("b", tags=("us",)))
            await until_settled()
            assert billing.current.revision == 1
            backend.put("billing", instance("a", tags=("eu",)), instance("c", tags=("eu",)))
            await until_settled()
            assert billing.current.revision == 2

    run(main())


def test_under_mass_failure_protection_failing_instances_are_answers_and_flagged() -> None:
    class ProtectingBackend(ScriptedBackend):
        def _observed(self, *arguments: Any) -> Any:
            import msgspec

            return msgspec.structs.replace(super()._observed(*arguments), protected=True)

    async def main() -> None:
        backend = ProtectingBackend()
        backend.put("billing", instance("a", status="critical"))
        async with discovery(backend) as client, client.watch("billing") as billing:
            assert billing.current.protected
            assert billing.pick().id == "a"

    run(main())


def test_callbacks_get_every_state_in_order_and_one_that_raises_does_not_end_the_watch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        seen: list[list[str]] = []
        slow_seen: list[list[str]] = []

        def on_change(snapshot: Snapshot) -> None:
            seen.append(ids(snapshot))
            if ids(snapshot) == ["a"]:
                raise ValueError("a defect of the caller")

        async def on_change_slowly(snapshot: Snapshot) -> None:
            await asyncio.sleep(10)
            slow_seen.append(ids(snapshot))

        async with discovery(backend) as client:
            _ = await client.watch("billing", on_change=on_change)
            _ = await client.watch("billing", on_change=on_change_slowly)
            for instances in ((A,), (A, B), (B,)):
                await asyncio.sleep(1)
                backend.put("billing", *instances)
            await asyncio.sleep(60)
        assert seen == [[], ["a"], ["a", "b"], ["b"]]
        assert slow_seen == [[], ["b"]]

    with caplog.at_level(logging.ERROR, "homeport"):
        run(main())
    assert [record.message for record in caplog.records] == ["a callback of a watch failed"]


def test_pick_goes_round_through_all_snapshots() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        every = [instance(f"i{number}") for number in range(10)]
        backend.put("billing", *every)
        async with discovery(backend) as client, client.watch("billing") as billing:
            picked = set()
            for turn in range(20):  # one pick a snapshot: a cursor that began anew would see the first few only
                picked.add(billing.pick().id)
                backend.put("billing", *every[:-1], instance("i9", tags=(str(turn),)))
                await until_settled()
            assert picked == {f"i{number}" for number in range(10)}

    run(main())


def test_two_watches_do_not_share_a_cursor() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A, B)
        async with discovery(backend) as client:
            one, other = await client.watch("billing"), await client.watch("billing")
            picks = [(one.pick().id, other.pick().id) for _ in range(4)]
            assert {first for first, _ in picks} == {"a", "b"}
            assert {second for _, second in picks} == {"a", "b"}

    run(main())


@pytest.mark.parametrize(
    ("instances", "wishes", "text", "registered"),
    [
        ((), {}, '"billing" has no instances on scripted://.', 0),
        (
            (instance("a", status="critical"),),
            {},
            '"billing" has 1 instance, which is not passing; "homeport describe billing" says why.',
            1,
        ),
        (
            tuple(instance(name, status="critical") for name in "abc"),
            {},
            '"billing" has 3 instances, none passing; "homeport describe billing" says why.',
            3,
        ),
        (
            (A, B),
            {"tags": ["eu"], "version": "^2"},
            '"billing" has 2 instances on scripted://, none with the tag "eu" and a version ^2.',
            0,
        ),
    ],
)
def test_nothing_to_pick_is_explained(
    instances: tuple[Instance, ...], wishes: dict[str, Any], text: str, registered: int
) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", *instances)
        async with discovery(backend) as client, client.watch("billing", **wishes) as billing:
            with pytest.raises(NoInstances) as caught:
                billing.pick()
            assert (str(caught.value), caught.value.service, caught.value.registered) == (text, "billing", registered)

    run(main())


def test_a_balancer_that_needs_outcomes_refuses_a_bare_pick() -> None:
    class FirstByOutcome:
        needs_outcomes = True

        def picker(self, snapshot: Snapshot, loads: Any) -> Any:
            return lambda _key: snapshot[0]

    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        client = Discovery(backend, balancer=FirstByOutcome(), environ={})
        async with client, client.watch("billing") as billing:
            with pytest.raises(InvalidValue, match=r"FirstByOutcome learns from how calls end; use call\(\)"):
                billing.pick()
            with billing.call() as call:
                assert call.instance == A

    run(main())


def test_a_balancer_that_fails_fails_who_picks_and_nobody_else() -> None:
    class Moody:
        needs_outcomes = False

        def picker(self, snapshot: Snapshot, loads: Any) -> Any:
            if len(snapshot) == 1:
                raise ZeroDivisionError("of the policy")
            return lambda _key: snapshot[1]

    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with (
            Discovery(backend, environ={}) as client,
            client.watch("billing", balancer=Moody()) as moody,
            client.watch("billing") as other,
        ):
            with pytest.raises(ZeroDivisionError, match="of the policy"):
                moody.pick()
            assert other.pick() == A
            assert not other.current.stale
            backend.put("billing", A, B)
            await asyncio.sleep(1)
            assert moody.pick() == moody.current[1]

    run(main())


@pytest.mark.parametrize("interval", [4.0, 20.0])
def test_more_services_than_the_backend_bears_watches_are_asked_for_now_and_then(interval: float) -> None:
    async def main() -> None:
        backend = ScriptedBackend(watch_limit=2)
        names = [f"s{number}" for number in range(7)]
        async with discovery(backend, overflow_interval=interval) as client:
            watches = [await client.watch(name) for name in names]
            assert now() == 1000.0  # nobody waits for the first snapshot
            backend.asked.clear()
            await asyncio.sleep(200)
            for name in names[2:]:
                assert abs(backend.asked[f"fetch {name}"] - 200 / interval) <= 1
            assert not any(backend.asked[f"fetch {name}"] for name in names[:2])
            for name in names:
                backend.put(name, instance(f"{name}-new", name))
            await asyncio.sleep(interval + 1)
            assert all(ids(watch.current) == [f"{watch.query.service}-new"] for watch in watches)
            assert not any(watch.current.stale for watch in watches)
            assert backend.most_watching == 2

    run(main())


def test_who_is_only_asked_for_is_watched_as_soon_as_that_is_possible() -> None:
    async def main() -> None:
        backend = ScriptedBackend(watch_limit=2)
        async with discovery(backend, overflow_interval=1000.0) as client:
            watches = [await client.watch(name) for name in ("a", "b", "c", "d")]
            await watches[0].close()
            await asyncio.sleep(1)
            assert dict(+backend.watching) == {"b": 1, "c": 1}
            backend.watch_limit = None  # as when the system has told that it bears any number
            backend.put("b", A)
            await asyncio.sleep(1)
            assert dict(+backend.watching) == {"b": 1, "c": 1, "d": 1}

    run(main())


def test_when_too_many_ask_at_once_those_who_wait_are_marked() -> None:
    async def main() -> None:
        backend = ScriptedBackend(watch_limit=1)
        async with discovery(backend, overflow_interval=1.0) as client:
            watches = [await client.watch(name) for name in ("a", "b", "c")]
            backend.latency = 8.0  # one question at a time, and each takes so long
            await asyncio.sleep(100)
            marked = 0
            for _ in range(100):
                await asyncio.sleep(1)
                marked += watches[1].current.reason == NOT_ITS_TURN
            assert 0 < marked < 100
            assert not watches[0].current.stale

    run(main())


def test_the_first_choice_is_random_so_that_many_programs_do_not_begin_with_the_same_instance() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", *(instance(f"i{number}") for number in range(10)))
        first = set()
        for seed in range(50):
            client = Discovery(backend, environ={}, random=random.Random(seed))
            async with client, client.watch("billing") as billing:
                first.add(billing.pick().id)
        assert len(first) > 5

    run(main())


def test_loads_of_instances_that_are_long_gone_are_forgotten() -> None:
    tables: list[LoadTable] = []

    class Curious:
        needs_outcomes = False

        def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
            tables.append(loads.table)
            return lambda _key: snapshot[0]

    async def main() -> None:
        backend = ScriptedBackend()
        client = Discovery(backend, balancer=Curious(), settings=ClientSettings(idle_timeout=1e-9), environ={})
        async with client, client.watch("billing") as billing:
            for number in range(50):
                backend.put("billing", instance("a", address=f"10.0.1.{number}"))
                await until_settled()
                with billing.call():
                    pass
        assert len(tables[0]) < 5

    run(main())


def test_a_registry_that_answers_every_poll_at_once_is_not_asked_in_a_busy_loop() -> None:
    class RestlessBackend(ScriptedBackend):
        async def _until_news(self, service: str, observed: Any) -> None:
            self.asked["poll"] += 1

    async def main() -> None:
        backend = RestlessBackend()
        async with discovery(backend) as client, client.watch("billing"):
            await asyncio.sleep(60)
        assert backend.asked["poll"] < 60 * 20 + 50

    run(main())


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_whatever_happens_the_sum_of_the_differences_is_the_truth(seed: int) -> None:
    """Random writes, outages and wipes, a reader of random speed: the last state is delivered, none twice, in order."""
    chance = random.Random(seed)

    async def main() -> None:
        backend = ScriptedBackend()
        pool = [instance(f"i{number}", tags=(str(tag),)) for number in range(4) for tag in range(2)]
        patience = ClientSettings(reset_grace=5.0)
        client = Discovery(backend, settings=patience, environ={}, random=random.Random(chance.random()))
        async with client, client.watch("billing") as billing:
            seen: list[Snapshot] = []

            async def read() -> None:
                async for snapshot in billing:
                    seen.append(snapshot)
                    await asyncio.sleep(chance.choice([0, 0, 1, 7]))

            reader = asyncio.create_task(read())
            for _ in range(chance.randrange(40)):
                match chance.randrange(6):
                    case 0:
                        backend.fail()
                    case 1:
                        backend.recover()
                    case 2:
                        backend.wipe(chance.choice(["two", "three"]))
                    case _:
                        chosen = {one.id: one for one in chance.sample(pool, chance.randrange(len(pool)))}
                        backend.put("billing", *chosen.values())
                await asyncio.sleep(chance.choice([0, 0, 0.3, 3]))
            backend.recover()
            await asyncio.sleep(300)
            await billing.close()
            await reader

            revisions = [snapshot.revision for snapshot in seen]
            assert revisions == sorted(set(revisions))
            applied: dict[tuple[str, str], Instance] = {}
            previous: Snapshot | None = None
            for snapshot in seen:
                if previous is not None:
                    before = (previous.instances, previous.registered, previous.stale_since, previous.reason)
                    assert (snapshot.instances, snapshot.registered, snapshot.stale_since, snapshot.reason) != before
                for event in diff(previous or (), snapshot):
                    if event.previous is not None:
                        assert applied.pop((event.previous.node, event.previous.id)) == event.previous
                    if event.current is not None:
                        applied[event.current.node, event.current.id] = event.current
                previous = snapshot
            truth = {(one.node, one.id): one for one in backend.instances.get("billing", ())}
            assert applied == truth
            assert not seen[-1].stale

    run(main())


def test_what_goes_on_for_long_is_no_part_of_the_request_in_which_it_began() -> None:
    async def main() -> None:
        request: ContextVar[str] = ContextVar("request", default="none")
        seen: list[str] = []

        class Looking(ScriptedBackend):
            async def fetch(self, *arguments: Any, **named: Any) -> Observed:
                seen.append(request.get())
                return await super().fetch(*arguments, **named)

        async with discovery(Looking(watch_limit=1), overflow_interval=1.0) as client:
            _ = await client.watch("first")
            request.set("mine")
            _ = await client.watch("second")  # beyond the limit, so that it is fetched again and again
            await asyncio.sleep(10)
        assert set(seen) == {"none"}

    run(main())


def test_a_watch_may_have_a_balancer_of_its_own() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", instance("a", weight=3), instance("b", weight=1))
        async with discovery(backend) as client:
            plain = await client.watch("billing")
            weighted = await client.watch("billing", balancer="weighted_round_robin")
            assert Counter(plain.pick().id for _ in range(40)) == {"a": 20, "b": 20}
            assert Counter(weighted.pick().id for _ in range(40)) == {"a": 30, "b": 10}
            with pytest.raises(SettingsError, match="is not a balancer"):
                _ = client.watch("billing", balancer="heaviest")

    run(main())


def test_a_closed_watch_chooses_nobody_and_keeps_its_last_snapshot() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend) as client:
            watch = await client.watch("billing")
            await watch.close()
            assert ids(watch.current) == ["a"]
            for choose in (watch.pick, watch.call().__enter__):
                with pytest.raises(NotReady, match='the watch of "billing" was closed'):
                    choose()

    run(main())
