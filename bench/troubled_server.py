"""``python -m bench.troubled_server TROUBLE SEED``: one instance of a fleet, over HTTP and gRPC, until stdin ends.

It prints the ports of both as ``HTTP GRPC``. The troubles and the time that calls take are those of `bench.fleet`.
"""

import asyncio
import sys
from random import Random

import grpc
from aiohttp import web

from .fleet import FAILING_SHARE, FAILING_TIME, MEAN, SLOWNESS, SPREAD

METHOD = "/bench.Fleet/Call"


class Trouble:
    """What an instance makes of a call."""

    def __init__(self, kind: str, seed: int) -> None:
        self._kind = kind
        self._random = Random(seed)

    async def work(self) -> bool:
        """Take the time of a call; whether it succeeds."""
        if self._kind == "hanging":
            await asyncio.Event().wait()
        if self._kind == "failing" and self._random.random() < FAILING_SHARE:
            await asyncio.sleep(FAILING_TIME)
            return False
        took = MEAN * self._random.lognormvariate(-SPREAD * SPREAD / 2, SPREAD)
        await asyncio.sleep(took * SLOWNESS if self._kind == "slow" else took)
        return True


async def main(kind: str, seed: int) -> None:
    trouble = Trouble(kind, seed)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=200 if await trouble.work() else 503, text="hello")

    async def call(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if not await trouble.work():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "in trouble")
        return b"hello"

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    http_port = runner.addresses[0][1]

    server = grpc.aio.server()
    service, _, method = METHOD.removeprefix("/").partition("/")
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {method: grpc.unary_unary_rpc_method_handler(call)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    print(http_port, grpc_port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
