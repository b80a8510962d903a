"""Which services count as asked for."""

import asyncio

from homeport.backends.consul.hints import Polled
from tests.unit.client.virtual_time import run


def test_what_nobody_asked_for_again_is_forgotten() -> None:
    async def scenario() -> None:
        polled = Polled()
        for name in ("a", "b"):
            polled.note(name, "")
        polled.note("c", "dc2")
        await asyncio.sleep(100)
        polled.note("a", "")
        assert polled.names("") == {"a", "b"}
        await asyncio.sleep(100)
        assert (polled.names(""), polled.names("dc2")) == ({"a"}, set())

    run(scenario())
