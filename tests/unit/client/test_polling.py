"""Services that are asked for again and again instead of being watched. On virtual time."""

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport import Discovery
from homeport.client.polling import fresh_until, next_poll
from homeport.client.settings import CacheSettings, ClientSettings
from homeport.errors import BackendUnavailable, SettingsError, Unsupported
from homeport.spi import Cursor, Observed
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import now, run

A, B = instance("a"), instance("b")


class Unwatchable(ScriptedBackend):
    """A system that cannot be watched."""

    unwatchable = True

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        self.asked[f"watch {service}"] += 1
        if self.unwatchable:
            raise Unsupported("scripted:// cannot be watched", backend=self.url)
        yield await self.fetch(service, datacenter=datacenter)


class Steady(random.Random):
    """Chance that is always the same."""

    def __init__(self, value: float) -> None:
        super().__init__(1)
        self.value = value

    def random(self) -> float:
        return self.value


def discovery(backend: ScriptedBackend, *, chance: float = 0.999, cache: Any = None, **settings: Any) -> Discovery:
    client_settings = ClientSettings(cache=CacheSettings(**(cache or {})), **settings)
    return Discovery(backend, settings=client_settings, environ={}, handle_signals=False, random=Steady(chance))


@given(st.floats(0, 1e6), st.floats(0, 1), st.floats(0.1, 1000))
def test_the_next_poll_is_an_interval_later_or_up_to_a_tenth_earlier(
    asked_at: float, chance: float, interval: float
) -> None:
    due = next_poll(asked_at, CacheSettings(refresh_interval=interval), chance=chance)
    assert asked_at + interval * 0.899 <= due <= asked_at + interval * 1.001


def test_an_empty_answer_is_fresh_for_a_time_of_its_own() -> None:
    settings = CacheSettings(ttl=7, negative_ttl=3)
    assert fresh_until(100, settings, empty=False) == 107
    assert fresh_until(100, settings, empty=True) == 103


@pytest.mark.parametrize("name", ["refresh_interval", "ttl", "negative_ttl"])
def test_settings_that_cannot_be_right_are_refused(name: str) -> None:
    wrong: dict[str, Any] = {name: 0}
    with pytest.raises(SettingsError, match=rf"client\.cache\.{name} is 0; it must be above 0"):
        CacheSettings(**wrong)


def test_watching_can_be_switched_off_in_favour_of_polling() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend, cache={"watch": False, "refresh_interval": 20.0}) as client:
            async with client.watch("billing") as billing:
                assert [one.id for one in billing.current] == ["a"]
                backend.put("billing", A, B)
                await asyncio.sleep(17)
                assert len(billing.current) == 1
                await asyncio.sleep(4)
                assert len(billing.current) == 2
                await asyncio.sleep(200)
            assert backend.asked["watch billing"] == 0
            assert 11 <= backend.asked["fetch billing"] <= 12

    run(main())


def test_a_backend_that_cannot_be_watched_is_polled_by_itself() -> None:
    async def main() -> None:
        backend = Unwatchable()
        backend.put("billing", A)
        async with discovery(backend) as client, client.watch("billing") as billing:
            assert now() == 1000  # without a pause
            backend.put("billing", B)
            await asyncio.sleep(11)
            assert [one.id for one in billing.current] == ["b"]
            assert billing.current.revision == 2
            await asyncio.sleep(100)
            assert backend.asked["watch billing"] == 1

    run(main())


def test_an_outage_is_marked_and_its_end_is_found_by_the_retries_not_by_the_interval() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        cache = {"watch": False, "refresh_interval": 600.0}
        async with discovery(backend, cache=cache) as client, client.watch("billing") as billing:
            backend.fail()
            await asyncio.sleep(601)
            outage = billing.current
            backend.put("billing", A, B)
            backend.recover()
            await asyncio.sleep(3)
            after = billing.current
            assert (outage.stale, [one.id for one in outage]) == (True, ["a"])
            assert (after.stale, [one.id for one in after]) == (False, ["a", "b"])

    run(main())


def test_a_poll_that_is_never_answered_is_given_up() -> None:
    class Silent(ScriptedBackend):
        async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
            if self.latency:
                await asyncio.sleep(1e6)
            return await super().fetch(service, datacenter=datacenter)

    async def main() -> None:
        backend = Silent()
        async with (
            discovery(backend, cache={"watch": False}, silence_timeout=30.0) as client,
            client.watch("billing") as billing,
        ):
            backend.latency = 1.0
            await asyncio.sleep(35)
            assert not billing.current.stale
            await asyncio.sleep(10)
            assert billing.current.reason == 'scripted:// said nothing about "billing" for 30 s'

    run(main())


def test_a_wiped_registry_keeps_the_instances_for_a_grace_also_when_it_is_polled() -> None:
    async def main() -> None:
        for wiped_store in ("other", "one"):  # another store, or the same whose position went back
            backend = ScriptedBackend()
            backend.position = 100
            backend.put("billing", A)
            async with discovery(backend, cache={"watch": False}) as client, client.watch("billing") as billing:
                backend.wipe(wiped_store)
                await asyncio.sleep(15)
                assert ([one.id for one in billing.current], billing.current.reason) == (["a"], "reset")
                await asyncio.sleep(60)
                assert ([one.id for one in billing.current], billing.current.stale) == ([], False)

    run(main())


def test_the_last_of_many_changes_is_always_seen() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        chance = random.Random(5)
        async with discovery(backend, cache={"watch": False}) as client, client.watch("billing") as billing:
            for number in range(200):
                backend.put("billing", instance(f"i{number}"))
                if chance.random() < 0.2:
                    backend.fail()
                    await asyncio.sleep(chance.random() * 5)
                    backend.recover()
                await asyncio.sleep(chance.random() * 12)
            await asyncio.sleep(11)
            assert [one.id for one in billing.current] == ["i199"]

    run(main())


def test_a_question_about_something_too_old_asks_at_once_and_only_once_for_all() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.latency = 0.5
        backend.put("billing", A)
        cache = {"watch": False, "refresh_interval": 600.0, "ttl": 5.0}
        async with discovery(backend, cache=cache) as client:
            await client.discover("billing")
            backend.put("billing", A, B)
            await asyncio.sleep(4)
            assert len(await client.discover("billing")) == 1
            assert backend.asked["fetch billing"] == 1
            await asyncio.sleep(2)
            answers = await asyncio.gather(*(client.discover("billing") for _ in range(20)))
            assert {len(answer) for answer in answers} == {2}
            assert backend.asked["fetch billing"] == 2
            assert (await client.resolve("billing")).id in {"a", "b"}
            assert backend.asked["fetch billing"] == 2

    run(main())


def test_that_there_is_nothing_is_believed_for_a_shorter_time() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        cache = {"watch": False, "refresh_interval": 600.0, "ttl": 60.0, "negative_ttl": 2.0}
        async with discovery(backend, cache=cache) as client:
            assert len(await client.discover("billing")) == 0
            backend.put("billing", A)
            await asyncio.sleep(1)
            assert len(await client.discover("billing")) == 0
            await asyncio.sleep(2)
            assert len(await client.discover("billing")) == 1
            backend.put("billing")
            await asyncio.sleep(50)
            assert len(await client.discover("billing")) == 1

    run(main())


def test_a_watched_answer_has_no_such_age() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        async with discovery(backend, cache={"ttl": 1.0, "negative_ttl": 1.0, "refresh_interval": 1.0}) as client:
            for _ in range(5):
                await client.discover("billing")
                await client.discover("none")
                await asyncio.sleep(30)
            assert backend.asked == {"watch billing": 1, "watch none": 1}

    run(main())


def test_during_an_outage_questions_are_answered_from_memory_without_asking() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.put("billing", A)
        cache = {"watch": False, "ttl": 1.0, "refresh_interval": 600.0}
        async with discovery(backend, cache=cache, longest_retry_interval=100.0) as client:
            await client.discover("billing")
            backend.fail()
            await asyncio.sleep(2)
            assert (await client.discover("billing")).stale  # this one asked, in vain, and began the retries
            await asyncio.sleep(100)
            asked = backend.asked["fetch billing"]
            for _ in range(10):
                assert (await client.discover("billing")).stale
            assert backend.asked["fetch billing"] == asked
            backend.recover()
            await asyncio.sleep(101)
            assert not (await client.discover("billing")).stale

    run(main())


def test_one_s_own_writes_are_seen_by_the_next_read_also_when_polled() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend, cache={"watch": False, "refresh_interval": 600.0, "ttl": 600.0}) as client:
            assert len(await client.discover("api")) == 0
            registration = await client.register("api", id="api-1", port=80)
            assert [one.id for one in await client.discover("api")] == ["api-1"]
            await registration.update(tags=["new"])
            assert (await client.discover("api"))[0].tags == ("new",)
            await registration.close()
            assert len(await client.discover("api")) == 0

    run(main())


def test_polls_take_turns_where_a_backend_bears_only_so_many_at_once() -> None:
    class Counting(Unwatchable):
        at_once = 0
        most = 0

        async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            try:
                return await super().fetch(service, datacenter=datacenter)
            finally:
                self.at_once -= 1

    async def main() -> None:
        backend = Counting(watch_limit=3)
        backend.latency = 0.1
        async with discovery(backend) as client:
            watches = await asyncio.gather(*(_begun(client, f"s{number}") for number in range(30)))
            await asyncio.sleep(100)
            assert backend.most == 3
            assert not any(watch.current.stale for watch in watches)

    run(main())


async def _begun(client: Discovery, name: str) -> Any:
    return await client.watch(name)


def test_an_error_of_the_first_poll_is_the_watch_s() -> None:
    async def main() -> None:
        backend = Unwatchable()
        backend.fail()
        async with discovery(backend) as client:
            with pytest.raises(BackendUnavailable):
                await client.discover("billing")
            backend.recover()
            assert len(await client.discover("billing")) == 0

    run(main())
