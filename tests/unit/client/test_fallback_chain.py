"""Several backends behind one `Discovery`: who answers, when, and what is said about it. On virtual time."""

import asyncio
import logging
from typing import Any

import pytest

from homeport import Discovery
from homeport.balancing import Loads, LoadTable, Picker
from homeport.client.settings import ClientSettings, FallbackSettings
from homeport.errors import (
    BackendUnavailable,
    InvalidAnswer,
    NoInstances,
    PermissionDenied,
    SettingsError,
    Unsupported,
)
from homeport.model import Snapshot
from homeport.spi import Cursor
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import now, run

A, B, C = instance("a"), instance("b"), instance("c")
# Retries that find out at once make the times below those of the rules alone.
EAGER: dict[str, Any] = {"first_retry_interval": 0.05, "longest_retry_interval": 0.05}


def backend(name: str, *instances: Any) -> ScriptedBackend:
    made = ScriptedBackend()
    made.url = f"scripted://{name}"
    made.put("billing", *instances)
    return made


def pair() -> tuple[ScriptedBackend, ScriptedBackend]:
    return backend("one", A), backend("two", B)


def discovery(*backends: ScriptedBackend, **settings: Any) -> Discovery:
    return Discovery(backends, settings=ClientSettings(**{**EAGER, **settings}), environ={}, handle_signals=False)


def told(snapshot: Snapshot) -> tuple[list[str], str, bool]:
    """Who is in it, who said so, and whether it is stale."""
    return [one.id for one in snapshot], snapshot.backend.removeprefix("scripted://"), snapshot.stale


class Reader:
    """A backend that finds services and takes no registrations."""

    def __init__(self, backend: ScriptedBackend) -> None:
        self.url = backend.url
        self.watch_limit = None
        self.ping = backend.ping
        self.aclose = backend.aclose
        self.fetch = backend.fetch
        self.watch = backend.watch
        self.services = backend.services


async def until_settled() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def test_the_first_backend_answers_and_the_fallback_is_not_even_asked() -> None:
    async def main() -> None:
        one, two = pair()
        async with discovery(one, two) as client, client.watch("billing") as billing:
            await asyncio.sleep(1000)
            assert told(billing.current) == (["a"], "one", False)
            assert (await client.resolve("billing")).id == "a"
            assert not two.asked

    run(main())


def test_that_there_are_no_instances_is_an_answer() -> None:
    async def main() -> None:
        one, two = pair()
        one.put("billing")
        async with discovery(one, two) as client:
            assert told(await client.discover("billing")) == ([], "one", False)
            with pytest.raises(NoInstances, match="scripted://one"):
                await client.resolve("billing")
            await asyncio.sleep(100)
            assert not two.asked

    run(main())


def test_an_outage_is_bridged_first_by_what_is_known_then_by_the_fallback_and_then_handed_back() -> None:
    async def main() -> None:
        one, two = pair()
        async with discovery(one, two) as client, client.watch("billing") as billing:
            await asyncio.sleep(50)
            began = now()

            async def read() -> list[tuple[float, Any]]:
                return [(round(now() - began), told(snapshot)) async for snapshot in billing]

            reader = asyncio.create_task(read())
            await until_settled()
            one.fail()
            await asyncio.sleep(1.9)
            assert not two.asked
            await asyncio.sleep(0.2)
            assert two.watching["billing"] == 1  # it is ready before it is needed
            await asyncio.sleep(57.9)
            one.put("billing", A, C)
            one.recover()
            await asyncio.sleep(29.9)
            assert two.watching["billing"] == 1
            await asyncio.sleep(1)
            assert two.watching["billing"] == 0
            await billing.close()
            assert await reader == [
                (0, (["a"], "one", False)),
                (0, (["a"], "one", True)),
                (10, (["b"], "two", False)),
                (90, (["a", "c"], "one", False)),
            ]

    run(main())


@pytest.mark.parametrize(
    ("settings", "taken_over", "handed_back"),
    [
        (FallbackSettings(stale_grace=4), 4.0, 30.0),
        (FallbackSettings(stale_grace=0), 2.0, 30.0),
        (FallbackSettings(stale_grace=0, takeover_after=5), 5.0, 30.0),
        (FallbackSettings(handback_after=7), 10.0, 7.0),
    ],
)
def test_the_times_are_settings(settings: FallbackSettings, taken_over: float, handed_back: float) -> None:
    async def main() -> None:
        one, two = pair()
        async with discovery(one, two, fallback=settings) as client, client.watch("billing") as billing:
            began = now()
            one.fail()
            snapshots = aiter(billing)
            while (await anext(snapshots)).backend != two.url:
                pass
            assert now() - began == pytest.approx(taken_over, abs=0.1)
            one.recover()
            recovered = now()
            while (await anext(snapshots)).backend != one.url:
                pass
            assert now() - recovered == pytest.approx(handed_back, abs=0.1)

    run(main())


def test_a_short_interruption_changes_nothing_and_the_fallback_rests_again() -> None:
    async def main() -> None:
        one, two = pair()
        async with discovery(one, two) as client, client.watch("billing") as billing:
            one.fail()
            await asyncio.sleep(5)
            one.recover()
            await asyncio.sleep(20)
            assert told(billing.current) == (["a"], "one", False)
            assert two.watching["billing"] == 1
            await asyncio.sleep(20)
            assert two.watching["billing"] == 0
            assert billing.current.revision == 3

    run(main())


def test_a_first_backend_that_comes_and_goes_is_not_handed_back_to() -> None:
    async def main() -> None:
        one, two = pair()
        async with discovery(one, two) as client, client.watch("billing") as billing:
            one.fail()
            await asyncio.sleep(15)
            for _ in range(10):
                one.recover()
                await asyncio.sleep(20)
                one.fail()
                await asyncio.sleep(20)
                assert told(billing.current) == (["b"], "two", False)
            assert billing.current.revision == 3

    run(main())


def test_the_first_answer_comes_from_the_fallback_at_once_when_the_first_backend_fails() -> None:
    async def main() -> None:
        one, two = pair()
        one.fail()
        async with discovery(one, two) as client:
            began = now()
            assert told(await client.discover("billing")) == (["b"], "two", False)
            assert now() == began

    run(main())


def test_the_first_answer_comes_from_the_fallback_after_a_while_when_the_first_backend_is_silent() -> None:
    async def main() -> None:
        one, two = pair()
        one.latency = 5.0
        async with discovery(one, two) as client, client.watch("billing") as billing:
            assert told(billing.current) == (["b"], "two", False)
            assert now() == 1002
            await asyncio.sleep(32.9)
            assert billing.current.backend == two.url
            await asyncio.sleep(0.2)  # it answered after 5 s, and 30 s have passed since
            assert told(billing.current) == (["a"], "one", False)

    run(main())


def test_nobody_at_all_is_told_with_the_reason_of_each() -> None:
    async def main() -> None:
        one, two = pair()
        one.fail(BackendUnavailable("one is out.", backend=one.url))
        two.fail(InvalidAnswer("two talks nonsense.", backend=two.url))
        async with discovery(one, two) as client:
            for ask in (
                client.discover("billing"),
                client.discover("billing", use_cache=False),
                client.services(),
                client.watch("billing").begin(),
            ):
                with pytest.raises(BackendUnavailable) as caught:
                    await ask
                assert str(caught.value) == "no backend answers: one is out; two talks nonsense."
                assert caught.value.backend == one.url
            one.recover()
            assert told(await client.discover("billing")) == (["a"], "one", False)

    run(main())


def test_what_all_of_them_say_keeps_its_class() -> None:
    async def main() -> None:
        one, two = pair()
        for each in (one, two):
            each.fail(PermissionDenied("the token may not", backend=each.url))
        async with discovery(one, two) as client:
            with pytest.raises(PermissionDenied, match=r"^no backend answers: the token may not; the token may not\.$"):
                await client.discover("billing")

    run(main())


def test_when_nobody_is_left_the_last_answer_is_kept_and_marked() -> None:
    async def main() -> None:
        one, two = pair()
        async with discovery(one, two) as client, client.watch("billing") as billing:
            one.fail()
            await asyncio.sleep(60)
            two.fail()
            await asyncio.sleep(60)
            assert told(billing.current) == (["b"], "two", True)
            one.recover()
            await asyncio.sleep(0.2)  # a fresh one is better than a stale one, whatever the hand-back
            assert told(billing.current) == (["a"], "one", False)

    run(main())


def test_three_backends() -> None:
    async def main() -> None:
        one, two = pair()
        three = backend("three", C)
        async with discovery(one, two, three) as client, client.watch("billing") as billing:
            one.fail()
            await asyncio.sleep(15)
            assert (billing.current.backend, three.asked.total()) == (two.url, 0)
            two.fail()
            await asyncio.sleep(15)
            assert told(billing.current) == (["c"], "three", False)
            two.recover()
            await asyncio.sleep(31)
            assert told(billing.current) == (["b"], "two", False)
            assert three.watching["billing"] == 0
            one.recover()
            await asyncio.sleep(31)
            assert told(billing.current) == (["a"], "one", False)
            assert two.watching["billing"] == 0

    run(main())


def test_a_wiped_first_backend_is_replaced_after_the_grace_too() -> None:
    async def main() -> None:
        one, two = pair()
        async with discovery(one, two) as client, client.watch("billing") as billing:
            one.wipe("another store")
            await asyncio.sleep(9)
            assert told(billing.current) == (["a"], "one", True)
            await asyncio.sleep(2)
            assert told(billing.current) == (["b"], "two", False)

    run(main())


def test_waiting_to_be_asked_for_is_no_outage() -> None:
    async def main() -> None:
        one, two = pair()
        one.watch_limit = 1
        settings = FallbackSettings(stale_grace=1, takeover_after=1, handback_after=1)
        async with discovery(one, two, overflow_interval=1.0, fallback=settings) as client:
            watches = [await client.watch(name) for name in ("billing", "other", "third")]
            one.latency = 8.0
            times_stale = 0
            for _ in range(40):
                await asyncio.sleep(17)
                assert {watch.current.backend for watch in watches} == {one.url}
                times_stale += sum(watch.current.stale for watch in watches)
            assert times_stale > 5
            assert not two.asked

    run(main())


def test_loads_are_the_same_whoever_answers() -> None:
    """Backends know the same instance by different ids; its address is what it is known by."""
    tables: set[int] = set()
    seen: list[LoadTable] = []

    class Curious:
        needs_outcomes = False

        def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
            tables.add(id(loads.table))
            seen.append(loads.table)
            return lambda _key: snapshot[0]

    async def main() -> None:
        one, two = backend("one", A), backend("two", instance("other-id", address=A.address))
        client = Discovery([one, two], balancer=Curious(), settings=ClientSettings(**EAGER), environ={})
        async with client, client.watch("billing") as billing:
            with billing.call():
                pass
            one.fail()
            await asyncio.sleep(20)
            assert billing.pick().id == "other-id"
            assert len(tables) == 1
            assert seen[0].of(A.endpoint).successes == 1
            assert seen[0].members == {A.endpoint}

    run(main())


def test_registrations_go_to_the_first_backend_that_takes_any_and_never_to_a_fallback() -> None:
    async def main() -> None:
        first, second, third = backend("first"), backend("second"), backend("third")
        async with Discovery([Reader(first), second, third], environ={}, handle_signals=False) as client:
            _ = await client.register("api", id="api-1", port=80)
            assert (list(second.registered), list(third.registered)) == (["api-1"], [])
            second.fail()
            with pytest.raises(BackendUnavailable):
                _ = await client.register("api", id="api-2", port=80)
            assert not third.registered
            second.recover()

    run(main())


def test_backends_that_take_no_registration_are_named() -> None:
    async def main() -> None:
        one, two = pair()
        async with Discovery([Reader(one), Reader(two)], environ={}) as client:
            with pytest.raises(Unsupported, match="scripted://one and scripted://two takes no registrations"):
                _ = await client.register("api", port=80)

    run(main())


def test_one_s_own_writes_are_seen_through_a_chain() -> None:
    class LateBackend(ScriptedBackend):
        """Its watches hear of a change a minute late."""

        async def _until_news(self, service: str, observed: Any) -> None:
            await asyncio.sleep(60)
            self._check()

    async def main() -> None:
        one, two = LateBackend(), backend("two")
        async with discovery(one, two) as client:
            await client.discover("api")
            _ = await client.register("api", id="api-1", port=80)
            assert [one.id for one in await client.discover("api")] == ["api-1"]

    run(main())


def test_a_write_that_the_former_backend_shows_hands_back_to_it_at_once() -> None:
    async def main() -> None:
        one, two = pair()
        async with discovery(one, two) as client, client.watch("billing") as billing:
            one.fail()
            await asyncio.sleep(20)
            one.recover()
            await asyncio.sleep(1)
            assert billing.current.backend == two.url
            _ = await client.register("billing", id="own", port=80)
            assert {one.id for one in await client.discover("billing")} == {"a", "own"}
            assert billing.current.backend == one.url

    run(main())


def test_a_write_to_a_backend_that_only_stands_in_does_not_disturb_the_one_that_answers() -> None:
    async def main() -> None:
        one, two = pair()
        async with Discovery([Reader(one), two], environ={}, handle_signals=False) as client:
            await client.discover("billing")
            _ = await client.register("billing", id="own", port=80)
            assert told(await client.discover("billing")) == (["a"], "one", False)
            assert not two.watching["billing"]

    run(main())


def test_services_and_plain_questions_are_asked_in_order() -> None:
    async def main() -> None:
        one, two = pair()
        one.put("only-here")
        async with discovery(one, two) as client:
            assert [each.name for each in await client.services()] == ["billing", "only-here"]
            assert told(await client.discover("billing", use_cache=False)) == (["a"], "one", False)
            assert not two.asked
            one.fail()
            assert [each.name for each in await client.services()] == ["billing"]
            assert told(await client.discover("billing", use_cache=False)) == (["b"], "two", False)

    run(main())


def test_taking_over_and_handing_back_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        one, two = pair()
        async with discovery(one, two) as client, client.watch("billing"):
            one.fail()
            await asyncio.sleep(20)
            one.recover()
            await asyncio.sleep(40)

    with caplog.at_level(logging.INFO, logger="homeport.client.chain"):
        run(main())
    said = [(record.levelname, record.message, record.__dict__["backend"]) for record in caplog.records]
    assert [entry for entry in said if "answers" in entry[1]] == [
        ("WARNING", "a fallback answers for a service", "scripted://two"),
        ("INFO", "a former backend answers for a service again", "scripted://one"),
    ]


def test_only_what_was_opened_here_is_closed_here() -> None:
    async def main() -> None:
        own = ScriptedBackend()
        async with Discovery(["homeport://127.0.0.1:1", own], environ={}) as client:
            assert [one.url for one in client.backends] == ["homeport://127.0.0.1:1", "scripted://"]
            assert client.backend is client.backends[0]
            assert repr(client) == "<Discovery on homeport://127.0.0.1:1, scripted://>"
        assert not own.closed

    run(main())


def test_the_environment_may_name_several() -> None:
    async def main() -> None:
        environ = {"HOMEPORT_BACKEND": " consul://a:1,b:2?dc=x   homeport://c:3\n"}
        async with Discovery(environ=environ) as client:
            assert [one.url for one in client.backends] == ["consul://a:1,b:2?dc=x", "homeport://c:3"]

    run(main())


def test_an_empty_chain_is_refused() -> None:
    with pytest.raises(SettingsError, match="the list of backends is empty; name at least one"):
        Discovery([], environ={})


def test_a_fallback_begins_anew_each_time_it_is_needed() -> None:
    """It was left meanwhile: what it said then is not taken for what it says now."""

    async def main() -> None:
        one, two = pair()
        async with discovery(one, two) as client, client.watch("billing") as billing:
            for instances in ((B,), (C,)):
                two.put("billing", *instances)
                one.fail()
                await asyncio.sleep(15)
                assert told(billing.current) == ([each.id for each in instances], "two", False)
                one.recover()
                await asyncio.sleep(40)
                assert billing.current.backend == one.url

    run(main())


def test_an_answer_of_the_fallback_is_never_mistaken_for_one_of_the_first() -> None:
    """Positions count in each backend's own data."""

    async def main() -> None:
        one, two = pair()
        one.position, two.position = 1000, 3
        two.store = "two"
        cursors: list[Cursor | None] = []
        original = two.watch

        def watch(service: str, *, datacenter: str = "", after: Cursor | None = None) -> Any:
            cursors.append(after)
            return original(service, datacenter=datacenter, after=after)

        two.watch = watch  # type: ignore[method-assign]
        async with discovery(one, two) as client, client.watch("billing") as billing:
            one.fail()
            await asyncio.sleep(15)
            assert told(billing.current) == (["b"], "two", False)
            assert cursors == [None]

    run(main())
