"""Follow a service: every final state, in order, none twice, and whether it can still be trusted."""

import asyncio

from homeport import Discovery


async def main() -> None:
    async with Discovery() as discovery, discovery.watch("billing") as billing:
        async for snapshot in billing:
            trust = f"stale, {snapshot.reason}" if snapshot.stale else "confirmed"
            print(f"{len(snapshot.instances)} of {snapshot.registered} instances pass ({trust})", flush=True)
            if not snapshot.registered:
                break


if __name__ == "__main__":
    asyncio.run(main())
