"""What may follow the name of a policy: ``name?option=value&option=value``.

``inner`` names a policy with options of its own, so it takes everything that follows it and stands last:
``zone_aware?zone=a&inner=slow_start?window=1m&inner=p2c_ewma``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite
from types import MappingProxyType

from homeport.connections.near_miss import did_you_mean
from homeport.errors import InvalidValue, SettingsError
from homeport.settings import seconds

NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})
"""Where a policy finds no variables."""


class Options:
    """The options of one policy, as a text gave them; each is read by its name, and what nobody read is refused.

    ``policy`` is the name of the policy, ``environ`` where it may look for what it was not told.
    """

    def __init__(self, policy: str, text: str = "", environ: Mapping[str, str] = NO_ENVIRONMENT) -> None:
        self.policy = policy
        self.environ = environ
        self._given: dict[str, list[str]] = {}
        self._read: set[str] = set()
        rest = text
        while rest:
            name, separator, _ = rest.partition("=")
            value, _, following = rest.removeprefix(f"{name}{separator}").partition("&")
            name = name.strip().lower()
            if name == "inner":
                value, following = rest.partition("=")[2], ""
            if not separator or not value.strip() or "&" in name:
                raise SettingsError(
                    f'the options of the balancer {policy} are "{text}"; write option=value&option=value'
                )
            self._given.setdefault(name, []).append(value.strip())
            rest = following

    def every(self, name: str) -> list[str]:
        """All values of an option that may be given several times, in their order."""
        self._read.add(name)
        return list(self._given.get(name, ()))

    def text(self, name: str, default: str = "") -> str:
        """An option.

        Raises:
            SettingsError: it is given more than once.
        """
        values = self.every(name)
        if len(values) > 1:
            raise SettingsError(f"{name} of the balancer {self.policy} is given {len(values)} times; give it once")
        return values[0] if values else default

    def number(self, name: str, default: float, *, least: float = -inf, most: float = inf) -> float:
        """An option that is a number, or a percentage such as ``5%``.

        Raises:
            SettingsError: it is not, or lies outside the bounds.
        """
        text = self.text(name)
        return self.as_number(name, text, least=least, most=most) if text else default

    def whole_number(self, name: str, default: int, *, least: int) -> int:
        """An option that is a whole number.

        Raises:
            SettingsError: it is not, or lies below ``least``.
        """
        value = self.number(name, default, least=least)
        if value != int(value):
            raise self.wrong(name, self.text(name), "a whole number")
        return int(value)

    def as_number(self, name: str, text: str, *, least: float = -inf, most: float = inf) -> float:
        """The number that ``text`` stands for, as a value of the option ``name``; raises as `number`."""
        try:
            value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            raise self.wrong(name, text, "a number") from None
        if not (isfinite(value) and least <= value <= most):
            upper = f" and {most:g}" if most != inf else ""
            raise self.wrong(
                name, text, f"a number between {least:g}{upper}" if upper else f"a number from {least:g} on"
            )
        return value

    def duration(self, name: str, default: float) -> float:
        """An option that is a time in seconds, or with a unit such as ``1m``.

        Raises:
            SettingsError: it is not, or is 0.
        """
        text = self.text(name)
        try:
            value = seconds(text) if text else default
        except InvalidValue:
            raise self.wrong(name, text, "a duration such as 30s") from None
        if not value > 0:
            raise self.wrong(name, text, "a duration above 0")
        return value

    def wrong(self, name: str, text: str, wanted: str) -> SettingsError:
        """The error for a value that is not what is wanted."""
        return SettingsError(f'{name} of the balancer {self.policy} is "{text}"; give {wanted}')

    def refuse_unread(self) -> None:
        """Refuse what was given but never asked for.

        Raises:
            SettingsError: names the option and the one that it resembles.
        """
        for name in self._given:
            if name not in self._read:
                hint = did_you_mean(name, self._read) if self._read else "; it has none."
                raise SettingsError(f"{name} is not an option of the balancer {self.policy}{hint}")
