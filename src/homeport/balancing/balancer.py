"""What a load-balancing policy is, and how it is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from homeport.connections.near_miss import did_you_mean
from homeport.errors import SettingsError
from homeport.model import Instance, Snapshot

from .loads import Loads
from .options import NO_ENVIRONMENT, Options

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

ENTRY_POINT_GROUP = "homeport.balancers"

Picker: TypeAlias = Callable[[str | None], Instance | None]
"""Chooses an instance of one snapshot for the key of a call (None: no key), or None when there is none to choose.

It is called from any thread, many times a second: it takes no lock that somebody holds while waiting, and does no I/O.
"""

_BUILT_IN = (
    "canary",
    "consistent_hash",
    "least_connections",
    "p2c_ewma",
    "random",
    "round_robin",
    "slow_start",
    "weighted_random",
    "weighted_round_robin",
    "zone_aware",
)
"""Each is a module of this package, which is imported when its policy is used, and has a function `configured`."""

_OTHER_NAMES = {"least_conn": "least_connections"}


def nobody(_key: str | None = None) -> Instance | None:
    """The picker of a snapshot without instances."""
    return None


@runtime_checkable
class Balancer(Protocol):
    """A policy: it turns each snapshot into a picker. One object serves any number of services.

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


class BalancerFactory(Protocol):
    """Makes a policy from its options; what an entry point of the group ``homeport.balancers`` names.

    It reads every option it has (an option that it does not read is refused), and raises SettingsError for a value
    that cannot be right.
    """

    def __call__(self, options: Options) -> Balancer:
        """Make it."""
        ...


def balancer_names() -> tuple[str, ...]:
    """The policies that can be named here, those of installed packages included."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in _entry_points())}))


def open_balancer(balancer: str | Balancer, environ: Mapping[str, str] = NO_ENVIRONMENT) -> Balancer:
    """The policy that a text such as ``round_robin`` or ``consistent_hash?bound=1.5`` describes, or the policy itself.

    ``environ`` is where a policy finds what the text does not say: ``zone_aware`` its zone.

    Raises:
        SettingsError: there is none of that name, it has no such option, or it is no policy.
    """
    if not isinstance(balancer, str):
        if isinstance(balancer, type) or not callable(getattr(balancer, "picker", None)):
            raise SettingsError(f"{balancer!r} is not a balancer; give a name, or an object with picker()")
        return balancer
    name, _, text = balancer.strip().partition("?")
    name = name.strip().lower().replace("-", "_")
    options = Options(_OTHER_NAMES.get(name, name), text, environ)
    policy = _factory(options.policy)(options)
    options.refuse_unread()
    return policy


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # slow to load, and rarely needed

    return entry_points(group=ENTRY_POINT_GROUP)


def _factory(name: str) -> BalancerFactory:
    if name in _BUILT_IN:
        built_in: BalancerFactory = import_module(f".{name}", __package__).configured
        return built_in
    for point in _entry_points():
        if point.name.lower().replace("-", "_") == name:
            third_party: BalancerFactory = point.load()
            return third_party
    known = balancer_names()
    raise SettingsError(f'"{name}" is not a balancer; there are {", ".join(known)}{did_you_mean(name, known)}')
