"""What `discover` and `resolve` keep, and how often that was enough. On virtual time."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from homeport import Discovery
from homeport.client.cache import CacheStatistics
from homeport.client.settings import CacheSettings, ClientSettings
from homeport.errors import BackendUnavailable, NoInstances, NotReady
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import now, run

A, B = instance("a"), instance("b")


def discovery(
    backend: ScriptedBackend, *more: ScriptedBackend, balancer: Any = "round_robin", **cache: Any
) -> Discovery:
    settings = ClientSettings(cache=CacheSettings(**cache))
    return Discovery(
        [backend, *more], balancer=balancer, settings=settings, environ={}, handle_signals=False, clock=now
    )


def test_the_ratio_of_hits() -> None:
    assert CacheStatistics().ratio == 0
    assert CacheStatistics(hits=3, misses=1).ratio == 0.75


def test_hits_and_misses_are_counted() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend) as client:
            assert client.cache_statistics() == CacheStatistics()
            await client.discover("billing")
            await client.discover("billing")
            await client.resolve("billing")
            await client.discover("none")
            await client.discover("none")
            with pytest.raises(NoInstances):
                await client.resolve("none")
            await client.discover("billing", use_cache=False)
            client.pick("billing")
            expected = CacheStatistics(hits=4, misses=2, negative_hits=2, watched=2)
            assert client.cache_statistics() == expected
            # Another filter is answered from the same upstream, but it is a first question.
            await client.discover("billing", tags=["x"])
            assert client.cache_statistics() == CacheStatistics(hits=4, misses=3, negative_hits=2, watched=2)
            # A service whose instances do not match has some all the same.
            await client.discover("billing", tags=["x"])
            assert client.cache_statistics() == CacheStatistics(hits=5, misses=3, negative_hits=2, watched=2)
            _ = await client.register("billing", port=80)
            await client.discover("billing")
            assert client.cache_statistics().hits == 6

    run(main())


def test_a_question_that_fails_is_a_miss() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.fail()
        async with discovery(backend) as client:
            with pytest.raises(BackendUnavailable):
                await client.discover("billing")
            assert client.cache_statistics() == CacheStatistics(misses=1)

    run(main())


def test_a_polled_answer_that_is_too_old_is_a_miss() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend, watch=False, refresh_interval=600.0, ttl=5.0) as client:
            for _ in range(3):
                await client.discover("billing")
                await client.discover("billing")
                await asyncio.sleep(6)
            assert client.cache_statistics() == CacheStatistics(hits=3, misses=3, watched=1)

    run(main())


def test_a_question_that_has_to_see_an_own_write_is_a_miss() -> None:
    class Deaf(ScriptedBackend):
        """Answers no question of the process that wrote, until later."""

        async def fetch(self, service: str, *, datacenter: str = "") -> Any:
            if self.latency:
                await asyncio.sleep(self.latency)
            return await super().fetch(service, datacenter=datacenter)

        async def _until_news(self, service: str, observed: Any) -> None:
            await asyncio.sleep(600)

    async def main() -> None:
        backend = Deaf()
        async with discovery(backend) as client:
            await client.discover("api")
            backend.latency = 10.0  # longer than a registration waits for its own sight
            _ = await client.register("api", port=80)
            backend.latency = 0.0
            before = client.cache_statistics().misses
            assert len(await client.discover("api")) == 1
            assert client.cache_statistics().misses == before + 1

    run(main())


def test_switched_off_every_question_asks_and_nothing_is_followed() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend, enabled=False) as client:
            assert [one.id for one in await client.discover("billing")] == ["a"]
            backend.put("billing", B)
            assert [one.id for one in await client.discover("billing")] == ["b"]
            assert (await client.resolve("billing")).id == "b"
            backend.put("billing", A)
            assert (await client.resolve("billing")).id == "a"
            assert backend.asked == {"fetch billing": 4}
            assert client.cache_statistics() == CacheStatistics(misses=4)
            backend.fail()
            for ask in (client.discover("billing"), client.resolve("billing")):
                with pytest.raises(BackendUnavailable):
                    await ask

    run(main())


def test_switched_off_the_balancer_still_keeps_its_place() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", *(instance(f"i{number}") for number in range(4)))
        backend.put("weighted", instance("heavy", "weighted", weight=3), instance("light", "weighted", weight=1))
        async with discovery(backend, enabled=False) as client:
            chosen = Counter([(await client.resolve("billing")).id for _ in range(40)])
            assert set(chosen.values()) == {10}
        async with discovery(backend, enabled=False, balancer="weighted_round_robin") as client:
            chosen = Counter([(await client.resolve("weighted")).id for _ in range(40)])
            assert chosen == {"heavy": 30, "light": 10}

    run(main())


def test_switched_off_filters_and_health_count_all_the_same() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", instance("a", tags=("eu",)), instance("b", status="critical"))
        async with discovery(backend, enabled=False) as client:
            assert len(await client.discover("billing", healthy=False)) == 2
            assert (await client.resolve("billing", tags=["eu"])).id == "a"
            with pytest.raises(NoInstances, match='none with the tag "us"'):
                await client.resolve("billing", tags=["us"])

    run(main())


def test_switched_off_there_is_nothing_to_pick_from_but_a_watch_goes_on() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend, enabled=False) as client:
            await client.resolve("billing")
            for ask in (client.pick, client.call):
                with pytest.raises(NotReady, match="the cache is switched off: keep a watch of it"):
                    ask("billing")
            async with client.watch("billing") as billing:
                backend.put("billing", B)
                await asyncio.sleep(0.1)
                assert billing.pick() == B
                assert client.cache_statistics().watched == 1

    run(main())


def test_switched_off_calls_are_made_on_what_the_backend_says_now() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend, enabled=False) as client:

            async def work(call: Any) -> str:
                return str(call.instance.id)

            for one in (A, B):
                backend.put("billing", one)
                assert await client.perform("billing", work) == one.id

    run(main())


def test_switched_off_what_calls_taught_is_shared_with_watches() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A, B)
        async with discovery(backend, enabled=False) as client, client.watch("billing") as billing:
            for _ in range(20):  # until one of them is left out for its failures
                with billing.call() as call:
                    call.observe(status=500 if call.instance.id == "a" else 200)
            assert {(await client.resolve("billing")).id for _ in range(10)} == {"b"}

    run(main())


def test_switched_off_a_fallback_answers_as_well() -> None:
    async def main() -> None:
        one, two = ScriptedBackend(), ScriptedBackend()
        two.url = "scripted://two"
        one.put("billing", A)
        two.put("billing", B)
        async with discovery(one, two, enabled=False) as client:
            assert (await client.discover("billing")).backend == "scripted://"
            one.fail()
            assert (await client.discover("billing")).backend == "scripted://two"
            assert (await client.resolve("billing")).id == "b"

    run(main())


def test_answers_that_nobody_asks_for_any_more_are_forgotten() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        settings = ClientSettings(cache=CacheSettings(enabled=False), idle_timeout=50.0)
        backend.put("billing", A)
        async with Discovery(backend, settings=settings, environ={}, handle_signals=False) as client:
            await client.resolve("billing")
            sources = client._shared_sources()
            assert sources.answers.known("billing", "") is not None
            await asyncio.sleep(200)
            assert sources.answers.known("billing", "") is None

    run(main())


def test_when_one_service_is_answered_the_others_try_again_at_once() -> None:
    """A success is a sign of life for everybody who pauses after a failure of the same backend."""

    async def main() -> None:
        backend = ScriptedBackend()
        settings = ClientSettings(first_retry_interval=1e6, longest_retry_interval=1e6)
        chance = random.Random(1)
        async with Discovery(backend, settings=settings, environ={}, handle_signals=False, random=chance) as client:
            watches = [await client.watch(name) for name in ("a", "b", "c")]
            backend.fail()
            await asyncio.sleep(1)
            assert all(watch.current.stale for watch in watches)
            backend.recover()
            await asyncio.sleep(1)
            assert all(watch.current.stale for watch in watches)  # they pause, and nobody asks
            await client.discover("d")
            await asyncio.sleep(1)
            assert not any(watch.current.stale for watch in watches)

    run(main())


def test_a_service_that_fails_alone_is_not_asked_whenever_another_is_answered() -> None:
    class Half(ScriptedBackend):
        broken = False

        async def _request(self, what: str) -> None:
            await super()._request(what)
            if self.broken and what.endswith("other"):
                raise BackendUnavailable("not this one", backend=self.url)

        async def _until_news(self, service: str, observed: Any) -> None:
            await super()._until_news(service, observed)
            await self._request(f"poll {service}")

    async def main() -> None:
        backend = Half()
        settings = ClientSettings(first_retry_interval=1000.0, longest_retry_interval=1000.0)
        client = Discovery(backend, settings=settings, environ={}, handle_signals=False, random=random.Random(1))
        async with client, client.watch("billing") as billing, client.watch("other") as other:
            backend.broken = True
            backend.put("other", B)
            for number in range(500):
                backend.put("billing", instance(f"i{number}"))
                await asyncio.sleep(1)
            assert not billing.current.stale
            assert other.current.stale
            assert 1 < backend.asked["watch other"] < 10

    run(main())
