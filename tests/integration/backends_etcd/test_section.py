"""The section `etcd` of a settings file, on a real etcd."""

import asyncio
import base64
import sys
from pathlib import Path

import pytest

import homeport
from tests.plugins.following import Until
from tests.servers.etcd import EtcdServer
from tests.servers.process import clean_environment

PATIENCE = 60.0
FILE = """
etcd:
  endpoints: ["ENDPOINT"]
  service_registration: {key_prefix: "/own/", ttl: TTL, refresh_interval: 1}
  discovery: {watch_prefix: "/own", recursive: true}
services:
  - {name: NAME, id: one, address: 10.0.0.1, port: 1}
"""


async def granted(etcd: EtcdServer, key: str) -> int:
    """For how many seconds the lease of a key was granted."""
    encoded = base64.b64encode(key.encode()).decode()
    found = await asyncio.to_thread(etcd.request, "/v3/kv/range", {"key": encoded})
    lease = found["kvs"][0]["lease"]
    told = await asyncio.to_thread(etcd.request, "/v3/kv/lease/timetolive", {"ID": lease})
    return int(told["grantedTTL"])


async def test_a_definition_is_registered_where_and_for_as_long_as_it_says(
    etcd: EtcdServer, tmp_path: Path, name: str, until: Until
) -> None:
    for ttl in (30, 40):
        file = tmp_path / "homeport.yaml"
        text = FILE.replace("ENDPOINT", etcd.address).replace("TTL", str(ttl)).replace("NAME", name)
        file.write_text(text, encoding="utf-8")
        async with homeport.configured(file, environ={}, handle_signals=False) as discovery:
            assert await granted(etcd, f"/own/{name}/one") == ttl
            async with discovery.watch(name) as watch:
                await until(watch, lambda snapshot: len(snapshot) == 1)
        assert await asyncio.to_thread(etcd.get, f"/own/{name}/") == {}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("agent",), 30),
        (("agent", "--ttl", "20s"), 20),
        (("register", "--keep", "--file"), 30),
        (("register", "--keep", "--ttl", "20s", "--file"), 20),
    ],
)
async def test_the_command_line_registers_for_as_long_unless_it_is_told_otherwise(
    etcd: EtcdServer, tmp_path: Path, name: str, arguments: tuple[str, ...], expected: int
) -> None:
    file, definition = tmp_path / "homeport.yaml", tmp_path / "service.yaml"
    text = FILE.replace("ENDPOINT", etcd.address).replace("TTL", "30")
    file.write_text(text.partition("services:")[0], encoding="utf-8")
    definition.write_text(
        f"service_definition: {{name: {name}, id: one, address: 10.0.0.1, port: 1}}", encoding="utf-8"
    )
    where = ["--config", str(definition)] if arguments[0] == "agent" else [str(definition)]
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "homeport", *arguments, *where,
        env=clean_environment({"HOMEPORT_CONFIG": str(file)}),
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            while not await asyncio.to_thread(etcd.get, f"/own/{name}/one"):  # noqa: ASYNC110 - of another program
                await asyncio.sleep(0.05)
        assert await granted(etcd, f"/own/{name}/one") == expected
    finally:
        program.terminate()
        await program.wait()
    assert await asyncio.to_thread(etcd.get, f"/own/{name}/") == {}
