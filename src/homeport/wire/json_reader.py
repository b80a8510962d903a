"""Reads JSON as Go's ``encoding/json`` does, error texts included (https://pkg.go.dev/encoding/json).

This is the slow way, taken only when the fast decoder has refused a text: it tolerates what Go tolerates (bytes that
are no UTF-8, lone surrogates, anything after the first value) and says what is wrong with the rest in Go's words.
"""

import json
import re
from itertools import accumulate
from typing import Any, Final, NoReturn

from .golang import quote_character

MAXIMUM_DEPTH: Final = 200
"""Deeper values are refused, as Go refuses them beyond 10 000; no body of Consul's API nests deeper than ten."""

_EXPLAINED_CHARACTERS: Final = 65_536
_REPLACEMENT: Final = "\ufffd"
_SPACE: Final = " \t\r\n"
_SURROGATE = re.compile("[\ud800-\udfff]")
_CLOSING: Final = {"[": "]", "{": "}"}
_OPENING = re.compile(r"[\[{]")
_DEEPER: Final = {"[": 1, "{": 1, "]": -1, "}": -1}
_STRING = re.compile(r'"(?:[^"\\]+|\\.)*"?', re.DOTALL)  # whatever follows a quote, so that it never backtracks
_NO_BRACKETS = re.compile(r"[^\[\]{}]+")


class JSONError(ValueError):
    """A text is not JSON. The message is Go's: ``EOF``, ``unexpected EOF``, ``invalid character 'x' after …``."""


class Number(str):
    """A JSON number as it was written, since Go's errors quote it and int64 cannot hold all of them."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """A JSON object: its members in their order, repeated names included."""


def read_json(body: bytes) -> Any:
    """The first value of a text; what follows it is ignored, as by Go's ``json.Decoder``.

    Objects become Pairs, numbers Number, the rest ``str``, ``bool``, ``None`` and ``list``. Texts may contain lone
    surrogates, for invalid UTF-8 too: see ``without_surrogates``. Raises JSONError.
    """
    # Each invalid byte becomes a lone surrogate here, so that errors can still show the byte itself.
    text = body.decode("utf-8", "surrogateescape")
    start = len(text) - len(text.lstrip(_SPACE))
    if start == len(text):
        raise JSONError("EOF")
    if len(_OPENING.findall(text)) > MAXIMUM_DEPTH:
        _refuse_deep_nesting(text, start)
    try:
        value, _ = _decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        _explain(text, start, near=error.pos)
    return value


def plain(value: Any) -> Any:
    """A value of ``read_json`` as ordinary dicts, lists, numbers and strings; the last of repeated names wins."""
    if isinstance(value, Pairs):
        return {without_surrogates(name): plain(member) for name, member in value}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Number):
        return int(value) if value.lstrip("-").isdigit() and len(value) < 20 else float(value)
    return without_surrogates(value) if isinstance(value, str) else value


def without_surrogates(text: str) -> str:
    """The text with each lone surrogate replaced by U+FFFD, as Go reads an escaped half of a pair."""
    return text if text.isascii() else _SURROGATE.sub(_REPLACEMENT, text)


def _refuse_constant(name: str) -> NoReturn:
    # Python reads NaN and Infinity, JSON has neither. Go would stop at the first letter (or after the minus sign).
    if name.startswith("-"):
        raise JSONError("invalid character 'I' in numeric literal")
    raise JSONError(f"invalid character '{name[0]}' looking for beginning of value")


_decoder = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant
)


def _refuse_deep_nesting(text: str, start: int) -> None:
    """Raises JSONError if the text nests too deep. Other mistakes are left to be found by the parser."""
    # In three passes of C, since a megabyte of brackets must not hold up everybody else.
    brackets = _NO_BRACKETS.sub("", _STRING.sub("", text[start:]))
    depths = accumulate(map(_DEEPER.__getitem__, brackets))
    for bracket, depth in zip(brackets, depths, strict=True):
        if depth > MAXIMUM_DEPTH:
            raise JSONError(f"invalid character '{bracket}' exceeded max depth")


def _explain(text: str, start: int, *, near: int) -> NoReturn:
    """Raises JSONError with Go's message for a text that is known to be no JSON."""
    if near - start > _EXPLAINED_CHARACTERS:
        # Walking a megabyte in Python would hold up everybody else just to find the exact words.
        if near >= len(text):
            raise JSONError("unexpected EOF")
        raise JSONError(f"invalid character {_first_byte(text[near])} near offset {near}")
    _Walk(text, start).to_the_mistake()
    raise JSONError("unexpected EOF")


def _first_byte(character: str) -> str:
    """How Go shows a character of its input: it looks at bytes, so only at the first one."""
    return quote_character(chr(character.encode("utf-8", "surrogateescape")[0]))


_RIGHT_CHARACTERS = re.compile(r'(?:[^"\\\x00-\x1f]+|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*')
_DIGITS = re.compile(r"[0-9]+")
_LITERALS = {"t": "true", "f": "false", "n": "null"}


class _Walk:
    """One walk over a text in the states of Go's scanner, until the character that is wrong."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._position = start
        self._open: list[str] = []

    def to_the_mistake(self) -> None:
        """Raises JSONError at the first wrong character or the end; returns if the first value is complete."""
        while True:
            self._begin_value()
            if self._end_value():
                return

    def _here(self) -> str:
        if self._position >= len(self._text):
            raise JSONError("unexpected EOF")
        return self._text[self._position]

    def _after_space(self) -> str:
        while self._here() in _SPACE:
            self._position += 1
        return self._here()

    def _wrong(self, complaint: str) -> NoReturn:
        raise JSONError(f"invalid character {_first_byte(self._here())} {complaint}")

    def _begin_value(self) -> None:
        """Reads a scalar, opening the containers before it, or stops at an empty container's end."""
        while (character := self._after_space()) in _CLOSING:
            self._open.append(character)
            self._position += 1
            following = self._after_space()
            if following == _CLOSING[character]:
                return
            if character == "{":
                self._key()
        self._scalar(character)

    def _end_value(self) -> bool:
        """Closes containers and steps over one comma. True when the outermost value is complete."""
        while self._open:
            in_object = self._open[-1] == "{"
            character = self._after_space()
            if character == ",":
                self._position += 1
                if in_object:
                    self._after_space()
                    self._key()
                return False
            if character != _CLOSING[self._open.pop()]:
                self._wrong("after object key:value pair" if in_object else "after array element")
            self._position += 1
        return True

    def _key(self) -> None:
        if self._here() != '"':
            self._wrong("looking for beginning of object key string")
        self._string()
        if self._after_space() != ":":
            self._wrong("after object key")
        self._position += 1

    def _scalar(self, character: str) -> None:
        if character == '"':
            self._string()
        elif character in "-0123456789":
            self._number()
        elif character in _LITERALS:
            self._literal(_LITERALS[character])
        else:
            self._wrong("looking for beginning of value")

    def _literal(self, literal: str) -> None:
        for expected in literal:
            if self._here() != expected:
                self._wrong(f"in literal {literal} (expecting '{expected}')")
            self._position += 1

    def _string(self) -> None:
        match = _RIGHT_CHARACTERS.match(self._text, self._position + 1)
        assert match is not None  # it may be empty
        self._position = match.end()
        character = self._here()
        if character == "\\":
            self._wrong_escape()
        if character != '"':
            self._wrong("in string literal")
        self._position += 1

    def _wrong_escape(self) -> NoReturn:
        self._position += 1
        if self._here() != "u":
            self._wrong("in string escape code")
        self._position += 1
        while self._here() in "0123456789abcdefABCDEF":
            self._position += 1
        self._wrong("in \\u hexadecimal character escape")

    def _number(self) -> None:
        if self._here() == "-":
            self._position += 1
        if self._here() == "0":
            self._position += 1
        else:
            self._digits("in numeric literal")
        if self._follows("."):
            self._digits("after decimal point in numeric literal")
        if self._follows("eE"):
            self._follows("+-")
            self._digits("in exponent of numeric literal")

    def _follows(self, characters: str) -> bool:
        """Steps over one of the characters if it is next."""
        found = self._position < len(self._text) and self._text[self._position] in characters
        self._position += found
        return found

    def _digits(self, complaint: str) -> None:
        match = _DIGITS.match(self._text, self._position)
        if match is None:
            self._wrong(complaint)
        self._position = match.end()
