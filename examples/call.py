"""Call a service: an instance is chosen for each call, and how the call went is noted."""

import asyncio

import aiohttp

from homeport import Discovery


async def main() -> None:
    async with Discovery() as discovery, discovery.watch("billing") as billing, aiohttp.ClientSession() as http:
        for _ in range(4):
            async with billing.call() as call:  # normal end: success; exception: failure
                async with http.get(call.url("/")) as response:
                    call.observe(status=response.status)  # 5xx counts as a failure
                print(f"{call.instance.id} answered {response.status}")


if __name__ == "__main__":
    asyncio.run(main())
