"""`examples/with_consul.py`, as a program."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from tests.servers.consul import ConsulServer
from tests.servers.process import clean_environment

EXAMPLE = Path(__file__).parents[3] / "examples" / "with_consul.py"
PATIENCE = 60.0


async def printed(consul: ConsulServer) -> list[str]:
    """What the example prints."""
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLE),
        env=clean_environment({"CONSUL_HTTP_ADDR": consul.address}),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await program.communicate()
    assert program.returncode == 0
    return output.decode().splitlines()


async def test_it_finds_itself_by_a_watch_and_by_a_query(consul_factory: Callable[..., ConsulServer]) -> None:
    consul = await asyncio.to_thread(consul_factory)
    found, told = await printed(consul)
    assert found == "billing-1 2.1.0 at 10.0.0.1:8080 in dc1"
    assert told.startswith('there is no prepared query "nearest-billing"')
    query = {"Name": "nearest-billing", "Service": {"Service": "billing"}}
    await asyncio.to_thread(consul.request, "POST", "/v1/query", query)
    assert await printed(consul) == [found, "nearest: billing-1"]
    assert await asyncio.to_thread(consul.request, "GET", "/v1/health/service/billing") == []
