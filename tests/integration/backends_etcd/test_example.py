"""`examples/with_etcd.py`, as a program."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from tests.servers.etcd import EtcdServer
from tests.servers.process import clean_environment

EXAMPLE = Path(__file__).parents[3] / "examples" / "with_etcd.py"
PATIENCE = 60.0


async def test_it_finds_itself_and_what_others_wrote(etcd_factory: Callable[..., EtcdServer]) -> None:
    etcd = await asyncio.to_thread(etcd_factory)
    await asyncio.to_thread(etcd.put, "/services/orders/1", '{"address": "10.0.0.2", "healthy": false}')
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLE),
        env=clean_environment({"ETCD_ENDPOINTS": etcd.address}),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        printed, _ = await program.communicate()
    assert program.returncode == 0
    assert printed.decode().splitlines() == ["billing-1 10.0.0.1:8080", "orders: 0 of 1 pass"]
    assert await asyncio.to_thread(etcd.get, "/services/billing/") == {}
