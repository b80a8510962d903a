"""Find the instances of a service, and choose one."""

import asyncio

from homeport import Discovery, NoInstances


async def main() -> None:
    async with Discovery() as discovery:
        snapshot = await discovery.discover("billing", tags=["eu"], version=">=2,<3")
        for instance in snapshot:
            print(f"{instance.id} {instance.endpoint} version {instance.version}")

        instance = await discovery.resolve("billing")  # one healthy instance, by the balancer
        print(f"call {instance.url('/v1/invoices')}")
        instance = discovery.pick("billing")  # from memory: no await, no request

        try:
            await discovery.resolve("nobody")
        except NoInstances as error:
            print(f"refused: {error}")


if __name__ == "__main__":
    asyncio.run(main())
