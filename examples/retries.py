"""Make a call that outlives the failure of an instance: again elsewhere, within a budget and a deadline."""

import asyncio

import aiohttp

from homeport import Call, ClientSettings, Discovery, RetrySettings


async def main() -> None:
    settings = ClientSettings(retry=RetrySettings(attempts=4, deadline=5.0))
    async with Discovery(settings=settings) as discovery, aiohttp.ClientSession() as http:

        async def front_page(call: Call) -> str:
            async with http.get(call.url("/")) as response:
                call.observe(status=response.status)  # 502, 503 and 504 are worth another attempt
                await response.read()
                return f"{call.instance.id} answered {response.status}"

        for _ in range(6):
            print(await discovery.perform("billing", front_page, idempotent=True, hedge_after=1.0))


if __name__ == "__main__":
    asyncio.run(main())
