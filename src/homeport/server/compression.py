"""When an answer is compressed."""

from __future__ import annotations

SMALLEST_COMPRESSED = 1400
"""Bytes; Consul's own threshold, about one network packet."""

_CODINGS = ("gzip", "x-gzip")  # the second is an alias (RFC 9110, 8.4.1.3)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an ``Accept-Encoding`` value allows gzip (RFC 9110, 12.5.3); what names it goes before ``*``."""
    any_coding = False
    for part in accept_encoding.lower().split(","):
        coding, _, parameters = part.partition(";")
        coding = coding.strip()
        if coding in _CODINGS:
            return _weight(parameters) > 0
        if coding == "*":
            any_coding = _weight(parameters) > 0
    return any_coding


def _weight(parameters: str) -> float:
    """The weight of a coding (RFC 9110, 12.4.2); one that is no number counts as none."""
    name, _, value = parameters.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
