"""Call services by name with the HTTP client that is there already: an instance is chosen for each request."""

import asyncio

import aiohttp
import httpx
import requests

from homeport import Discovery, blocking
from homeport.integrations.aiohttp import discovery_middleware
from homeport.integrations.httpx import DiscoveryTransport
from homeport.integrations.requests import DiscoveryAdapter


async def with_aiohttp(discovery: Discovery) -> None:
    async with aiohttp.ClientSession(middlewares=[discovery_middleware(discovery)]) as session:
        for _ in range(2):
            async with session.get("http://billing/") as response:
                print(f"aiohttp: {response.status} from {response.request_info.url.authority}, as {response.url}")


async def with_httpx(discovery: Discovery) -> None:
    async with httpx.AsyncClient(transport=DiscoveryTransport(discovery)) as client:
        response = await client.get("http://billing/", extensions={"homeport": {"deadline": 2.0}})
        print(f"httpx: {response.status_code}, as {response.url}")
        try:
            await client.get("http://nobody/")
        except httpx.ConnectError as error:
            print(f"httpx: {error}")


def with_requests() -> None:
    with blocking.Discovery() as discovery, requests.Session() as session:
        session.mount("http://", DiscoveryAdapter(discovery))
        response = session.get("http://billing/", timeout=5)
        print(f"requests: {response.status_code}, as {response.url}")


async def main() -> None:
    async with Discovery() as discovery:
        await with_aiohttp(discovery)
        await with_httpx(discovery)


if __name__ == "__main__":
    asyncio.run(main())
    with_requests()
