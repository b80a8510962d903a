"""Numbers and truth values in text as Go's ``strconv`` reads them, with its error texts.

Source: https://pkg.go.dev/strconv.
"""

from __future__ import annotations

import re
from typing import Final

from homeport.wire.golang import quote

_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))

# Base 0: the prefix tells the base, a leading zero alone means octal, underscores stand between digits only.
_UNSIGNED = re.compile(
    r"0[xX](?P<hexadecimal>(?:_?[0-9a-fA-F])+)|0[bB](?P<binary>(?:_?[01])+)"
    r"|0[oO]?(?P<octal>(?:_?[0-7])+)|(?P<decimal>0|[1-9](?:_?[0-9])*)"
)
_BASES: Final = {"hexadecimal": 16, "binary": 2, "octal": 8, "decimal": 10}
_SIGNIFICANT_DIGITS: Final = 64


class NumberError(ValueError):
    """A text is not what it should be. The message is Go's."""


def parse_int(text: str, *, bits: int = 64) -> int:
    """A signed integer in Go's notation. Raises NumberError."""
    negative = text.startswith("-")
    magnitude = _magnitude(text[1:] if text[:1] in ("-", "+") else text, text, function="ParseInt")
    value = -magnitude if negative else magnitude
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise NumberError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return value


def parse_uint(text: str, *, bits: int = 64) -> int:
    """An unsigned integer in Go's notation, without sign. Raises NumberError."""
    value = _magnitude(text, text, function="ParseUint")
    if value >= 2**bits:
        raise NumberError(f"strconv.ParseUint: parsing {quote(text)}: value out of range")
    return value


def parse_bool(text: str) -> bool:
    """``1 t T TRUE true True`` and ``0 f F FALSE false False``. Raises NumberError for anything else."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise NumberError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def _magnitude(digits: str, text: str, *, function: str) -> int:
    match = _UNSIGNED.fullmatch(digits)
    if match is None:
        raise NumberError(f"strconv.{function}: parsing {quote(text)}: invalid syntax")
    kind = match.lastgroup
    assert kind is not None  # every alternative has a name
    found = match[kind].replace("_", "").lstrip("0")
    if len(found) > _SIGNIFICANT_DIGITS:
        # More than 64 binary digits fit nowhere, and converting very many would take long.
        raise NumberError(f"strconv.{function}: parsing {quote(text)}: value out of range")
    return int(found or "0", _BASES[kind])
