"""Find the pods behind a Service, and register beside them; which cluster it is, say KUBECONFIG and K8S_NAMESPACE."""

import asyncio

from homeport import Discovery


async def main() -> None:
    async with Discovery("kubernetes") as discovery, discovery.watch("billing") as billing:
        async with discovery.register("billing", id="billing-outside", address="192.0.2.7", port=8080, ttl=15):
            async for snapshot in billing:
                if len(snapshot) > 1:
                    break
            for instance in snapshot:
                print(instance.id, instance.endpoint, instance.version, instance.meta.get("metrics_path", "/"))
        for service in await discovery.services():
            print(f"{service.name}: {service.passing} of {service.instances} pass")


if __name__ == "__main__":
    asyncio.run(main())
