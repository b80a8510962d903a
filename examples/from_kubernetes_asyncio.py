"""Follow the endpoints of a Service. HOMEPORT_BACKEND names the cluster, else it is that of kubectl or of this pod."""

import asyncio
import os

from homeport import Discovery


async def main() -> None:
    backend = os.environ.get("HOMEPORT_BACKEND", "kubernetes")
    async with Discovery(backend) as discovery, discovery.watch("billing") as billing:
        async for snapshot in billing:
            # Complete each time: nothing has to be added up, and nothing was missed in between.
            print(", ".join(f"{instance.endpoint} on {instance.node or '?'}" for instance in snapshot) or "nobody")
            if len(snapshot.instances) > 1:
                break
        print(f"call {billing.pick().endpoint.partition(':')[2]}")


if __name__ == "__main__":
    asyncio.run(main())
