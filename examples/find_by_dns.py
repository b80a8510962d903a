"""Find the instances of a service in DNS: python find_by_dns.py dns://127.0.0.1:8600/service.consul"""

import asyncio
import sys

from homeport import Discovery, Unsupported


async def main(backend: str) -> None:
    async with Discovery(backend) as discovery, discovery.watch("billing") as billing:
        for instance in billing.current:
            print(f"{instance.endpoint} weight {instance.weight}")

        instance = billing.pick()  # from memory; the names are asked for again whenever their TTL has run out
        print(f"call {instance.url('/v1/invoices')}")

        try:
            await discovery.services()
        except Unsupported as error:
            print(f"refused: {error}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
