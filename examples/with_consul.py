"""Register in Consul, and find by a watch and by a prepared query; the agent is the one at CONSUL_HTTP_ADDR."""

import asyncio

from homeport import Discovery, Refused


async def main() -> None:
    async with (
        Discovery("consul") as discovery,
        discovery.register("billing", id="billing-1", address="10.0.0.1", port=8080, version="2.1.0"),
        discovery.watch("billing") as billing,
        Discovery("consul://?via=query&near=_agent&limit=1") as queries,
    ):
        for instance in billing.current:
            print(f"{instance.id} {instance.version} at {instance.endpoint} in {instance.datacenter}")
        try:
            for instance in await queries.discover("nearest-billing"):
                print(f"nearest: {instance.id}")
        except Refused as error:
            print(error)


if __name__ == "__main__":
    asyncio.run(main())
