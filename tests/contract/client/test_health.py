"""Asking and setting health on real registries."""

import time

import pytest

from homeport import Discovery, HTTPCheck, Refused, TTLCheck, Unsupported
from homeport.spi import HealthReporter
from tests.contract.client.conftest import Registry


def reporter(discovery: Discovery) -> HealthReporter:
    assert isinstance(discovery.backend, HealthReporter)
    return discovery.backend


async def test_checks_are_listed_by_status(registry: Registry, name: str) -> None:
    discovery = Discovery(registry.backend_url, environ={})
    checks = [TTLCheck(id="beat", name="Heartbeat", ttl=60.0)]
    async with discovery, discovery.register(name, id=f"{name}-1", port=1, checks=checks) as registration:

        async def listed(status: str | None) -> dict[str, str]:
            rows = await reporter(discovery).checks(status=status)  # type: ignore[arg-type]
            return {
                state.name: state.status for service, owner, state in rows if (service, owner) == (name, f"{name}-1")
            }

        assert await listed(None) == {"Heartbeat": "critical", "Homeport lease": "passing"}
        assert await listed("critical") == {"Heartbeat": "critical"}
        await registration.report("warning", check="beat", output="hot")
        assert await listed("warning") == {"Heartbeat": "warning"}
        assert await listed("critical") == {}
        registry.request("PUT", f"/v1/agent/service/maintenance/{name}-1?enable=true&reason=test")
        assert await listed("maintenance") == {"Service Maintenance Mode": "maintenance"}
        assert (await discovery.discover(name, healthy=False, use_cache=False))[0].status == "maintenance"
        with pytest.raises(Unsupported, match="cannot report maintenance"):
            await registration.report("maintenance")


async def test_a_check_that_is_not_there_is_refused(registry: Registry, name: str) -> None:
    async with Discovery(registry.backend_url, environ={}) as discovery:
        with pytest.raises(Refused, match=f'"{name}" has no check "beat"; the registry\'s agent knows no check of it'):
            await reporter(discovery).report(name, "beat", "passing")


async def test_plain_consul_says_what_it_cannot_do(consul: Registry, name: str) -> None:
    async with Discovery(consul.backend_url, environ={}) as discovery:
        with pytest.raises(Unsupported, match="Consul cannot be asked to run a check"):
            await reporter(discovery).run_check(name, "x")
        with pytest.raises(Unsupported, match="Consul keeps no history of checks; use a Homeport registry"):
            await reporter(discovery).history(name, since=0.0)
        expecting = HTTPCheck(url="http://127.0.0.1:1/", expected_status=204)
        with pytest.raises(Unsupported, match="Consul cannot expect a status or a body"):
            _ = await discovery.register(name, port=1, checks=[expecting])
        assert (await discovery.backend.ping())["product"] == "consul"
        (one,) = [row for row in await discovery.services() if row.name == "consul"]
        assert one.instances is None


async def test_our_own_registry_runs_checks_now_and_remembers(homeport: Registry, name: str) -> None:
    discovery = Discovery(homeport.backend_url, environ={})
    begun = time.time()
    checks = [
        HTTPCheck(id="self", url=f"{homeport.url}/v1/status/leader", interval=600.0, expected_status=200),
        HTTPCheck(id="odd", url=f"{homeport.url}/v1/status/leader", interval=600.0, expected_body="not in there"),
    ]
    async with discovery, discovery.register(name, id=f"{name}-1", port=1, checks=checks):
        assert (await reporter(discovery).run_check(f"{name}-1", "self")).status == "passing"
        assert (await reporter(discovery).run_check(f"{name}-1", "odd")).status == "critical"
        with pytest.raises(Refused, match='has no check "nix"'):
            await reporter(discovery).run_check(f"{name}-1", "nix")
        changes = await reporter(discovery).history(name, since=begun - 60)
        assert (f"{name}-1", "passing") in {(change.instance, change.status) for change in changes}
        assert [change.at for change in changes] == sorted(change.at for change in changes)
        rows = {state.name: state for _, owner, state in await reporter(discovery).checks() if owner == f"{name}-1"}
        checked_at = rows["self"].checked_at
        assert checked_at is not None
        assert checked_at >= begun - 60
        about = await discovery.backend.ping()
        assert about["product"] == "homeport"
        assert about["store"]
        (one,) = [row for row in await discovery.services() if row.name == name]
        assert one.instances == 1
