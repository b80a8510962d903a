"""Registrations and their keeper: alive while the program lives, healed when lost. On virtual time."""

import asyncio
import logging
import time
from itertools import pairwise
from typing import Any

import pytest

from homeport import Discovery, HTTPCheck, Service, TCPCheck
from homeport.client.keeper import Standing
from homeport.client.registration import Registration
from homeport.client.settings import ClientSettings
from homeport.errors import (
    BackendUnavailable,
    Conflict,
    InvalidValue,
    LeaseLost,
    NotReady,
    PermissionDenied,
    Unsupported,
)
from homeport.spi import Lease
from tests.unit.client.scripted_backend import ScriptedBackend
from tests.unit.client.virtual_time import now, run


def discovery(backend: ScriptedBackend, *, environ: dict[str, str] | None = None, **settings: Any) -> Discovery:
    return Discovery(
        backend,
        settings=ClientSettings(**settings),
        environ=environ or {},
        handle_signals=False,
        clock=lambda: asyncio.get_running_loop().time(),
    )


class TimedBackend(ScriptedBackend):
    """Notes when leases were renewed."""

    def __init__(self) -> None:
        super().__init__()
        self.renewed_at: list[float] = []

    async def renew(self, lease: Lease) -> None:
        self.renewed_at.append(now())
        await super().renew(lease)


def test_it_is_registered_within_the_block_and_gone_after() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            async with client.register("api", id="api-1", port=8080, tags=["a", "b"], meta={"n": 1, "t": True}) as mine:
                service, _ = backend.registered["api-1"]
                assert mine.id == "api-1"
                assert not mine.lost
                assert (service.name, service.port, service.tags) == ("api", 8080, ("a", "b"))
                assert (service.meta["n"], service.meta["t"]) == ("1", "true")
            assert not backend.registered
            assert mine.standing is Standing.CLOSED
            assert not await mine.close()

    run(main())


def test_it_can_be_awaited_and_is_removed_with_its_discovery() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            mine = await client.register("api", port=1)
            assert list(backend.registered) == [mine.id]
        assert not backend.registered

    run(main())


def test_generated_ids_are_unique_and_begin_with_the_name() -> None:
    async def main() -> None:
        async with discovery(ScriptedBackend()) as client:
            ids = {(await client.register("api", port=1)).id for _ in range(100)}
            assert len(ids) == 100
            assert all(one.startswith("api-") for one in ids)

    run(main())


def test_the_start_time_is_kept_and_shown() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            mine = await client.register("api", id="a", port=1)
            started_at = backend.registered["a"][0].meta["started_at"]
            assert started_at.endswith("Z")
            await mine.update(meta={"only": "this"})
            assert backend.registered["a"][0].meta == {"only": "this", "started_at": started_at}
            given = await client.register("api", id="b", port=1, meta={"started_at": "2024-01-15T10:30:00Z"})
            assert given.service.meta["started_at"] == "2024-01-15T10:30:00Z"

    run(main())


def test_a_whole_service_is_taken_and_overridden() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        whole = Service(name="api", id="a", version="2.1", environment="live", port=1, weight=3, meta={"x": "1"})
        async with discovery(backend) as client:
            _ = await client.register(whole, port=2, meta={"y": 2})
            service, _ = backend.registered["a"]
            assert (service.version, service.environment, service.weight, service.port) == ("2.1", "live", 3, 2)
            assert (service.meta["x"], service.meta["y"]) == ("1", "2")

    run(main())


def test_checks_may_be_objects_or_dictionaries() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            _ = await client.register(
                name="api",
                id="a",
                port=1,
                checks=[TCPCheck(target="10.0.0.1:1"), {"tcp": "10.0.0.1:2", "interval": "30s"}],
                health_check={"http": "http://10.0.0.1/health", "interval": "10s", "timeout": "5s"},
            )
            assert backend.registered["a"][0].checks == (
                TCPCheck(target="10.0.0.1:1"),
                TCPCheck(target="10.0.0.1:2", interval=30.0),
                HTTPCheck(url="http://10.0.0.1/health", interval=10.0, timeout=5.0),
            )

    run(main())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "a service needs a name"),
        ({"service": "a", "name": "b"}, 'register got two names, "a" and "b"; give one'),
        ({"service": "api", "port": 70000}, "must lie between 0 and 65535"),
        ({"service": "api", "tags": "production"}, 'tags is the text "production"; give a list of texts'),
        ({"service": "api", "tags": [1]}, "tags contains 1, which is not a text"),
        ({"service": "api", "ttl": 0.5}, 'the ttl of "api" is 0.5 s; it must be 1 s or more'),
        ({"service": "api", "meta": {"x": []}}, 'metadata "x" is a list'),
        ({"service": "api", "health_check": {"htp": "x"}}, "says not what to check"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_sent(arguments: dict[str, Any], text: str) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            with pytest.raises(InvalidValue, match=text.replace("(", r"\(")):
                _ = await client.register(**arguments)
            assert not backend.asked

    run(main())


def test_the_lease_is_renewed_at_a_third_of_the_ttl() -> None:
    async def main() -> None:
        backend = TimedBackend()
        async with discovery(backend) as client:
            begun = now()
            _ = await client.register("api", port=1, ttl=15.0)
            await asyncio.sleep(100)
            pauses = [later - earlier for earlier, later in pairwise([begun, *backend.renewed_at])]
            assert all(4.5 <= pause <= 5.0 for pause in pauses)
            assert len(set(pauses)) > 5  # spread, so that a fleet does not renew in step

    run(main())


@pytest.mark.parametrize(
    ("wished", "shortest", "longest"), [(None, 4.5, 5.0), (2.0, 1.8, 2.0), (12.0, 10.8, 12.0), (15.0, 4.5, 5.0)]
)
def test_it_is_renewed_as_often_as_the_settings_say_if_that_is_not_too_late(
    wished: float | None, shortest: float, longest: float
) -> None:
    async def main() -> None:
        backend = TimedBackend()
        settings = ClientSettings(renew_interval=wished)
        client = Discovery(backend, settings=settings, environ={}, clock=now, handle_signals=False)
        async with client, client.register("api", id="a", port=1, ttl=15.0):
            await asyncio.sleep(60)
            pauses = [later - earlier for earlier, later in pairwise(backend.renewed_at)]
            assert all(shortest - 0.001 <= pause <= longest + 0.001 for pause in pauses)

    run(main())


def test_renewals_count_from_the_sending_of_the_last_success() -> None:
    async def main() -> None:
        backend = TimedBackend()
        async with discovery(backend) as client:
            _ = await client.register("api", port=1, ttl=15.0)
            backend.latency = 3.0
            await asyncio.sleep(60)
            pauses = [later - earlier for earlier, later in pairwise(backend.renewed_at)]
            assert all(4.5 <= pause <= 5.0 for pause in pauses)

    run(main())


def test_a_hanging_renewal_is_given_up_in_time_for_another() -> None:
    class HangingBackend(TimedBackend):
        async def renew(self, lease: Lease) -> None:
            if len(self.renewed_at) == 1:
                self.renewed_at.append(now())
                await asyncio.Event().wait()
            await super().renew(lease)

    async def main() -> None:
        backend = HangingBackend()
        async with discovery(backend) as client:
            mine = await client.register("api", port=1, ttl=15.0)
            await asyncio.sleep(16)
            assert len(backend.renewed_at) >= 3
            assert not mine.lost

    run(main())


def test_a_lost_lease_is_made_again_and_the_program_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        told: list[tuple[bool, str]] = []

        def on_change(registration: Registration) -> None:
            told.append((registration.lost, registration.reason))

        async with discovery(backend) as client:
            mine = await client.register("api", id="a", port=1, ttl=15.0, on_change=on_change)
            incarnation = backend.registered["a"][1]
            backend.wipe("two")
            backend.latency = 0.5
            assert await mine.wait_for(Standing.LOST) is Standing.LOST
            assert mine.lost
            assert mine.reason == "a is not registered"
            assert await mine.wait_for(Standing.REGISTERED) is Standing.REGISTERED
            assert backend.registered["a"][1] == incarnation
            assert (mine.lost, mine.reason) == (False, "")
            await asyncio.sleep(1)
            assert len(told) == 2

    with caplog.at_level(logging.INFO, "homeport.client.keeper"):
        run(main())
    assert [record.message for record in caplog.records] == [
        "a registration is lost; it is made again",
        "a lost registration stands again",
    ]


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_step_of_the_wall_clock_changes_nothing(step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        backend = TimedBackend()
        async with discovery(backend) as client:
            mine = await client.register("api", port=1, ttl=15.0)
            async with client.watch("api") as watch:
                await asyncio.sleep(7)
                stepped = time.time() + step
                monkeypatch.setattr(time, "time", lambda: stepped)
                await asyncio.sleep(60)
                assert not watch.current.stale
            assert all(4.5 <= later - earlier <= 5.0 for earlier, later in pairwise(backend.renewed_at))
            assert not mine.lost

    run(main())


def test_after_a_suspend_a_failing_renewal_is_a_loss_at_once() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        asleep = 0.0
        client = Discovery(backend, environ={}, handle_signals=False, clock=lambda: now() + asleep)
        async with client:
            mine = await client.register("api", port=1, ttl=15.0)
            await asyncio.sleep(1)
            asleep = 3600.0  # the loop's time stands still meanwhile, the lease's does not
            backend.fail()
            begun = now()
            await mine.wait_for(Standing.LOST)
            assert now() - begun <= 5.0
            backend.recover()
            await mine.wait_for(Standing.REGISTERED)

    run(main())


def test_an_outage_shorter_than_the_ttl_is_no_loss_and_a_longer_one_is() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            mine = await client.register("api", id="a", port=1, ttl=15.0)
            backend.fail()
            await asyncio.sleep(9)
            assert mine.standing is Standing.REGISTERED
            backend.recover()
            await asyncio.sleep(10)
            assert mine.standing is Standing.REGISTERED
            backend.fail()
            begun = now()
            await mine.wait_for(Standing.LOST)
            assert 9 <= now() - begun <= 21
            assert "no registry answers" in mine.reason
            backend.recover()
            await mine.wait_for(Standing.REGISTERED)
            assert backend.asked["register a"] == 1  # it is still there: renewed, not registered again

    run(main())


@pytest.mark.parametrize("trouble", [PermissionDenied("the token is gone"), BackendUnavailable("down")])
def test_no_error_ends_the_keeping(trouble: Exception) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            mine = await client.register("api", id="a", port=1, ttl=3.0)
            backend.fail(trouble)
            await asyncio.sleep(600)
            assert mine.lost
            backend.wipe("two")
            backend.recover()
            await mine.wait_for(Standing.REGISTERED)
            assert "a" in backend.registered

    run(main())


def test_an_id_that_another_program_took_over_is_left_to_it() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        told: list[Standing] = []
        async with discovery(backend) as old_program, discovery(backend) as new_program:
            old = await old_program.register("api", id="a", port=1, on_change=lambda one: told.append(one.standing))
            new = await new_program.register("api", id="a", port=2)
            await old.wait_for(Standing.REPLACED)
            assert old.lost
            await asyncio.sleep(600)
            assert backend.asked["register a"] == 2
            with pytest.raises(Conflict, match="registered anew by another program"):
                await old.update(tags=["x"])
            assert not await old.close()
            assert backend.registered["a"][0].port == 2
            assert not new.lost
            assert told == [Standing.REPLACED]

    run(main())


def test_the_leaving_of_the_old_process_does_not_remove_the_new_one() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as new_program:
            async with discovery(backend) as old_program:
                _ = await old_program.register("api", id="a", port=1)
                _ = await new_program.register("api", id="a", port=2)
            assert backend.registered["a"][0].port == 2

    run(main())


def test_an_update_replaces_what_is_given_and_keeps_the_rest() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            mine = await client.register("api", id="a", port=1, tags=["x"], meta={"k": "v"}, version="1")
            await mine.update(tags=["y"], weight=5, version="2", environment="live", address="10.1.1.1", port=2)
            service = backend.registered["a"][0]
            assert (service.tags, service.weight, service.version, service.environment) == (("y",), 5, "2", "live")
            assert (service.address, service.port, service.meta["k"]) == ("10.1.1.1", 2, "v")
            await mine.update(checks=[{"tcp": "10.1.1.1:2"}])
            assert backend.registered["a"][0].checks == (TCPCheck(target="10.1.1.1:2"),)
            await client.update("a", tags=[])
            assert backend.registered["a"][0].tags == ()
            await client.update_meta(mine, {"last": "now"})
            assert backend.registered["a"][0].meta["k"] == "v"
            assert backend.registered["a"][0].meta["last"] == "now"
            with pytest.raises(InvalidValue, match='this program has no registration "b"'):
                await client.update_meta("b", {})
            backend.wipe("two")
            await mine.wait_for(Standing.LOST)
            await mine.wait_for(Standing.REGISTERED)
            assert backend.registered["a"][0].version == "2"  # healed with the new content

    run(main())


def test_a_refused_update_keeps_the_content_before() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with discovery(backend) as client:
            mine = await client.register("api", id="a", port=1, tags=["x"])
            with pytest.raises(InvalidValue):
                await mine.update(port=99999)
            backend.fail(PermissionDenied("no"))
            with pytest.raises(PermissionDenied):
                await mine.update(tags=["y"])
            backend.recover()
            assert mine.service.tags == ("x",)

    run(main())


def test_concurrent_changes_of_metadata_all_arrive() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.latency = 0.1
        async with discovery(backend) as client:
            mine = await client.register("api", id="a", port=1)
            await asyncio.gather(*(mine.update_meta({f"k{number}": number}) for number in range(10)))
            assert {f"k{number}" for number in range(10)} <= backend.registered["a"][0].meta.keys()

    run(main())


def test_before_it_began_there_is_nothing_to_change() -> None:
    async def main() -> None:
        async with discovery(ScriptedBackend()) as client:
            mine = client.register("api", port=1)
            with pytest.raises(NotReady, match="has no id yet"):
                mine.id  # noqa: B018
            with pytest.raises(NotReady, match="await the registration first"):
                await mine.update(tags=[])
            assert not await mine.close()
            await mine.begin()
            await mine.close()
            with pytest.raises(NotReady, match="register anew"):
                await mine.begin()

    run(main())


def test_a_backend_without_settable_checks_refuses_reports() -> None:
    async def main() -> None:
        async with discovery(ScriptedBackend()) as client:
            mine = await client.register("api", port=1)
            with pytest.raises(Unsupported, match="takes no reports of health"):
                await mine.report("passing")

    run(main())


def test_an_attempt_that_may_have_arrived_is_taken_back() -> None:
    class HalfDeafBackend(ScriptedBackend):
        async def register(self, *arguments: Any, **named: Any) -> Lease:
            await super().register(*arguments, **named)
            raise BackendUnavailable("no answer within 10 s")

    async def main() -> None:
        backend = HalfDeafBackend()
        async with discovery(backend) as client:
            with pytest.raises(BackendUnavailable):
                _ = await client.register("api", id="a", port=1)
            await asyncio.sleep(1)
            assert not backend.registered

    run(main())


def test_a_cancelled_attempt_is_taken_back() -> None:
    class SlowBackend(ScriptedBackend):
        async def register(self, *arguments: Any, **named: Any) -> Lease:
            lease = await super().register(*arguments, **named)
            await asyncio.sleep(5)
            return lease

    async def main() -> None:
        backend = SlowBackend()
        async with discovery(backend) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    _ = await client.register("api", id="a", port=1)
            await asyncio.sleep(1)
            assert not backend.registered

    run(main())


def test_what_is_about_to_be_registered_does_not_stay_behind_at_the_end() -> None:
    class SlowBackend(ScriptedBackend):
        async def register(self, *arguments: Any, **named: Any) -> Lease:
            lease = await super().register(*arguments, **named)
            await asyncio.sleep(1)  # it has arrived, but nobody here knows yet
            return lease

    async def main() -> None:
        backend = SlowBackend()
        client = discovery(backend)
        registering = asyncio.create_task(client.register("api", id="a", port=1).begin())
        await asyncio.sleep(0.5)
        assert backend.registered
        await client.aclose()
        assert not backend.registered
        await registering

    run(main())


def test_what_is_taken_back_is_waited_for_at_the_end() -> None:
    class SlowBackend(ScriptedBackend):
        async def register(self, *arguments: Any, **named: Any) -> Lease:
            lease = await super().register(*arguments, **named)
            self.latency = 1.0
            await asyncio.sleep(5)
            return lease

    async def main() -> None:
        backend = SlowBackend()
        async with discovery(backend) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    _ = await client.register("api", id="a", port=1)
            assert backend.registered
        assert not backend.registered

    run(main())


def test_leaving_takes_bounded_time_when_the_backend_hangs() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        client = discovery(backend, deregister_timeout=3.0)
        _ = await client.register("api", id="a", port=1)
        backend.latency = 1000.0
        begun = now()
        await client.aclose()
        assert now() - begun == 3

    run(main())


def test_leaving_goes_on_when_one_of_several_cannot_be_removed(caplog: pytest.LogCaptureFixture) -> None:
    class PickyBackend(ScriptedBackend):
        async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
            if service_id == "a":
                raise BackendUnavailable("down")
            return await super().deregister(service_id, incarnation=incarnation)

    async def main() -> None:
        backend = PickyBackend()
        async with discovery(backend) as client:
            for name in ("a", "b", "c"):
                _ = await client.register("api", id=name, port=1)
        assert list(backend.registered) == ["a"]

    run(main())
    assert [record.message for record in caplog.records] == ["a registration could not be removed; its lease runs out"]


def test_a_callback_that_raises_does_not_end_the_keeping(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        backend = ScriptedBackend()

        async def on_change(_registration: Registration) -> None:
            raise ValueError("a defect of the caller")

        async with discovery(backend) as client:
            mine = await client.register("api", id="a", port=1, ttl=3.0, on_change=on_change)
            for store in ("two", "three"):
                backend.wipe(store)
                await mine.wait_for(Standing.LOST)
                await mine.wait_for(Standing.REGISTERED)

    run(main())
    assert "a callback of a registration failed" in {record.message for record in caplog.records}


@pytest.mark.parametrize(
    ("given", "variable", "found", "registered"),
    [
        ("", "", "10.9.9.9", "10.9.9.9"),
        ("", "10.8.8.8", "10.9.9.9", "10.8.8.8"),
        ("10.7.7.7", "10.8.8.8", "10.9.9.9", "10.7.7.7"),
        ("", "", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1", "127.0.0.1"),
        ("localhost", "", "::1", "localhost"),
    ],
)
def test_the_address_is_the_argument_or_the_variable_or_found(
    given: str, variable: str, found: str, registered: str
) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        backend.address = found
        async with discovery(backend, environ={"HOMEPORT_ADVERTISE": variable}) as client:
            _ = await client.register("api", id="a", address=given or None, port=1)
            assert backend.registered["a"][0].address == registered

    run(main())


@pytest.mark.parametrize(
    ("given", "variable", "text"),
    [
        ("127.0.0.1", "", "the address 127.0.0.1 means this host only, but scripted:// is on another one"),
        ("localhost", "", "the address localhost means this host only"),
        ("::1", "", "the address ::1 means this host only"),
        ("", "127.9.9.9", "the address in HOMEPORT_ADVERTISE 127.9.9.9 means this host only"),
    ],
)
def test_loopback_towards_a_backend_elsewhere_is_an_error(given: str, variable: str, text: str) -> None:
    async def main() -> None:
        async with discovery(ScriptedBackend(), environ={"HOMEPORT_ADVERTISE": variable}) as client:
            with pytest.raises(InvalidValue, match=text):
                _ = await client.register("api", address=given or None, port=1)

    run(main())


def test_a_lease_without_a_ttl_needs_no_renewal() -> None:
    class EternalBackend(ScriptedBackend):
        async def register(self, *arguments: Any, **named: Any) -> Lease:
            lease = await super().register(*arguments, **named)
            return Lease(service=lease.service, id=lease.id, incarnation=lease.incarnation, ttl=None)

    async def main() -> None:
        backend = EternalBackend()
        async with discovery(backend) as client:
            mine = await client.register("api", id="a", port=1)
            await asyncio.sleep(1000)
            assert backend.asked["renew a"] == 0
            assert not mine.lost
        assert not backend.registered

    run(main())


def test_a_heal_that_fails_is_tried_again() -> None:
    class StubbornBackend(ScriptedBackend):
        refusals = 0

        async def register(self, *arguments: Any, **named: Any) -> Lease:
            if self.store == "two" and self.refusals < 3:
                self.refusals += 1
                raise LeaseLost("gone again at once")
            return await super().register(*arguments, **named)

    async def main() -> None:
        backend = StubbornBackend()
        async with discovery(backend) as client:
            mine = await client.register("api", id="a", port=1, ttl=3.0)
            backend.wipe("two")
            await mine.wait_for(Standing.LOST)
            await mine.wait_for(Standing.REGISTERED)
            assert backend.refusals == 3

    run(main())
