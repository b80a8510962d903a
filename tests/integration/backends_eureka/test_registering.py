"""Registrations on a real Eureka server, with what it says of them as the witness."""

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from homeport import ClientSettings, Discovery, Refused, Service, Unsupported
from homeport.backends.eureka import EurekaBackend, open_eureka
from homeport.client.keeper import Standing
from homeport.errors import Conflict, InvalidValue, LeaseLost
from tests.plugins.following import PATIENCE, Until
from tests.servers.eureka import EurekaServer
from tests.servers.process import ServerProcess

OFTEN = ClientSettings(renew_interval=0.5)
"""So that a lease that no pause outlasts is renewed soon."""
PROGRAM = """
import asyncio, sys
from homeport import Discovery

async def main():
    discovery = Discovery(sys.argv[1], environ={})
    await discovery.register(sys.argv[2], id="one", port=1, ttl=2.0)
    print("registered", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def url(eureka: EurekaServer, more: str = "") -> str:
    return f"eureka://{eureka.address}/eureka?poll_interval=0.1{more}"


def backend(eureka: EurekaServer) -> EurekaBackend:
    return open_eureka(url(eureka), {})


def one(name: str, instance_id: str = "one") -> Service:
    return Service(name=name, id=instance_id, address="10.0.0.1", port=8080)


async def on_server(eureka: EurekaServer, name: str, instance_id: str = "one") -> dict[str, object]:
    answer = await asyncio.to_thread(eureka.request, "GET", f"/apps/{name}/{instance_id}")
    instance: dict[str, object] = answer["instance"]
    return instance


async def test_what_is_registered_is_what_other_programs_read(eureka: EurekaServer, name: str) -> None:
    async with (
        Discovery(url(eureka), environ={}) as discovery,
        discovery.register(
            name, id="one", address="10.0.0.1", port=8080, version="2.1.0", tags=["eu"], meta={"zone": "z"}, ttl=60
        ),
    ):
        written = await on_server(eureka, name)
        assert (written["app"], written["vipAddress"], written["secureVipAddress"]) == (name.upper(), name, name)
        assert (written["hostName"], written["ipAddr"]) == ("10.0.0.1", "10.0.0.1")
        assert written["port"] == {"$": 8080, "@enabled": "true"}
        assert written["securePort"] == {"$": 443, "@enabled": "false"}
        assert written["homePageUrl"] == "http://10.0.0.1:8080/"
        assert (written["status"], written["overriddenStatus"]) == ("UP", "UNKNOWN")
        metadata, lease = written["metadata"], written["leaseInfo"]
        assert isinstance(metadata, dict)
        assert isinstance(lease, dict)
        assert (metadata["version"], metadata["tags"], metadata["zone"]) == ("2.1.0", "eu", "z")
        assert (lease["durationInSecs"], lease["renewalIntervalInSecs"]) == (30, 20)


async def test_a_registration_lasts_for_its_whole_ttl_before_its_first_renewal(
    eureka: EurekaServer, name: str, until: Until
) -> None:
    async with (
        aclosing(backend(eureka)) as under_test,
        Discovery(url(eureka), environ={}) as discovery,
        discovery.watch(f"{name}-idle") as idle,
        discovery.watch(name) as watch,
    ):
        # Nothing but a lease of eight seconds, which is longer than the duration that the other one asks for.
        await asyncio.to_thread(eureka.register, f"{name}-idle", "idle", duration=8)
        await under_test.register(one(name), ttl=14.0, incarnation="x")
        await until(idle, lambda snapshot: len(snapshot) == 1)
        await until(idle, lambda snapshot: not snapshot.instances)
        assert len(watch.current) == 1
        await until(watch, lambda snapshot: not snapshot.instances)


async def test_a_program_that_was_killed_is_gone(eureka: EurekaServer, name: str, tmp_path: Path, until: Until) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = ServerProcess("program", tmp_path)
    try:
        async with Discovery(url(eureka), environ={}) as discovery, discovery.watch(name) as watch:
            process.spawn([sys.executable, str(program), url(eureka), name])
            await until(watch, lambda snapshot: len(snapshot) == 1)
            await asyncio.to_thread(process.kill)
            await until(watch, lambda snapshot: not snapshot.instances and not snapshot.stale)
    finally:
        process.kill()


async def test_a_clock_that_was_set_back_registers_anew_all_the_same(
    eureka: EurekaServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = 4_000_000_000_000  # of a program whose clock is ahead
    await asyncio.to_thread(eureka.register, name, "one", lastDirtyTimestamp=str(future), metadata={"who": "other"})
    async with aclosing(backend(eureka)) as under_test:
        lease = await under_test.register(one(name), ttl=60.0, incarnation="x")
        assert (await on_server(eureka, name))["lastDirtyTimestamp"] == str(future + 1) == lease.token
        monkeypatch.setattr("homeport.backends.eureka.backend.time.time", lambda: 1.0)
        changed = Service(name=name, id="one", address="10.0.0.2", port=1)
        newer = await under_test.register(changed, ttl=60.0, incarnation="x")
        assert (await on_server(eureka, name))["hostName"] == "10.0.0.2"
        assert int(newer.token) > int(lease.token)
        await under_test.renew(newer)
        assert await under_test.deregister("one", incarnation="x")


async def test_what_another_client_registered_in_its_place_is_left_alone(eureka: EurekaServer, name: str) -> None:
    async with aclosing(backend(eureka)) as under_test:
        lease = await under_test.register(one(name, f"{name}-id"), ttl=60.0, incarnation="x")
        later = str(int(lease.token) + 10**9)
        await asyncio.to_thread(eureka.register, name, lease.id, host="10.0.0.9", lastDirtyTimestamp=later)
        with pytest.raises(Conflict):
            await under_test.renew(lease)
        assert not await under_test.deregister(lease.id, incarnation="x")
        assert (await on_server(eureka, name, lease.id))["hostName"] == "10.0.0.9"
        assert await under_test.deregister(lease.id)


async def test_an_override_takes_an_instance_out_of_service_and_back(
    eureka: EurekaServer, name: str, until: Until
) -> None:
    async with (
        aclosing(backend(eureka)) as operator,
        Discovery(url(eureka), settings=OFTEN, environ={}) as discovery,
        discovery.watch(name, healthy=False) as watch,
        discovery.register(name, id="one", port=1, ttl=60.0) as registration,
    ):

        async def becomes(status: str) -> None:
            await until(watch, lambda snapshot: [found.status for found in snapshot] == [status])

        await becomes("passing")
        assert await operator.override_status(name, "one", "OUT_OF_SERVICE")
        await becomes("maintenance")
        await registration.update(tags=["new"])  # which registers anew, as UP
        await until(watch, lambda snapshot: snapshot[0].tags == ("new",))
        assert watch.current[0].status == "maintenance"
        await asyncio.to_thread(eureka.wait_renewed, name, "one")
        assert watch.current[0].status == "maintenance"
        assert not registration.lost
        assert await operator.remove_override(name, "one")
        await becomes("passing")
        for status, expected in (("DOWN", "critical"), ("STARTING", "warning")):
            assert await operator.override_status(name, "one", status)  # type: ignore[arg-type]
            await becomes(expected)
        await operator.remove_override(name, "one")
        assert not await operator.override_status(name, "nobody", "DOWN")
        assert not await operator.remove_override("nobody", "one")


async def test_a_status_that_was_taken_away_is_registered_again(eureka: EurekaServer, name: str) -> None:
    async with (
        aclosing(backend(eureka)) as under_test,
        Discovery(under_test, settings=OFTEN, environ={}) as discovery,
        discovery.register(name, id="one", port=1, ttl=600.0) as kept,
    ):
        before = await on_server(eureka, name)
        lost = asyncio.create_task(kept.wait_for(Standing.LOST))
        await asyncio.sleep(0)
        await asyncio.to_thread(eureka.set_status, name, "one", "DOWN")
        await asyncio.to_thread(eureka.request, "DELETE", f"/apps/{name}/one/status")  # it is UNKNOWN now
        async with asyncio.timeout(PATIENCE):
            await lost
            await kept.wait_for(Standing.REGISTERED)
        after = await on_server(eureka, name)
        assert after["status"] == "UP"
        assert int(str(after["lastDirtyTimestamp"])) > int(str(before["lastDirtyTimestamp"]))


async def test_an_id_of_several_applications_is_removed_by_its_incarnation_only(
    eureka: EurekaServer, name: str
) -> None:
    async with aclosing(backend(eureka)) as owner, aclosing(backend(eureka)) as other:
        await owner.register(one(name, f"{name}-id"), ttl=60.0, incarnation="x")
        await owner.register(one(f"{name}-b", f"{name}-id"), ttl=60.0, incarnation="y")
        with pytest.raises(Refused, match="is an instance of several applications in Eureka"):
            await other.deregister(f"{name}-id")
        assert not await other.deregister(f"{name}-id", incarnation="z")
        assert await other.deregister(f"{name}-id", incarnation="x")
        apps = await asyncio.to_thread(eureka.apps)
        assert name.upper() not in apps
        assert list(apps[f"{name}-b".upper()]) == [f"{name}-id"]
        assert await other.deregister(f"{name}-id")
        assert not await other.deregister(f"{name}-id")


async def test_what_the_server_would_not_bear_is_refused_before_it_is_asked(eureka: EurekaServer, name: str) -> None:
    async with aclosing(backend(eureka)) as under_test:
        with pytest.raises(InvalidValue, match="cannot be an instance in Eureka"):
            await under_test.register(one(name, "a/b"), ttl=60.0, incarnation="x")
        with pytest.raises(Unsupported, match="forgets what nobody renews"):
            await under_test.register(one(name), ttl=None, incarnation="x")
        with pytest.raises(InvalidValue, match="cannot be an instance in Eureka"):
            await under_test.deregister("a/b")
        for instance_id in ("a:b@c", "w 1", "ü", "a+b?&#"):
            lease = await under_test.register(one(name, instance_id), ttl=60.0, incarnation="x")
            await under_test.renew(lease)
            assert [found.id for found in (await under_test.fetch(name)).instances] == [instance_id]
            assert await under_test.deregister(instance_id, incarnation="x")
            with pytest.raises(LeaseLost):
                await under_test.renew(lease)
