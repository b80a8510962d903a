"""Version ranges over the versions that services give themselves.

A version is compared by its numbers, then by its pre-release (`Semantic Versioning 2.0.0
<https://semver.org>`_, clause 11), so ``2.1`` equals ``2.1.0`` and ``2.0.0-rc.1`` comes before ``2.0.0``. A leading
``v`` and build metadata after ``+`` do not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from .errors import InvalidValue

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?\Z")
_CLAUSE = re.compile(r"(==|!=|>=|<=|>|<|=|\^|~)?\s*(\S+)\Z")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": eq, "=": eq, "!=": ne, ">=": ge, "<=": le, ">": gt, "<": lt,
}  # fmt: skip

VersionKey = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]


@lru_cache(maxsize=4096)
def version_key(text: str) -> VersionKey | None:
    """The sort key of a version, or None when ``text`` is not a version."""
    found = _VERSION.match(text.strip())
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    pre = found[2]
    if pre is None:
        return tuple(numbers), 1, ()
    identifiers = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split("."))
    return tuple(numbers), 0, identifiers


@lru_cache(maxsize=1024)
def version_range(text: str) -> Callable[[str], bool]:
    """A predicate for a range such as ``>=2,<3``, ``^2.1``, ``~2.1``, ``2.*`` or an exact ``2.1.0``.

    Clauses separated by commas must all hold. An instance whose version is missing or is not a version
    matches only when the range is that very text.

    Raises:
        InvalidValue: the range cannot be read.
    """
    clauses = [_clause(part.strip(), text) for part in text.split(",")]

    def matches(version: str) -> bool:
        if version == text:
            return True
        key = version_key(version)
        return key is not None and all(clause(key) for clause in clauses)

    return matches


def _clause(part: str, whole: str) -> Callable[[VersionKey], bool]:
    found = _CLAUSE.match(part)
    if found is None:
        raise _unreadable(whole)
    operator, operand = found[1], found[2]
    if operand.endswith(".*") or operand == "*":
        if operator not in (None, "==", "="):
            raise _unreadable(whole)
        prefix = _numbers(operand[:-2], whole) if operand != "*" else ()
        return lambda key: _padded(key[0], len(prefix)) == prefix
    bound = version_key(operand)
    if bound is None:
        raise _unreadable(whole)
    if operator in ("^", "~"):
        upper = _upper(_numbers(operand, whole), caret=operator == "^")
        return lambda key: bound <= key and key[0] < upper
    compare = _COMPARISONS[operator or "=="]
    return lambda key: compare(key, bound)


def _upper(numbers: tuple[int, ...], *, caret: bool) -> tuple[int, ...]:
    """The first numbers outside a caret range (the leftmost non-zero stays) or a tilde range (the minor stays)."""
    if caret:
        place = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
    else:
        place = min(1, len(numbers) - 1)
    return (*numbers[:place], numbers[place] + 1)


def _numbers(text: str, whole: str) -> tuple[int, ...]:
    found = _VERSION.match(text)
    if found is None:
        raise _unreadable(whole)
    return tuple(int(part) for part in found[1].split("."))


def _padded(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    return (numbers + (0,) * length)[:length]


def _unreadable(text: str) -> InvalidValue:
    return InvalidValue(f'"{text}" is not a version range; write for example ">=2,<3", "^2.1", "2.*" or "2.1.0"')
