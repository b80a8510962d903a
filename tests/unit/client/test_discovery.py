"""`discover`, `resolve`, `pick`: answers from memory that are never silently outdated. On virtual time."""

import asyncio
import threading
from typing import Any

import pytest

from homeport import Discovery, Service
from homeport.client.settings import ClientSettings
from homeport.errors import (
    BackendUnavailable,
    InvalidValue,
    NoInstances,
    NotReady,
    SettingsError,
    Unsupported,
)
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import run

A, B = instance("a"), instance("b")


def discovery(backend: ScriptedBackend, **settings: Any) -> Discovery:
    return Discovery(backend, settings=ClientSettings(**settings), environ={}, handle_signals=False)


def test_the_first_question_asks_and_the_next_ones_are_answered_from_memory() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend) as client:
            for _ in range(5):
                assert [one.id for one in await client.discover("billing")] == ["a"]
            assert backend.asked == {"watch billing": 1}
            backend.put("billing", A, B)
            await asyncio.sleep(0.1)
            assert [one.id for one in await client.discover("billing")] == ["a", "b"]
            assert backend.asked == {"watch billing": 1}

    run(main())


def test_without_the_cache_the_backend_is_asked_each_time() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A, instance("b", status="critical"))
        async with discovery(backend) as client:
            for _ in range(3):
                assert [one.id for one in await client.discover("billing", use_cache=False)] == ["a"]
            assert backend.asked == {"fetch billing": 3}
            backend.fail()
            with pytest.raises(BackendUnavailable):
                await client.discover("billing", use_cache=False)

    run(main())


def test_many_questions_at_once_are_one_request() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.latency = 1.0
        backend.put("billing", A)
        async with discovery(backend) as client:
            answers = await asyncio.gather(*(client.discover("billing") for _ in range(50)))
            assert all(answer[0] == A for answer in answers)
            assert backend.asked == {"watch billing": 1}

    run(main())


def test_while_the_backend_is_down_the_last_answer_is_given_and_marked() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend) as client:
            await client.discover("billing")
            backend.fail()
            await asyncio.sleep(5)
            answer = await client.discover("billing")
            assert [one.id for one in answer] == ["a"]
            assert answer.stale
            assert (await client.resolve("billing")).id == "a"
            with pytest.raises(BackendUnavailable):
                await client.discover("never-asked-before")
            assert backend.watching.total() == 0

    run(main())


def test_a_question_during_an_outage_is_tried_at_once_and_not_after_the_pause() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.fail()
        async with discovery(backend) as client:
            for _ in range(3):
                with pytest.raises(BackendUnavailable):
                    await client.discover("billing")
            assert backend.asked["watch billing"] == 3
            backend.recover()
            assert len(await client.discover("billing")) == 0

    run(main())


def test_everybody_who_waits_for_a_failing_answer_gets_an_error_of_their_own() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.latency = 1.0
        async with discovery(backend) as client:
            questions = [asyncio.create_task(client.discover("billing")) for _ in range(3)]
            await asyncio.sleep(0.5)
            backend.fail()
            errors = await asyncio.gather(*questions, return_exceptions=True)
            assert all(isinstance(error, BackendUnavailable) and error.backend == "scripted://" for error in errors)
            assert len({id(error) for error in errors}) == 3

    run(main())


def test_a_cancelled_question_does_not_disturb_the_others() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.latency = 1.0
        backend.put("billing", A)
        async with discovery(backend) as client:
            one, other = (asyncio.create_task(client.discover("billing")) for _ in range(2))
            await asyncio.sleep(0.5)
            one.cancel()
            assert (await other)[0] == A
            with pytest.raises(asyncio.CancelledError):
                await one
            assert (await client.discover("billing"))[0] == A

    run(main())


def test_pick_needs_a_resolve_before_and_says_so() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A, B)
        async with discovery(backend) as client:
            with pytest.raises(NotReady, match=r'await discovery\.resolve\("billing"\)'):
                client.pick("billing")
            first = await client.resolve("billing")
            assert {first.id, client.pick("billing").id} == {"a", "b"}
            with client.call("billing") as call:
                assert call.url("/v1").startswith("http://10.0.0.")

    run(main())


def test_a_filtered_question_does_not_make_pick_ready() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend) as client:
            await client.discover("billing", healthy=False)
            with pytest.raises(NotReady):
                client.pick("billing")

    run(main())


def test_what_nobody_asks_for_any_more_is_dropped() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend, idle_timeout=300.0) as client:
            await client.resolve("billing")
            for _ in range(10):
                await asyncio.sleep(100)
                client.pick("billing")
            assert backend.watching["billing"] == 1
            await asyncio.sleep(400)
            assert backend.watching["billing"] == 0
            with pytest.raises(NotReady):
                client.pick("billing")
            assert (await client.resolve("billing")).id == "a"

    run(main())


def test_their_number_is_bounded_and_the_longest_unused_goes_first() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        for name in "abcd":
            backend.put(name, instance(name, name))
        async with discovery(backend, implicit_watches=3, idle_timeout=300.0) as client:
            for name in "abc":
                await client.resolve(name)
            await asyncio.sleep(65)
            client.pick("a")
            await asyncio.sleep(31)
            client.pick("a")
            client.pick("c")
            await client.resolve("d")
            assert {name for name in "abcd" if backend.watching[name]} == {"a", "c", "d"}

    run(main())


def test_one_s_own_writes_are_seen_by_the_next_read() -> None:
    class LateBackend(ScriptedBackend):
        """Its watches hear of a change a minute late."""

        async def _until_news(self, service: str, observed: Any) -> None:
            await asyncio.sleep(60)

    async def main() -> None:
        backend = LateBackend()
        async with discovery(backend) as client:
            assert len(await client.discover("api")) == 0
            registration = await client.register("api", id="api-1", port=80)
            assert [one.id for one in await client.discover("api")] == ["api-1"]
            assert client.pick("api").id == "api-1"
            await registration.update(tags=["new"])
            assert (await client.discover("api"))[0].tags == ("new",)
            await registration.update_meta({"key": 1})
            assert (await client.discover("api"))[0].meta["key"] == "1"
            assert await client.deregister("api-1")
            assert len(await client.discover("api")) == 0

            _ = await client.register("api", id="api-2", port=80)
            assert await backend.deregister("api-2")  # by somebody else: not this program's write
            assert len(await client.discover("api")) == 1
            backend.registered["api-3"] = (Service(name="api", id="api-3"), "x")
            backend.put("api", instance("api-3", "api"))
            assert await client.deregister("api-3")
            assert len(await client.discover("api")) == 0

    run(main())


def test_a_write_that_cannot_be_seen_in_time_marks_the_snapshot() -> None:
    class DeafBackend(ScriptedBackend):
        async def fetch(self, service: str, *, datacenter: str = "") -> Any:
            await asyncio.sleep(3600)

        async def _until_news(self, service: str, observed: Any) -> None:
            await asyncio.sleep(50)

    async def main() -> None:
        backend = DeafBackend()
        backend.put("api", A)
        async with discovery(backend, settle_timeout=2.0) as client:
            await client.resolve("api")
            async with client.watch("api") as api:
                _ = await client.register("api", port=80)
                outdated = api.current
                await asyncio.sleep(60)
                seen = api.current
            assert outdated.stale
            assert outdated.reason == "what this program wrote itself is not seen yet"
            assert (seen.stale, len(seen)) == (False, 2)

    run(main())


def test_pick_and_call_may_be_used_from_other_threads() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", *(instance(f"i{number}") for number in range(4)))
        async with discovery(backend) as client:
            watch = await client.watch("billing")
            seen: list[str] = []

            def work() -> None:
                for _ in range(1000):
                    with watch.call() as call:
                        seen.append(call.instance.id)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                await asyncio.to_thread(thread.join)
            assert sorted(seen.count(f"i{number}") for number in range(4)) == [1000] * 4

    run(main())


def test_a_closed_one_says_so() -> None:
    async def main() -> None:
        client = discovery(ScriptedBackend())
        await client.aclose()
        await client.aclose()
        asks = (
            client.discover("x"),
            client.discover("x", use_cache=False),
            client.resolve("x"),
            client.register("x", port=1).begin(),
            client.watch("x").begin(),
        )
        for ask in asks:
            with pytest.raises(NotReady, match="closed"):
                await ask

    run(main())


def test_a_backend_object_stays_its_owner_s() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            await client.discover("x")
            assert client.backend is backend
        assert not backend.closed
        assert backend.watching.total() == 0

    run(main())


def test_closing_ends_what_was_left_open() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        client = discovery(backend)
        billing = await client.watch("billing")
        registration = await client.register("api", port=80)
        reader = asyncio.create_task(_last(billing))
        await asyncio.sleep(1)
        await client.aclose()
        assert billing.closed
        await reader
        assert not backend.registered
        assert not registration.lost
        assert backend.watching.total() == 0

    run(main())


async def _last(watch: Any) -> Any:
    return [snapshot async for snapshot in watch][-1]


def test_nothing_found_raises_from_resolve_and_not_from_discover() -> None:
    async def main() -> None:
        async with discovery(ScriptedBackend()) as client:
            assert len(await client.discover("bilings")) == 0
            with pytest.raises(NoInstances, match=r'"bilings" has no instances on scripted://\.'):
                await client.resolve("bilings")

    run(main())


def test_resolve_and_discover_filter() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put(
            "billing",
            instance("a", tags=("eu",), version="1.0", environment="test", meta={"team": "x"}),
            instance("b", tags=("us",), version="2.0", environment="live", meta={"team": "y"}),
        )
        async with discovery(backend) as client:
            assert (await client.resolve("billing", tags=["eu"])).id == "a"
            assert (await client.resolve("billing", version=">=2")).id == "b"
            assert (await client.resolve("billing", environment="test")).id == "a"
            assert (await client.resolve("billing", meta={"team": "y"})).id == "b"
            assert [one.id for one in await client.discover("billing", version="^1", use_cache=False)] == ["a"]
            with pytest.raises(InvalidValue, match="is not a version range"):
                await client.discover("billing", version=">>2")
            with pytest.raises(InvalidValue, match='tags is the text "eu"'):
                await client.discover("billing", tags="eu")

    run(main())


def test_a_backend_that_cannot_do_something_is_refused_in_a_sentence() -> None:
    class Bare:
        url = "bare://"

        async def ping(self) -> dict[str, str]:
            return {}

        async def aclose(self) -> None:
            pass

    async def main() -> None:
        async with Discovery(Bare(), environ={}) as client:
            with pytest.raises(Unsupported, match="bare:// knows no instances"):
                await client.discover("x")
            with pytest.raises(Unsupported, match="bare:// takes no registrations"):
                _ = await client.register("x")

    run(main())


def test_another_event_loop_is_refused_since_nobody_keeps_the_watches_of_one_that_ended() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with Discovery(backend, environ={}) as client:

            async def elsewhere() -> None:
                with pytest.raises(NotReady, match=r"belongs to another event loop; make one in each asyncio\.run"):
                    await client.resolve("billing")

            refused: list[None] = []
            other = threading.Thread(target=lambda: refused.append(asyncio.run(elsewhere())))
            other.start()
            other.join()
            assert refused == [None]
            assert await client.resolve("billing") == A

    run(main())


@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_settings_that_cannot_be_right_are_refused(value: float) -> None:
    with pytest.raises(SettingsError, match=r"client\.reset_grace is .*; it must be above 0"):
        ClientSettings(reset_grace=value)
