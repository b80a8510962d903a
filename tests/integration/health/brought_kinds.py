"""Kinds of checks as another package would bring them."""

from __future__ import annotations

import asyncio

from homeport.model import Status
from homeport.registry.health.kinds.prober import NotProbed, Result
from homeport.registry.records import CheckDefinition


class Switch:
    """Answers what a test has set for ``options["name"]``."""

    said: dict[str, Status]
    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self.closed = False
        switches.append(self)
        self.said = {}
        self.asked = 0
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.trouble: Exception | None = None

    async def probe(self, definition: CheckDefinition) -> Result:
        self.asked += 1
        name = definition.options.get("name", "")
        try:
            await self.goes_on.wait()
        except asyncio.CancelledError:
            raise asyncio.CancelledError("half of it") from None
        if self.trouble is not None:
            raise self.trouble
        status = self.said.get(name, "passing")
        return Result(status, f"{name} is {status}", "" if status == "passing" else "switched")

    async def aclose(self) -> None:
        self.closed = True


switches: list[Switch] = []
"""All that were made, newest last."""


def not_a_prober() -> object:
    return object()


def broken() -> Switch:
    raise RuntimeError("the licence has run out")


__all__ = ["NotProbed", "Switch", "broken", "not_a_prober", "switches"]
