"""Register this program as an instance of the service "api", with a health check, while it works."""

import asyncio

from aiohttp import web

from homeport import Discovery, HTTPCheck


async def healthy(_: web.Request) -> web.Response:
    return web.Response(text="healthy")


async def main() -> None:
    app = web.Application()
    app.router.add_get("/health", healthy)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]

    check = HTTPCheck(f"http://127.0.0.1:{port}/health", name="health", interval=1, timeout=1)
    async with (
        Discovery() as discovery,
        discovery.register(
            "api", address="127.0.0.1", port=port, tags=["production"], meta={"version": "2.1.0"}, checks=[check], ttl=5
        ) as registration,
    ):
        print(f"registered {registration.id}", flush=True)
        await registration.update(tags=["production", "warm"])  # a live registration can be changed
        await asyncio.sleep(3)  # … until the program ends; SIGTERM and SIGINT deregister too
    await runner.cleanup()
    print("deregistered")


if __name__ == "__main__":
    asyncio.run(main())
