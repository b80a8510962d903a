"""A share of the calls for a version."""

from __future__ import annotations

from collections.abc import Mapping

from homeport.errors import InvalidValue, SettingsError
from homeport.model import Instance, Snapshot
from homeport.versions import version_range

from .balancer import Balancer, Picker, open_balancer
from .loads import Loads
from .options import Options
from .parts import Part, divided

_SALT = 0x94D049BB133111EB


class Canary:
    """Divides the calls among versions by share, and within each by another policy.

    ``shares`` says which share of the calls (0 to 1) goes to the instances of which versions (a range such as
    ``>=2``; the first that fits counts), however many they are; the rest goes to all other instances. Where no
    instance is, nothing is sent: the others take it. Calls with a key stay with their part, so that a user sees one
    version; when the share grows, only those move for whom it grew.
    """

    def __init__(self, shares: Mapping[str, float], *, inner: str | Balancer = "round_robin") -> None:
        if not shares:
            raise SettingsError(
                'the balancer canary needs a version and its share, such as "canary?version=>=2&share=5%"'
            )
        for versions, share in shares.items():
            if not 0 <= share <= 1:
                raise SettingsError(f"the share of version {versions} is {share}; it must lie between 0 and 1")
        if sum(shares.values()) > 1 + 1e-9:
            raise SettingsError(f"the shares of the balancer canary add up to {sum(shares.values()):g}; give 1 at most")
        try:
            self._shares = [(versions, version_range(versions), share) for versions, share in shares.items()]
        except InvalidValue as error:
            raise SettingsError(f"the balancer canary: {error}") from error
        self._inner = open_balancer(inner)

    @property
    def needs_outcomes(self) -> bool:
        """Whether the inner policy does."""
        return self._inner.needs_outcomes

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
        """A picker that divides the instances of ``snapshot`` by version."""
        rest = list(snapshot.instances)
        parts: list[Part] = []
        left = 1.0
        for versions, fits, share in self._shares:
            chosen: list[Instance] = [instance for instance in rest if fits(instance.version)]
            rest = [instance for instance in rest if not fits(instance.version)]
            parts.append(Part(f"canary {versions}", tuple(chosen), share))
            left -= share
        parts.append(Part("canary", tuple(rest), left if left > 1e-9 else 0.0))
        return divided(parts, self._inner, snapshot, loads, salt=_SALT)


def configured(options: Options) -> Canary:
    """The policy; its options are ``version`` and ``share``, in pairs, and ``inner``."""
    versions, shares = options.every("version"), options.every("share")
    inner = open_balancer(options.text("inner", "round_robin"), options.environ)
    if len(versions) != len(shares):
        raise SettingsError(
            f"the balancer canary has {len(versions)} versions and {len(shares)} shares; give each version its share"
        )
    if len(set(versions)) < len(versions):
        raise SettingsError("a version of the balancer canary is given twice; give it once")
    numbers = [options.as_number("share", share, least=0, most=1) for share in shares]
    return Canary(dict(zip(versions, numbers, strict=True)), inner=inner)
