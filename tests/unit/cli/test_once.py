"""A registration that outlives the command that made it."""

from collections.abc import Mapping

import pytest

from homeport.cli.once import register_once
from homeport.model import Service
from homeport.spi import Lease


class RecordingRegistrar:
    """A stand-in that notes what it is asked to register: that a lease never comes cannot be waited for."""

    url = "homeport://h:1"

    def __init__(self) -> None:
        self.asked: list[tuple[Service, float | None, str]] = []

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        self.asked.append((service, ttl, incarnation))
        return Lease(service=service.name, id=service.id, incarnation=incarnation, ttl=ttl)

    async def renew(self, lease: Lease) -> None:
        raise AssertionError(f"nobody is there to renew {lease.id}")

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        raise AssertionError(f"{service_id} is to stay")

    async def advertised_address(self) -> str:
        return "127.0.0.1"

    async def ping(self) -> Mapping[str, str]:
        return {}

    async def aclose(self) -> None:
        """Nothing is open."""


async def test_nobody_has_to_renew_it(capsys: pytest.CaptureFixture[str]) -> None:
    source = RecordingRegistrar()
    service = Service(name="api", id="made-up", address="::1", port=80)
    for _ in range(2):
        assert await register_once(source, service, own_id=False, form="ndjson") == 0
    (first, ttl, incarnation), (second, _, other) = source.asked
    assert ttl is None
    assert first.id == second.id == "api---1-80"
    assert incarnation != other
    assert capsys.readouterr().out.count("\n") == 2


async def test_an_id_of_ones_own_is_kept() -> None:
    source = RecordingRegistrar()
    await register_once(source, Service(name="api", id="mine", address="h", port=80), own_id=True, form="json")
    assert source.asked[0][0].id == "mine"
