"""Texts with places for the values of an instance: ``http://{{ .address }}:{{ .port }}/health``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from homeport.settings.templates import filled, places

VARIABLES = ("address", "port", "id", "name", "node")
"""What can stand in a place: the instance's address and port, its id, the service's name, and its node's name."""
_HARMLESS = re.compile(r"[A-Za-z0-9_.:\[\]%@+][A-Za-z0-9_.:\[\]%@+-]*\Z")


class Unsafe(ValueError):
    """A value of an instance cannot be put into a command; the message says which."""


def check_places(text: str) -> None:
    """Raises `ValueError` when a place asks for something that there is not."""
    for place, asked in places(text):
        if asked.removeprefix(".") not in VARIABLES or not asked.startswith("."):
            known = ", ".join(f".{name}" for name in VARIABLES)
            raise ValueError(f'"{place}" stands for nothing; there are {known}')


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its places filled; an IPv6 address gets brackets where a colon follows (RFC 3986, 3.2.2)."""
    return filled(text, lambda asked: values[asked.removeprefix(".")])


def fill_command(text: str, values: Mapping[str, str]) -> str:
    """A part of a command with its places filled.

    Whoever registers an instance chooses these values, and a shell reads the command: a value that is more than a plain
    word is refused, wherever in the command it would stand.

    Raises:
        Unsafe: a value is no plain word.
    """
    for _, asked in places(text):
        name = asked.removeprefix(".")
        if not _HARMLESS.match(values[name]):
            raise Unsafe(f"the {name} of this instance, {values[name]!r}, may not be put into a command")
    return fill(text, values)
