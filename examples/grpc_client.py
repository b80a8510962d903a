"""Calls a gRPC service: each call goes to the next instance, and to another when one has died. Any stub works so."""

import asyncio
import sys

from homeport import Discovery
from homeport.integrations.grpc import discovery_channel


async def main(calls: int) -> None:
    async with (
        Discovery() as discovery,
        discovery_channel(discovery, "discovery:///greeter", idempotent={"demo.Greeter/Greet"}) as channel,
    ):
        greet = channel.unary_unary("/demo.Greeter/Greet", str.encode, bytes.decode)
        for _ in range(calls):
            print(await greet("world", timeout=5.0, wait_for_ready=True), flush=True)


if __name__ == "__main__":
    asyncio.run(main(calls=int(sys.argv[1]) if len(sys.argv) > 1 else 6))
