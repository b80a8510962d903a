"""Texts with places to fill: ``http://{{ .address }}:{{ .port }}/health``. Pure; who fills them knows what there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_PLACE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}(?=(:)?)", re.DOTALL)


def places(text: str) -> Iterator[tuple[str, str]]:
    """Each place of the text as it is written (``{{ .port }}``), and what it asks for (``.port``)."""
    for found in _PLACE.finditer(text):
        yield found[0], found[1]


def is_open(text: str) -> bool:
    """Whether a place of the text begins and does not end: ``{{ .port }``."""
    return "{{" in _PLACE.sub("", text)


def filled(text: str, value: Callable[[str], str]) -> str:
    """The text with each place replaced by the ``value`` of what it asks for.

    An IPv6 address gets brackets where a colon follows (RFC 3986, 3.2.2).
    """

    def put(found: re.Match[str]) -> str:
        text = value(found[1])
        return f"[{text}]" if found[2] and ":" in text else text

    return _PLACE.sub(put, text)
