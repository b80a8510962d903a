"""A program that says nothing itself: backend, balancer and registration stand in homeport.yaml.

Usage: python configured.py PORT
"""

import asyncio
import sys
from pathlib import Path

import homeport

SETTINGS = Path(__file__).with_name("homeport.yaml")


async def main(port: str) -> None:
    values = {"port": port, "version": "2.1.0"}  # what only the program knows
    async with homeport.configured(SETTINGS, values=values) as discovery:
        (mine,) = discovery.registrations
        print(f"registered {mine.service.name} {mine.service.version} at port {mine.service.port}")
        found = await discovery.discover("worker", healthy=False)
        print(f"{len(found)} worker is registered, this one: {found[0].id == mine.id}")
    print("deregistered")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python configured.py PORT")
    asyncio.run(main(sys.argv[1]))
