"""Texts with places for the values of an instance: ``http://{{ .address }}:{{ .port }}/health``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

VARIABLES = ("address", "port", "id", "name", "node")
"""What can stand in a place: the instance's address and port, its id, the service's name, and its node's name."""
_PLACE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}(?=(:)?)", re.DOTALL)
_HARMLESS = re.compile(r"[A-Za-z0-9_.:\[\]%@+][A-Za-z0-9_.:\[\]%@+-]*\Z")


class Unsafe(ValueError):
    """A value of an instance cannot be put into a command; the message says which."""


def check_places(text: str) -> None:
    """Raises `ValueError` when a place asks for something that there is not."""
    for found in _PLACE.finditer(text):
        if found[1].removeprefix(".") not in VARIABLES or not found[1].startswith("."):
            known = ", ".join(f".{name}" for name in VARIABLES)
            raise ValueError(f'"{found[0]}" stands for nothing; there are {known}')


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its places filled; an IPv6 address gets brackets where a colon follows (RFC 3986, 3.2.2)."""

    def value(found: re.Match[str]) -> str:
        filled = values[found[1].removeprefix(".")]
        return f"[{filled}]" if found[2] and ":" in filled else filled

    return _PLACE.sub(value, text)


def fill_command(text: str, values: Mapping[str, str]) -> str:
    """A part of a command with its places filled.

    Whoever registers an instance chooses these values, and a shell reads the command: a value that is more than a plain
    word is refused, wherever in the command it would stand.

    Raises:
        Unsafe: a value is no plain word.
    """
    for found in _PLACE.finditer(text):
        name = found[1].removeprefix(".")
        if not _HARMLESS.match(values[name]):
            raise Unsafe(f"the {name} of this instance, {values[name]!r}, may not be put into a command")
    return fill(text, values)
