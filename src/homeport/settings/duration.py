"""Durations as people write them: ``10s``, ``1m30s``, ``24h``, or a bare number of seconds."""

from __future__ import annotations

import re

from homeport.errors import InvalidValue

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def seconds(text: str) -> float:
    """The seconds that ``text`` stands for; the units are ms, s, m, h and d, and without a unit it is seconds.

    Raises:
        InvalidValue: it is no duration.
    """
    compact = text.strip()
    if _NUMBER.fullmatch(compact):
        return float(compact)
    if _WHOLE.fullmatch(compact):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(compact))
    raise InvalidValue(f'"{text}" is not a duration; write for example 10s, 1m30s, 24h, or a number of seconds')
