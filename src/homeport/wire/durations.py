"""Durations as Go writes and reads them: ``1h2m3.5s``.

The core is integer nanoseconds, as in Go, so that a text that is read and written again loses nothing; seconds are
``float`` as everywhere in this project. Rules and error texts follow Go's ``time.ParseDuration`` and
``time.Duration.String`` (https://pkg.go.dev/time), which every Consul API text form uses.
"""

import re
from functools import lru_cache

NANOSECONDS_PER_SECOND = 1_000_000_000

_MICROSECOND = 1_000
_MILLISECOND = 1_000_000
_SECOND = NANOSECONDS_PER_SECOND
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_UNITS = {
    "ns": 1,
    "us": _MICROSECOND,
    "\u00b5s": _MICROSECOND,  # micro sign
    "\u03bcs": _MICROSECOND,  # Greek letter mu
    "ms": _MILLISECOND,
    "s": _SECOND,
    "m": _MINUTE,
    "h": _HOUR,
}
# Go keeps a duration in an int64; the magnitude of the most negative one is one larger.
_MAXIMUM = 2**63 - 1
_OVERFLOW = _MAXIMUM + 2
_FRACTION_DIGITS = 400  # far beyond what can still change a nanosecond, leading zeros included
_NUMBER_AND_UNIT = re.compile(r"([0-9]*)(?:(\.)([0-9]*))?([^.0-9]*)")


class DurationError(ValueError):
    """A text is not a duration. The message is Go's, for example ``time: missing unit in duration "10"``."""


@lru_cache(maxsize=1024)
def parse_nanoseconds(text: str) -> int:
    """The nanoseconds that a Go duration text stands for.

    Raises DurationError, with Go's message, for a text that Go refuses, also for one beyond 64 bits (292 years).
    """
    negative = text.startswith("-")
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    if not rest:
        raise DurationError(f"time: invalid duration {quote(text)}")
    total = 0
    position = 0
    while position < len(rest):
        match = _NUMBER_AND_UNIT.match(rest, position)
        assert match is not None  # every part of the pattern may be empty
        whole, _, fraction, unit = match.groups()
        if not whole and not fraction:
            raise DurationError(f"time: invalid duration {quote(text)}")
        if _scaled(whole, "", 1) > _MAXIMUM + 1:
            raise DurationError(f"time: invalid duration {quote(text)}")
        if not unit:
            raise DurationError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS:
            raise DurationError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        total += _scaled(whole, fraction or "", _UNITS[unit])
        if total > _MAXIMUM + negative:
            raise DurationError(f"time: invalid duration {quote(text)}")
        position = match.end()
    return -total if negative else total


def parse_duration(text: str) -> float:
    """The seconds that a Go duration text stands for. Raises DurationError with Go's message."""
    return to_seconds(parse_nanoseconds(text))


@lru_cache(maxsize=1024)
def format_nanoseconds(nanoseconds: int) -> str:
    """The text that Go gives a duration: ``0s``, ``250ms``, ``1.5s``, ``1m0s``, ``1h0m0s``."""
    sign = "-" if nanoseconds < 0 else ""
    magnitude = abs(nanoseconds)
    if magnitude == 0:
        return "0s"
    if magnitude < _MICROSECOND:
        return f"{sign}{magnitude}ns"
    if magnitude < _MILLISECOND:
        return f"{sign}{_decimal(magnitude, _MICROSECOND)}\u00b5s"
    if magnitude < _SECOND:
        return f"{sign}{_decimal(magnitude, _MILLISECOND)}ms"
    minutes, below_minute = divmod(magnitude, _MINUTE)
    seconds = f"{_decimal(below_minute, _SECOND)}s"
    if minutes == 0:
        return f"{sign}{seconds}"
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}h{minutes}m{seconds}" if hours else f"{sign}{minutes}m{seconds}"


def format_duration(seconds: float) -> str:
    """The text that Go gives a duration of so many seconds, rounded to the nearest nanosecond."""
    return format_nanoseconds(to_nanoseconds(seconds))


def to_nanoseconds(seconds: float) -> int:
    """Seconds as nanoseconds, rounded to the nearest one. Raises OverflowError or ValueError for infinities and NaN."""
    whole = int(seconds)
    # Scaling only the fraction keeps large durations exact to the precision that the float itself has.
    return whole * NANOSECONDS_PER_SECOND + round((seconds - whole) * NANOSECONDS_PER_SECOND)


def to_seconds(nanoseconds: int) -> float:
    """Nanoseconds as the nearest number of seconds."""
    return nanoseconds / NANOSECONDS_PER_SECOND


def quote(text: str) -> str:
    r"""A text in double quotes as package ``time`` of Go quotes it in its errors.

    Control characters and everything beyond ASCII appear as the ``\x`` escapes of their UTF-8 bytes.
    """
    parts: list[str] = []
    for character in text:
        if character in '"\\':
            parts.append("\\" + character)
        elif " " <= character <= "~" or character == "\x7f":
            parts.append(character)
        else:
            parts.extend(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    return f'"{"".join(parts)}"'


def _scaled(whole: str, fraction: str, unit: int) -> int:
    """``whole.fraction`` units in nanoseconds, cut rather than rounded; above 2**63 where Go sees an overflow."""
    # A number of twenty significant digits overflows whatever its unit; converting a million digits would take long.
    if len(whole) > 19 and len(whole.lstrip("0")) > 19:
        return _OVERFLOW
    return min(int(whole or "0") * unit + _scaled_fraction(fraction, unit), _OVERFLOW)


def _scaled_fraction(fraction: str, unit: int) -> int:
    """``0.fraction`` units in nanoseconds, computed in floating point as Go does, so that the last digit agrees."""
    value, scale = 0, 1.0
    for digit in fraction[:_FRACTION_DIGITS]:
        following = value * 10 + int(digit)
        if value > _MAXIMUM // 10 or following > _MAXIMUM + 1:
            break
        value, scale = following, scale * 10
    return int(float(value) * (float(unit) / scale))


def _decimal(value: int, unit: int) -> str:
    """``value / unit`` as a decimal without trailing zeros."""
    whole, rest = divmod(value, unit)
    if rest == 0:
        return str(whole)
    return f"{whole}.{str(rest).rjust(len(str(unit)) - 1, '0').rstrip('0')}"
