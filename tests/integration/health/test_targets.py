"""Networks that checks may not reach, for every kind, whatever way leads there."""

from __future__ import annotations

from typing import Any

import pytest

from homeport.errors import SettingsError
from homeport.registry.health import HealthSettings
from tests.integration.health.answering import plain, serving
from tests.integration.health.engine import real

NOT_LOOPBACK = HealthSettings(deny_targets=("127.0.0.0/8", "::1"))
REFUSED = "checks may not connect to 127.0.0.1: health.deny_targets has 127.0.0.0/8"


async def result(settings: HealthSettings, **definition: Any) -> tuple[str, str, str]:
    lookup = definition.pop("lookup", None)
    async with real(settings, lookup=lookup) as engine:
        status, output = await engine.result(engine.check("x", interval=3600.0, **definition))
        return status, output, engine.probed[-1].result.reason


@pytest.mark.parametrize(
    ("kind", "target"),
    [("http", "http://127.0.0.1:{port}/"), ("tcp", "127.0.0.1:{port}"), ("grpc", "127.0.0.1:{port}")],
)
async def test_a_denied_address_is_never_connected_to(kind: str, target: str) -> None:
    async with serving(plain()) as served:
        status, output, reason = await result(NOT_LOOPBACK, kind=kind, **{kind: target.format(port=served.port)})
        assert (status, reason) == ("critical", "refused")
        assert output.endswith(REFUSED)
        assert served.requests == []
        assert served.connections == 0


@pytest.mark.parametrize("host", ["inner.example", "2130706433", "127.1"])
async def test_a_name_or_another_spelling_is_no_way_around(host: str) -> None:
    async with serving(plain()) as served:
        status, output, _ = await result(
            NOT_LOOPBACK, kind="http", http=f"http://{host}:{served.port}/", lookup=lambda _: ["127.0.0.1"]
        )
        assert (status, output.endswith(REFUSED), served.connections) == ("critical", True, 0)


async def test_a_redirect_is_no_way_around() -> None:
    settings = HealthSettings(allow_targets=("127.0.0.1",))
    async with serving(plain("inside"), host="127.0.0.2") as inner:
        answer = plain("", "302 Found", f"Location: http://127.0.0.2:{inner.port}/")
        async with serving(answer) as outer:
            status, output, _ = await result(settings, kind="http", http=outer.url())
            assert status == "critical"
            assert "127.0.0.2: it is in none of the networks of health.allow_targets" in output
            assert inner.connections == 0


async def test_of_several_addresses_only_accepted_ones_are_tried() -> None:
    settings = HealthSettings(deny_targets=("127.0.0.1",))
    async with serving(plain(), host="127.0.0.2") as served:
        status, _, _ = await result(
            settings, kind="tcp", tcp=f"both.example:{served.port}", lookup=lambda _: ["127.0.0.1", "127.0.0.2"]
        )
        assert status == "passing"


async def test_an_allowed_network_is_reached() -> None:
    async with serving(plain()) as served:
        settings = HealthSettings(allow_targets=("127.0.0.0/8",))
        assert (await result(settings, kind="http", http=served.url()))[0] == "passing"


async def test_a_network_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match=r"health\.allow_targets"):
        async with real(HealthSettings(allow_targets=("everywhere",))):
            pass
