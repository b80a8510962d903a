"""Register in etcd, and find what a program in another language wrote there; etcd is the one at ETCD_ENDPOINTS."""

import asyncio

from homeport import Discovery


async def main() -> None:
    async with Discovery("etcd") as discovery, discovery.watch("billing") as billing:
        async with discovery.register("billing", id="billing-1", address="10.0.0.1", port=8080, ttl=15):
            async for snapshot in billing:
                if snapshot.instances:
                    break
            for instance in snapshot:
                print(f"{instance.id} {instance.endpoint}")
        for service in await discovery.services():
            print(f"{service.name}: {service.passing} of {service.instances} pass")


if __name__ == "__main__":
    asyncio.run(main())
