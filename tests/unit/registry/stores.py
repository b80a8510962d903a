"""Stores for the ledger to be watched on: they hold groups back, refuse them, or count them."""

import asyncio
from collections.abc import Callable, Sequence

from homeport.registry.store.contract import CommitConflict, Effect, Limits
from homeport.registry.store.memory import MemoryStore

PATIENT = Limits(pause=60.0)
"""So that no group ends early because this machine is busy."""


class HeldStore(MemoryStore):
    """Notes the groups that it is given, and commits each only when it is let go.

    ``fault`` is asked with every group what to raise instead of committing it.
    """

    def __init__(self, limits: Limits | None = None, fault: Callable[[int], Exception | None] | None = None) -> None:
        super().__init__()
        self.limits = limits or PATIENT
        self.groups: list[Sequence[Effect]] = []
        self.arrived = asyncio.Event()
        """Set when a group has come."""
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self._fault = fault or (lambda _: None)

    @property
    def sizes(self) -> list[int]:
        """How many effects each group had."""
        return [len(group) for group in self.groups]

    async def commit(self, effects: Sequence[Effect]) -> Sequence[int]:
        self.groups.append(effects)
        self.arrived.set()
        await self.open_gate.wait()
        error = self._fault(len(self.groups) - 1)
        if error is not None:
            raise error
        return await super().commit(effects)


def conflict() -> CommitConflict:
    """What a store says when another replica was first."""
    return CommitConflict(0)
