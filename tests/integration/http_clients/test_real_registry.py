"""Services of a real registry, called by name."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from uuid import uuid4

import aiohttp
import requests

from homeport import Discovery
from homeport.blocking import Discovery as BlockingDiscovery
from homeport.integrations.aiohttp import discovery_middleware
from homeport.integrations.requests import DiscoveryAdapter
from tests.servers.homeport import HomeportServer
from tests.servers.ports import LOOPBACK

from .instance_server import InstanceServer


async def test_traffic_is_spread_and_goes_on_when_an_instance_dies(
    homeport: HomeportServer, servers: list[InstanceServer]
) -> None:
    name = f"t-{uuid4().hex[:12]}"
    async with AsyncExitStack() as stack:
        discovery = await stack.enter_async_context(Discovery(homeport.backend_url, handle_signals=False))
        registrations = [
            await discovery.register(name, id=f"{name}-{server.name}", address=LOOPBACK, port=server.port)
            for server in servers
        ]
        assert not any(registration.lost for registration in registrations)
        session = await stack.enter_async_context(aiohttp.ClientSession(middlewares=[discovery_middleware(discovery)]))
        served = Counter[str]()
        for number in range(90):
            if number == 60:
                assert served == {"one": 20, "two": 20, "three": 20}
                assert [server.accepted for server in servers] == [1, 1, 1]
                await asyncio.to_thread(servers[2].stop)  # its registration stands
            async with session.get(f"http://{name}/who") as response:
                assert response.status == 200
                served[await response.text()] += 1
        assert served["one"] + served["two"] == 70

        def blocking() -> Counter[str]:
            with BlockingDiscovery(homeport.backend_url, handle_signals=False) as found, requests.Session() as http:
                http.mount("http://", DiscoveryAdapter(found))
                return Counter(http.get(f"http://{name}/who", timeout=10).text for _ in range(30))

        answers = await asyncio.to_thread(blocking)
        assert answers["one"] + answers["two"] == 30
        assert min(answers["one"], answers["two"]) >= 10
