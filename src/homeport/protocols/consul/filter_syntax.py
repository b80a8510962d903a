"""The grammar of Consul's filter expressions: text in, tree out.

Source: https://developer.hashicorp.com/consul/api-docs/features/filtering. Precedence is ``not`` over ``and`` over
``or``; keywords are lower case. Consul's parser follows a parsing expression grammar: it tries alternatives in order
and complains about the furthest place it reached. This one walks the same alternatives, so it complains the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from homeport.wire import golang

MAXIMUM_LENGTH: Final = 8_192
"""Longer expressions are refused; the longest that a program of this field sends is a few hundred characters."""
MAXIMUM_DEPTH: Final = 40
"""Parentheses nested deeper are refused, so that no expression can exhaust the stack."""


class FilterError(ValueError):
    """An expression cannot be used. The message says why, without the words that Consul puts before it."""


class Operator(Enum):
    """What a comparison asks; the value is the name in error texts."""

    EQUAL = "Equal"
    NOT_EQUAL = "Not Equal"
    IN = "In"
    NOT_IN = "Not In"
    IS_EMPTY = "Is Empty"
    IS_NOT_EMPTY = "Is Not Empty"
    MATCHES = "Matches"
    NOT_MATCHES = "Not Matches"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One selector and what is asked of it; ``value`` is None for the two emptiness operators."""

    selector: tuple[str, ...]
    operator: Operator
    value: str | None


@dataclass(frozen=True, slots=True)
class Negation:
    """The opposite of an expression."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Every:
    """True when all operands are; they are asked from left to right."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """True when one operand is; they are asked from left to right."""

    operands: tuple[Expression, ...]


Expression: TypeAlias = Comparison | Negation | Every | Some


def parse(text: str) -> Expression:
    """The tree of an expression. Raises FilterError, for syntax with Consul's message."""
    if len(text) > MAXIMUM_LENGTH:
        raise FilterError(f"the expression is longer than {MAXIMUM_LENGTH} characters")
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth > MAXIMUM_DEPTH:
            raise FilterError(f"the expression nests parentheses deeper than {MAXIMUM_DEPTH} levels")
    return _Parser(text).expression()


_Result: TypeAlias = tuple[int, Any]
"""Where a rule ended and what it stands for."""

_SPACE: Final = re.compile(r"[ \t\r\n]")
_LETTER: Final = re.compile(r"[a-zA-Z]")
_WORD: Final = re.compile(r"[a-zA-Z0-9_]")
_POSITIVE_DIGIT: Final = re.compile(r"[1-9]")
_DIGIT: Final = re.compile(r"[0-9]")


class _Parser:
    """A parser of one text. Every rule takes a position and gives a result, or None if it does not match there."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._known: dict[tuple[str, int, bool], _Result | None] = {}
        self._furthest = 0
        self._expected: set[str] = set()
        self._inverted = False
        self._errors: dict[str, None] = {}

    def expression(self) -> Expression:
        """The tree of the whole text."""
        result = self._whole()
        if result is None and not self._errors:
            self._complain(self._furthest, f"no match found, expected: {self._expectation()}")
        if self._errors:
            raise FilterError("\n".join(self._errors))
        assert result is not None
        tree: Expression = result[1]
        return tree

    # --- what is said when it fails ---

    def _expectation(self) -> str:
        terminals = sorted(self._expected - {"!."})
        if "!." in self._expected:
            terminals.append("EOF")
        *others, last = terminals
        return f"{', '.join(others)} or {last}" if others else last

    def _complain(self, position: int, message: str) -> None:
        before = self._text[:position]
        # A line break counts as the start of the line that it begins.
        reached = self._text[: position + 1]
        line = reached.count("\n") + 1
        column = position - reached.rfind("\n") if "\n" in reached else position + 1
        self._errors[f"{line}:{column} ({len(before.encode('utf-8', 'surrogatepass'))}): {message}"] = None

    def _note(self, position: int, terminal: str, *, matched: bool) -> None:
        """Remembers what was tried at the furthest position: what failed, or inside a ``!`` what matched."""
        if matched != self._inverted or position < self._furthest:
            return
        if position > self._furthest:
            self._furthest = position
            self._expected.clear()
        self._expected.add(f"!{terminal}" if matched else terminal)

    # --- terminals ---

    def _literal(self, position: int, literal: str) -> int | None:
        matched = self._text.startswith(literal, position)
        self._note(position, golang.quote(literal), matched=matched)
        return position + len(literal) if matched else None

    def _one_of(self, position: int, characters: re.Pattern[str]) -> int | None:
        matched = position < len(self._text) and characters.match(self._text, position) is not None
        self._note(position, characters.pattern, matched=matched)
        return position + 1 if matched else None

    def _end(self, position: int) -> int | None:
        with _Inversion(self):
            more = position < len(self._text)
            self._note(position, ".", matched=more)
        return None if more else position

    def _many(self, position: int, characters: re.Pattern[str]) -> int:
        while (following := self._one_of(position, characters)) is not None:
            position = following
        return position

    def _space(self, position: int) -> int | None:
        following = self._one_of(position, _SPACE)
        return None if following is None else self._many(following, _SPACE)

    def _optional_space(self, position: int) -> int:
        return self._many(position, _SPACE)

    def _words(self, position: int, *words: str) -> int | None:
        """Space, then words with space between them."""
        for word in words:
            following = self._space(position)
            if following is None or (following := self._literal(following, word)) is None:
                return None
            position = following
        return position

    # --- rules, from the top down ---

    def _whole(self) -> _Result | None:
        position = self._optional_space(0)
        inner = self._parenthesised(position)
        if inner is not None and self._end(self._optional_space(inner[0])) is not None:
            return inner
        result = self._any(position)
        if result is not None and self._end(self._optional_space(result[0])) is not None:
            return result
        return None

    def _parenthesised(self, position: int) -> _Result | None:
        opened = self._literal(position, "(")
        if opened is None:
            return None
        inner = self._any(self._optional_space(opened))
        if inner is None:
            return None
        closed = self._literal(self._optional_space(inner[0]), ")")
        return None if closed is None else (closed, inner[1])

    def _any(self, position: int) -> _Result | None:
        return self._once("or", position, lambda: self._chain(position, "or", self._every, Some))

    def _every(self, position: int) -> _Result | None:
        return self._once("and", position, lambda: self._chain(position, "and", self._negation, Every))

    def _chain(
        self,
        position: int,
        word: str,
        operand: Callable[[int], _Result | None],
        join: Callable[[tuple[Expression, ...]], Expression],
    ) -> _Result | None:
        first = operand(position)
        if first is None:
            return None
        position, operands = first[0], [first[1]]
        while (
            (after_word := self._words(position, word)) is not None
            and (start := self._space(after_word)) is not None
            and (following := operand(start)) is not None
        ):
            position = following[0]
            operands.append(following[1])
        return position, operands[0] if len(operands) == 1 else join(tuple(operands))

    def _negation(self, position: int) -> _Result | None:
        starts = [position]
        while (after_word := self._literal(starts[-1], "not")) is not None:
            start = self._space(after_word)
            if start is None:
                break
            starts.append(start)
        # "not" may also turn out to begin a word: then it belongs to the operand.
        for count in range(len(starts) - 1, -1, -1):
            operand = self._grouping(starts[count])
            if operand is not None:
                return operand[0], Negation(operand[1]) if count % 2 else operand[1]
        return None

    def _grouping(self, position: int) -> _Result | None:
        return self._once("grouping", position, lambda: self._grouping_there(position))

    def _grouping_there(self, position: int) -> _Result | None:
        result = self._parenthesised(position) or self._comparison(position)
        if result is not None:
            return result
        opened = self._literal(position, "(")
        if opened is not None and (inner := self._any(self._optional_space(opened))) is not None:
            end = self._optional_space(inner[0])
            with _Inversion(self):
                closed = self._literal(end, ")")
            if closed is None:
                self._complain(end, 'rule "grouping": Unmatched parentheses')
        return None

    def _comparison(self, position: int) -> _Result | None:
        return (
            self._selector_operator_value(position)
            or self._selector_operator(position)
            or self._value_operator_selector(position)
        )

    def _selector_operator_value(self, position: int) -> _Result | None:
        selector = self._selector(position)
        if selector is None:
            return None
        for operator, match in (
            (Operator.EQUAL, self._sign("==")),
            (Operator.NOT_EQUAL, self._sign("!=")),
            (Operator.IN, self._phrase("contains")),
            (Operator.NOT_IN, self._phrase("not", "contains")),
            (Operator.MATCHES, self._phrase("matches")),
            (Operator.NOT_MATCHES, self._phrase("not", "matches")),
        ):
            if (start := match(selector[0])) is not None:
                value = self._value(start)
                return None if value is None else (value[0], Comparison(selector[1], operator, value[1]))
        return None

    def _selector_operator(self, position: int) -> _Result | None:
        selector = self._selector(position)
        if selector is None:
            return None
        for operator, words in (
            (Operator.IS_EMPTY, ("is", "empty")),
            (Operator.IS_NOT_EMPTY, ("is", "not", "empty")),
        ):
            if (end := self._words(selector[0], *words)) is not None:
                return end, Comparison(selector[1], operator, None)
        return None

    def _value_operator_selector(self, position: int) -> _Result | None:
        value = self._value(position)
        if value is None:
            return None
        for operator, match in ((Operator.IN, self._phrase("in")), (Operator.NOT_IN, self._phrase("not", "in"))):
            if (start := match(value[0])) is not None:
                selector = self._selector(start)
                if selector is not None:
                    return selector[0], Comparison(selector[1], operator, value[1])
                self._complain(start, 'rule "match": Invalid selector')
                return None
        return None

    def _sign(self, sign: str) -> Callable[[int], int | None]:
        """An operator that needs no space around it."""

        def match(position: int) -> int | None:
            end = self._literal(self._optional_space(position), sign)
            return None if end is None else self._optional_space(end)

        return match

    def _phrase(self, *words: str) -> Callable[[int], int | None]:
        """An operator of words, with space before, between and after."""

        def match(position: int) -> int | None:
            end = self._words(position, *words)
            return None if end is None else self._space(end)

        return match

    def _selector(self, position: int) -> _Result | None:
        return self._once("selector", position, lambda: self._selector_there(position))

    def _selector_there(self, position: int) -> _Result | None:
        first = self._identifier(position)
        if first is None:
            return None
        position, path = first[0], [first[1]]
        while (part := self._member(position) or self._index(position)) is not None:
            position = part[0]
            path.append(part[1])
        return position, tuple(path)

    def _member(self, position: int) -> _Result | None:
        after_dot = self._literal(position, ".")
        return None if after_dot is None else self._identifier(after_dot)

    def _identifier(self, position: int) -> _Result | None:
        start = self._one_of(position, _LETTER)
        if start is None:
            return None
        end = self._many(start, _WORD)
        return end, self._text[position:end]

    def _index(self, position: int) -> _Result | None:
        return self._once("index", position, lambda: self._index_there(position))

    def _index_there(self, position: int) -> _Result | None:
        opened = self._literal(position, "[")
        if opened is None:
            return None
        start = self._optional_space(opened)
        key = self._string(start)
        if key is None:
            self._complain(start, 'rule "index": Invalid index')
            return None
        end = self._optional_space(key[0])
        closed = self._literal(end, "]")
        if closed is None:
            self._complain(end, 'rule "index": Unclosed index expression')
            return None
        return closed, key[1]

    def _value(self, position: int) -> _Result | None:
        return self._once("value", position, lambda: self._value_there(position))

    def _value_there(self, position: int) -> _Result | None:
        selector = self._selector(position)
        if selector is not None:
            return selector[0], ".".join(selector[1])
        return self._number(position) or self._string(position)

    def _number(self, position: int) -> _Result | None:
        start = self._literal(position, "-")
        digits = position if start is None else start
        end = self._literal(digits, "0")
        if end is None:
            first = self._one_of(digits, _POSITIVE_DIGIT)
            if first is None:
                return None
            end = self._many(first, _DIGIT)
        after_point = self._literal(end, ".")
        if after_point is not None and (fraction := self._one_of(after_point, _DIGIT)) is not None:
            end = self._many(fraction, _DIGIT)
        if self._space(end) is None and self._end(end) is None and self._literal(end, ")") is None:
            self._complain(end, 'rule "number": Invalid number literal')
            return None
        return end, self._text[position:end]

    def _string(self, position: int) -> _Result | None:
        return self._once("string", position, lambda: self._string_there(position))

    def _string_there(self, position: int) -> _Result | None:
        for delimiter in ("`", '"'):
            if self._literal(position, delimiter) is None:
                continue
            end = self._text.find(delimiter, position + 1)
            if end < 0:
                self._complain(len(self._text), 'rule "string": Unterminated string literal')
                return None
            try:
                return end + 1, _unquoted(self._text[position + 1 : end], raw=delimiter == "`")
            except ValueError:
                self._complain(position, 'rule "string": invalid syntax')
                return end + 1, ""
        return None

    def _once(self, rule: str, position: int, match: Callable[[], _Result | None]) -> _Result | None:
        """A rule's result, worked out once for each position, so that trying alternatives again costs nothing."""
        key = (rule, position, self._inverted)
        if key not in self._known:
            self._known[key] = match()
        return self._known[key]


class _Inversion:
    """While a ``!`` looks ahead, what matches is what was not wanted."""

    def __init__(self, parser: _Parser) -> None:
        self._parser = parser

    def __enter__(self) -> None:
        self._parser._inverted = not self._parser._inverted

    def __exit__(self, *_: object) -> None:
        self._parser._inverted = not self._parser._inverted


_ESCAPE: Final = re.compile(
    r"\\(?:(?P<letter>[abfnrtv\\\"])|x(?P<x>[0-9a-fA-F]{2})|(?P<octal>[0-7]{3})"
    r"|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8}))"
)
_LETTERS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}


def _unquoted(text: str, *, raw: bool) -> str:
    r"""What stands between quotes, as Go's ``strconv.Unquote`` reads it. Raises ValueError.

    Bytes written as ``\x..`` or in octal make up UTF-8; those that do not become U+FFFD.
    """
    if raw:
        return text.replace("\r", "")
    if "\n" in text:
        raise ValueError("a line break within double quotes")
    parts: list[bytes] = []
    position = 0
    while position < len(text):
        if text[position] != "\\":
            end = text.find("\\", position)
            end = len(text) if end < 0 else end
            parts.append(text[position:end].encode("utf-8", "replace"))
            position = end
            continue
        match = _ESCAPE.match(text, position)
        if match is None:
            raise ValueError("no such escape")
        parts.append(_escaped(match))
        position = match.end()
    return b"".join(parts).decode("utf-8", "replace")


def _escaped(match: re.Match[str]) -> bytes:
    if letter := match["letter"]:
        return _LETTERS[letter].encode()
    if match["x"] or match["octal"]:
        # An octal escape beyond a byte is the ValueError that is wanted.
        return bytes([int(match["x"], 16) if match["x"] else int(match["octal"], 8)])
    code = int(match["u"] or match["U"], 16)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError("half of a surrogate pair")
    return chr(code).encode()
