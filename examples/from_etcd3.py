"""What is written by hand with python-etcd3, on the same keys: a lease, a watch, a value. etcd is at ETCD_ENDPOINTS."""

import asyncio
import os

from homeport import Conflict, Discovery
from homeport.backends.etcd import open_etcd


async def services() -> None:
    # The lease is renewed, and made anew when it is lost; leaving the block removes the key.
    async with (
        Discovery("etcd") as discovery,
        discovery.register("billing", id="billing-1", address="10.0.0.1", port=8080, ttl=15),
        discovery.watch("billing") as billing,
    ):
        # All instances at once, first those that are there already; the watch ends only when it is left.
        async for snapshot in billing:
            print(", ".join(f"{instance.id} {instance.endpoint}" for instance in snapshot))
            if len(snapshot.instances) > 1:
                break


async def values() -> None:
    etcd = open_etcd("etcd://", os.environ)
    await etcd.write_key("config/color", b"blue")
    entry = await etcd.read_key("config/color")
    if entry is not None:
        await etcd.write_key("config/color", b"green", revision=entry.revision)
        try:
            await etcd.write_key("config/color", b"red", revision=entry.revision)
        except Conflict:
            print("somebody else was faster")
    for one in await etcd.list_keys("config/"):
        print(f"{one.key}={one.value.decode()}")
    await etcd.aclose()


async def main() -> None:
    await services()
    await values()


if __name__ == "__main__":
    asyncio.run(main())
