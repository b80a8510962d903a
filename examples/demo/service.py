"""One instance of a service of the demo: a real HTTP server that registers itself.

python service.py user --backend homeport://127.0.0.1:8500
"""

import argparse
import asyncio
import os
import signal

from aiohttp import web

from homeport import Discovery, HTTPCheck


async def serve(name: str, backend: str, instance_id: str) -> None:
    """Serve and stay registered until SIGTERM."""

    async def who(_: web.Request) -> web.Response:
        return web.json_response({"service": name, "id": instance_id, "pid": os.getpid()})

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="healthy")

    app = web.Application()
    app.add_routes([web.get("/", who), web.get("/health", healthy)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=1)
    await site.start()
    port = runner.addresses[0][1]

    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    check = HTTPCheck(f"http://127.0.0.1:{port}/health", name="health", interval=1, timeout=1)
    async with Discovery(backend) as discovery:
        registered = discovery.register(
            name, id=instance_id, address="127.0.0.1", port=port, tags=["demo"], meta={"version": "1.0.0"},
            checks=[check], ttl=3,
        )  # fmt: skip
        async with registered:
            print(f"ready {instance_id} {port}", flush=True)
            await ended.wait()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--id", required=True)
    parser.add_argument("--backend", required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.name, arguments.backend, arguments.id))
