"""Register in Eureka, take the instance out of service for a while, and find what others registered there.

The servers are those of EUREKA_CLIENT_SERVICEURL_DEFAULTZONE.
"""

import asyncio

from homeport import Discovery, Snapshot, Watch
from homeport.backends.eureka import EurekaBackend


async def becomes(watch: Watch, status: str) -> Snapshot:
    """Wait until the only instance has that status."""
    async for snapshot in watch:
        if [instance.status for instance in snapshot] == [status]:
            return snapshot
    raise RuntimeError("the watch was closed")


async def main() -> None:
    async with (
        Discovery("eureka://?poll_interval=1") as discovery,
        discovery.watch("billing", healthy=False) as billing,
        discovery.register("billing", id="billing-1", address="10.0.0.1", port=8080, ttl=15),
    ):
        (instance,) = await becomes(billing, "passing")
        print(f"{instance.id} {instance.endpoint}")
        assert isinstance(discovery.backend, EurekaBackend)
        await discovery.backend.override_status("billing", "billing-1", "OUT_OF_SERVICE")
        print(f"billing-1 is in {(await becomes(billing, 'maintenance'))[0].status}")
        await discovery.backend.remove_override("billing", "billing-1")
        await becomes(billing, "passing")
        for service in await discovery.services():
            print(f"{service.name}: {service.passing} of {service.instances} pass")


if __name__ == "__main__":
    asyncio.run(main())
