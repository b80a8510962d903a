"""What a load-balancing policy is."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, TypeAlias, runtime_checkable

from homeport.errors import SettingsError
from homeport.model import Instance, Snapshot

from .loads import Loads

Picker: TypeAlias = Callable[[str | None], Instance | None]
"""Chooses an instance of one snapshot for the key of a call (None: no key), or None when there is none to choose.

It is called from any thread, many times a second: it takes no lock that somebody holds while waiting, and does no I/O.
"""

_BUILT_IN = {"round_robin": "homeport.balancing.round_robin:RoundRobin"}


@runtime_checkable
class Balancer(Protocol):
    """A policy: it turns each snapshot into a picker.

    ``needs_outcomes`` says that the policy learns from how calls end, so that choosing without making the call would
    mislead it.
    """

    @property
    def needs_outcomes(self) -> bool:
        """Whether only `Watch.call` may be used with this policy, not a bare `Watch.pick`."""
        ...

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
        """A picker over the instances of ``snapshot``; what must outlive the snapshot stands in ``loads``."""
        ...


def open_balancer(balancer: str | Balancer) -> Balancer:
    """The policy of that name, or the policy itself.

    Raises:
        SettingsError: there is none of that name.
    """
    if not isinstance(balancer, str):
        return balancer
    place = _BUILT_IN.get(balancer.strip().lower().replace("-", "_"))
    if place is None:
        raise SettingsError(f'"{balancer}" is not a balancer; there is {", ".join(sorted(_BUILT_IN))}')
    module, _, name = place.partition(":")
    policy: Balancer = getattr(import_module(module), name)()
    return policy
