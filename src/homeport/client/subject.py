"""What a watch listens to."""

from __future__ import annotations

from typing import Protocol

from .ledger import Belief
from .resilience.traffic import Traffic


class Listener(Protocol):
    """Who is told about a new belief."""

    def believe(self, belief: Belief) -> None:
        """Take in the new belief; called in the event loop, must not raise."""
        ...


class Subject(Protocol):
    """One service, and what is believed about it."""

    @property
    def traffic(self) -> Traffic:
        """What all callers of the service share."""
        ...

    @property
    def belief(self) -> Belief | None:
        """What is believed now, None before the first answer."""
        ...

    @property
    def up_to_date(self) -> bool:
        """Whether `settle` would return without asking a backend."""
        ...

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` about every new belief from now on."""
        ...

    def leave(self, listener: Listener) -> None:
        """Tell ``listener`` nothing more."""
        ...

    async def first(self) -> Belief:
        """The belief, as soon as there is one.

        Raises:
            HomeportError: the next attempt to get one failed.
        """
        ...

    async def settle(self) -> None:
        """Return when the belief is as fresh as was promised, or is marked stale."""
        ...


class Source(Protocol):
    """Where watches get their subjects from."""

    @property
    def url(self) -> str:
        """The URL of the backend, or of the first of several."""
        ...

    def share(self, service: str, datacenter: str) -> Subject:
        """The subject of a service, begun if there is none."""
        ...

    async def give_back(self, subject: Subject) -> None:
        """End a subject if nobody listens to it any more."""
        ...
