r"""Go's regular expressions (RE2 syntax): pattern in, tree out, with Go's error texts.

Source: https://pkg.go.dev/regexp/syntax. Python's ``re`` differs in what it accepts (look-around and back references,
which RE2 has not) and in what things mean (``$``, ``\z``, ``\d``), so a pattern is read here and never handed to it.
Unicode classes are general categories (``\pL``, ``\p{Lu}``) and ``\p{Any}``; scripts (``\p{Greek}``) are refused, since
Python does not know them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NoReturn, TypeAlias

MAXIMUM_DEPTH: Final = 100
_MAXIMUM_REPEAT: Final = 1_000
_LAST_CHARACTER: Final = 0x10FFFF


class RegexpError(ValueError):
    """A pattern is no regular expression. The message is Go's, ``error parsing regexp: …``."""


class Assertion(Enum):
    """A place between two characters."""

    BEGIN_TEXT = "begin text"
    END_TEXT = "end text"
    BEGIN_LINE = "begin line"
    END_LINE = "end line"
    WORD_BOUNDARY = "word boundary"
    NO_WORD_BOUNDARY = "no word boundary"


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """One character out of a set: ranges of code points, general categories, and sets within the set."""

    ranges: tuple[tuple[int, int], ...] = ()
    categories: tuple[str, ...] = ()
    members: tuple[CharacterSet, ...] = ()
    negated: bool = False
    folded: bool = False

    def __contains__(self, character: str) -> bool:
        variants = case_variants(character) if self.folded else (character,)
        return any(self._holds(variant) for variant in variants) != self.negated

    def _holds(self, character: str) -> bool:
        code = ord(character)
        return (
            any(first <= code <= last for first, last in self.ranges)
            or (bool(self.categories) and unicodedata.category(character).startswith(self.categories))
            or any(character in member for member in self.members)
        )


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other; without parts it matches the empty text."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repetition:
    """The same several times; ``maximum`` None is without end."""

    part: Node
    minimum: int
    maximum: int | None


Node: TypeAlias = CharacterSet | Assertion | Sequence | Choice | Repetition

EMPTY: Final = Sequence(())
ANY: Final = CharacterSet(((0, _LAST_CHARACTER),))
ANY_BUT_NEWLINE: Final = CharacterSet(((0, 9), (11, _LAST_CHARACTER)))

_DIGIT = CharacterSet(((0x30, 0x39),))
_SPACE = CharacterSet(((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)))
_WORD = CharacterSet(((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)))
_PERL_CLASSES: Final = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
_POSIX_CLASSES: Final = {
    "alnum": CharacterSet(((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A))),
    "alpha": CharacterSet(((0x41, 0x5A), (0x61, 0x7A))),
    "ascii": CharacterSet(((0x00, 0x7F),)),
    "blank": CharacterSet(((0x09, 0x09), (0x20, 0x20))),
    "cntrl": CharacterSet(((0x00, 0x1F), (0x7F, 0x7F))),
    "digit": _DIGIT,
    "graph": CharacterSet(((0x21, 0x7E),)),
    "lower": CharacterSet(((0x61, 0x7A),)),
    "print": CharacterSet(((0x20, 0x7E),)),
    "punct": CharacterSet(((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E))),
    "space": CharacterSet(((0x09, 0x0D), (0x20, 0x20))),
    "upper": CharacterSet(((0x41, 0x5A),)),
    "word": _WORD,
    "xdigit": CharacterSet(((0x30, 0x39), (0x41, 0x46), (0x61, 0x66))),
}
_CATEGORIES: Final = frozenset(
    (
        "C",
        "Cc",
        "Cf",
        "Co",
        "Cs",
        "L",
        "Ll",
        "Lm",
        "Lo",
        "Lt",
        "Lu",
        "M",
        "Mc",
        "Me",
        "Mn",
        "N",
        "Nd",
        "Nl",
        "No",
        "P",
        "Pc",
        "Pd",
        "Pe",
        "Pf",
        "Pi",
        "Po",
        "Ps",
        "S",
        "Sc",
        "Sk",
        "Sm",
        "So",
        "Z",
        "Zl",
        "Zp",
        "Zs",
    )
)
_ESCAPED_CONTROLS: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_OTHER_CASES: Final = {
    "k": "\u212a",
    "K": "\u212a",
    "s": "\u017f",
    "S": "\u017f",
    "\u00e5": "\u212b",
    "\u00c5": "\u212b",
}

_COUNT = re.compile(r"\{(0|[1-9][0-9]*)(?:(,)(0|[1-9][0-9]*)?)?\}")
_CAPTURE_NAME = re.compile(r"[A-Za-z0-9_]+")
_HEXADECIMAL = re.compile(r"\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2})")
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")


def parse_regexp(pattern: str) -> Node:
    """The tree of a pattern. Raises RegexpError with Go's message."""
    return _Parser(pattern).parse()


def case_variants(character: str) -> set[str]:
    """The characters that are the same as this one but for their case."""
    variants = {character, _OTHER_CASES.get(character, character)}
    for _ in range(2):
        for variant in tuple(variants):
            variants.update(
                other for other in (variant.lower(), variant.upper(), variant.casefold()) if len(other) == 1
            )
    return variants


def _refuse(code: str, expression: str) -> NoReturn:
    raise RegexpError(f"error parsing regexp: {code}: `{expression}`")


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = False
    multiline: bool = False
    dot_is_all: bool = False


@dataclass(slots=True)
class _Group:
    """An open parenthesis: the flags to return to, the options that are complete and the parts of the last one."""

    flags: _Flags
    options: list[Node]
    parts: list[Node]


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0
        self._flags = _Flags()
        self._groups = [_Group(self._flags, [], [])]
        self._last_repeat: int | None = None

    def parse(self) -> Node:
        """The tree of the whole pattern."""
        while self._position < len(self._pattern):
            started = self._position
            repeated = self._take_one(self._pattern[started])
            self._last_repeat = started if repeated else None
        if len(self._groups) > 1:
            _refuse("missing closing )", self._pattern)
        return self._closed(self._groups[0])

    def _take_one(self, character: str) -> bool:
        """Reads what begins with the character. True if that was a repetition."""
        match character:
            case "(":
                self._open()
            case "|":
                self._next_option()
            case ")":
                self._close()
            case "^":
                self._add(Assertion.BEGIN_LINE if self._flags.multiline else Assertion.BEGIN_TEXT, length=1)
            case "$":
                self._add(Assertion.END_LINE if self._flags.multiline else Assertion.END_TEXT, length=1)
            case ".":
                self._add(ANY if self._flags.dot_is_all else ANY_BUT_NEWLINE, length=1)
            case "[":
                self._add(self._bracket())
            case "*" | "+" | "?":
                minimum, maximum = {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
                self._repeat(self._position + 1, minimum, maximum)
                return True
            case "{":
                return self._counted()
            case "\\":
                self._escaped()
            case _:
                self._literal(character, length=1)
        return False

    def _add(self, node: Node, *, length: int = 0) -> None:
        self._groups[-1].parts.append(node)
        self._position += length

    def _literal(self, character: str, *, length: int) -> None:
        code = ord(character)
        self._add(CharacterSet(((code, code),), folded=self._flags.fold), length=length)

    # --- groups ---

    def _open(self) -> None:
        flags = self._flags
        if self._pattern.startswith("(?", self._position):
            if not self._group_prefix():
                return
        else:
            self._position += 1
        if len(self._groups) > MAXIMUM_DEPTH:
            _refuse("expression nests too deeply", self._pattern)
        self._groups.append(_Group(flags, [], []))

    def _group_prefix(self) -> bool:
        """Reads ``(?P<name>``, ``(?<name>`` or ``(?flags:``. False for ``(?flags)``, which opens no group."""
        start = self._position
        rest = self._pattern[start:]
        named = (len(rest) > 4 and rest.startswith("(?P<")) or (len(rest) > 3 and rest.startswith("(?<"))
        return self._named_group(start, rest) if named else self._flagged_group(start)

    def _named_group(self, start: int, rest: str) -> bool:
        end = rest.find(">")
        if end < 0:
            _refuse("invalid named capture", rest)
        name = rest[rest.index("<") + 1 : end]
        if not _CAPTURE_NAME.fullmatch(name):
            _refuse("invalid named capture", rest[: end + 1])
        self._position = start + end + 1
        return True

    def _flagged_group(self, start: int) -> bool:
        flags = self._flags
        wanted = True
        seen = False
        position = start + 2
        while position < len(self._pattern):
            character = self._pattern[position]
            position += 1
            if character in "imsU":
                seen = True
                if character == "i":
                    flags = replace(flags, fold=wanted)
                elif character == "m":
                    flags = replace(flags, multiline=wanted)
                elif character == "s":
                    flags = replace(flags, dot_is_all=wanted)
            elif character == "-" and wanted:
                wanted = seen = False
            elif character in ":)" and (wanted or seen):
                self._flags = flags
                self._position = position
                return character == ":"
            else:
                break
        _refuse("invalid or unsupported Perl syntax", self._pattern[start:position])

    def _next_option(self) -> None:
        group = self._groups[-1]
        group.options.append(Sequence(tuple(group.parts)))
        group.parts.clear()
        self._position += 1

    def _close(self) -> None:
        if len(self._groups) == 1:
            _refuse("unexpected )", self._pattern)
        group = self._groups.pop()
        self._flags = group.flags
        self._add(self._closed(group), length=1)

    @staticmethod
    def _closed(group: _Group) -> Node:
        last = Sequence(tuple(group.parts))
        return Choice((*group.options, last)) if group.options else last

    # --- repetitions ---

    def _counted(self) -> bool:
        match = _COUNT.match(self._pattern, self._position)
        if match is None:
            self._literal("{", length=1)
            return False
        minimum = _count(match[1])
        maximum = _count(match[3]) if match[3] else None if match[2] else minimum
        if minimum > _MAXIMUM_REPEAT or (maximum is not None and (maximum > _MAXIMUM_REPEAT or minimum > maximum)):
            _refuse("invalid repeat count", match[0])
        self._repeat(match.end(), minimum, maximum)
        return True

    def _repeat(self, after: int, minimum: int, maximum: int | None) -> None:
        start = self._position
        if self._pattern.startswith("?", after):
            after += 1  # lazy or greedy finds a match in the same texts
        if self._last_repeat is not None:
            _refuse("invalid nested repetition operator", self._pattern[self._last_repeat : after])
        parts = self._groups[-1].parts
        if not parts:
            _refuse("missing argument to repetition operator", self._pattern[start:after])
        repeated = Repetition(parts.pop(), minimum, maximum)
        if (minimum >= 2 or (maximum or 0) >= 2) and not _is_repeatable(repeated, _MAXIMUM_REPEAT):
            _refuse("invalid repeat count", self._pattern[start:after])
        parts.append(repeated)
        self._position = after

    # --- escapes ---

    def _escaped(self) -> None:
        kind = self._pattern[self._position + 1 : self._position + 2]
        simple = {
            "A": Assertion.BEGIN_TEXT,
            "b": Assertion.WORD_BOUNDARY,
            "B": Assertion.NO_WORD_BOUNDARY,
            "z": Assertion.END_TEXT,
        }
        if kind in simple:
            self._add(simple[kind], length=2)
        elif kind == "C":
            _refuse("invalid escape sequence", "\\C")
        elif kind == "Q":
            self._quoted()
        elif (found := self._class_escape()) is not None:
            self._add(found)
        else:
            self._literal(chr(self._escaped_code()), length=0)

    def _quoted(self) -> None:
        start = self._position + 2
        end = self._pattern.find("\\E", start)
        text = self._pattern[start:] if end < 0 else self._pattern[start:end]
        for character in text:
            self._literal(character, length=0)
        self._position = len(self._pattern) if end < 0 else end + 2

    def _class_escape(self) -> CharacterSet | None:
        r"""Reads ``\d``, ``\W``, ``\pL``, ``\P{Lu}`` and the like, or nothing."""
        kind = self._pattern[self._position + 1 : self._position + 2]
        if kind.lower() in _PERL_CLASSES and kind:
            self._position += 2
            found = replace(_PERL_CLASSES[kind.lower()], folded=self._flags.fold)
            return replace(found, negated=kind.isupper())
        return self._unicode_class(negated=kind == "P") if kind in ("p", "P") else None

    def _unicode_class(self, *, negated: bool) -> CharacterSet | None:
        start = self._position
        name = self._pattern[start + 2 : start + 3]
        end = start + 3
        if name == "{":
            close = self._pattern.find("}", start)
            if close < 0:
                _refuse("invalid character class range", self._pattern[start:])
            name, end = self._pattern[start + 3 : close], close + 1
            if name.startswith("^"):
                name, negated = name[1:], not negated
        if name != "Any" and name not in _CATEGORIES:
            _refuse("invalid character class range", self._pattern[start:end])
        self._position = end
        if name == "Any":
            return replace(ANY, negated=negated)
        return CharacterSet(categories=(name,), negated=negated, folded=self._flags.fold)

    def _escaped_code(self) -> int:
        """Reads an escape that stands for one character."""
        start = self._position
        if start + 1 >= len(self._pattern):
            _refuse("trailing backslash at end of expression", "")
        character = self._pattern[start + 1]
        if (match := _OCTAL.match(self._pattern, start + 1)) is not None:
            self._position = match.end()
            return int(match[0], 8)
        if character == "x":
            return self._hexadecimal(start)
        if character in _ESCAPED_CONTROLS:
            self._position += 2
            return _ESCAPED_CONTROLS[character]
        if character.isascii() and not character.isalnum():
            self._position += 2
            return ord(character)
        _refuse("invalid escape sequence", self._pattern[start : start + 2])

    def _hexadecimal(self, start: int) -> int:
        match = _HEXADECIMAL.match(self._pattern, start + 2)
        if match is not None:
            code = int(match[1] or match[2], 16)
            if code <= _LAST_CHARACTER:
                self._position = match.end()
                return code
        _refuse("invalid escape sequence", self._bad_hexadecimal(start))

    def _bad_hexadecimal(self, start: int) -> str:
        r"""How much of a broken ``\x`` Go shows: up to the character that made it give up."""
        pattern = self._pattern
        if not pattern.startswith("{", start + 2):
            return pattern[start : start + 4]
        code = 0
        for position in range(start + 3, len(pattern)):
            if pattern[position] in "0123456789abcdefABCDEF":
                code = code * 16 + int(pattern[position], 16)
                if code <= _LAST_CHARACTER:
                    continue
            return pattern[start : position + 1]
        return pattern[start:]

    # --- bracket expressions ---

    def _bracket(self) -> CharacterSet:
        start = self._position
        self._position += 1
        negated = self._pattern.startswith("^", self._position)
        self._position += negated
        ranges: list[tuple[int, int]] = []
        members: list[CharacterSet] = []
        first = True
        while first or not self._pattern.startswith("]", self._position):
            first = False
            member = self._named_class() or self._class_escape_in_bracket()
            if member is not None:
                members.append(member)
            else:
                ranges.append(self._range(start))
        self._position += 1
        return CharacterSet(tuple(ranges), members=tuple(members), negated=negated, folded=self._flags.fold)

    def _class_escape_in_bracket(self) -> CharacterSet | None:
        return self._class_escape() if self._pattern.startswith("\\", self._position) else None

    def _named_class(self) -> CharacterSet | None:
        if not self._pattern.startswith("[:", self._position):
            return None
        end = self._pattern.find(":]", self._position + 2)
        if end < 0:
            return None
        name = self._pattern[self._position + 2 : end]
        found = _POSIX_CLASSES.get(name.removeprefix("^"))
        if found is None:
            _refuse("invalid character class range", self._pattern[self._position : end + 2])
        self._position = end + 2
        return replace(found, negated=name.startswith("^"), folded=self._flags.fold)

    def _range(self, bracket: int) -> tuple[int, int]:
        start = self._position
        low = self._bracket_character(bracket)
        following = self._pattern[self._position : self._position + 2]
        if len(following) < 2 or following[0] != "-" or following[1] == "]":
            return low, low
        self._position += 1
        high = self._bracket_character(bracket)
        if high < low:
            _refuse("invalid character class range", self._pattern[start : self._position])
        return low, high

    def _bracket_character(self, bracket: int) -> int:
        if self._position >= len(self._pattern):
            _refuse("missing closing ]", self._pattern[bracket:])
        character = self._pattern[self._position]
        if character == "\\":
            return self._escaped_code()
        self._position += 1
        return ord(character)


def _count(digits: str) -> int:
    # Whatever has more than four digits is too much.
    return int(digits) if len(digits) <= 4 else _MAXIMUM_REPEAT + 1


def _is_repeatable(node: Node, budget: int) -> bool:
    """Whether nested counts multiply to no more than Go allows."""
    if isinstance(node, Repetition):
        # An endless repetition of less than two is not counted.
        count = node.maximum if node.maximum is not None else node.minimum
        if (node.minimum, node.maximum) in ((0, None), (1, None), (0, 1)):
            count = 1
        if node.maximum == 0:
            return True
        if count > budget:
            return False
        return _is_repeatable(node.part, budget // count if count else budget)
    parts = node.parts if isinstance(node, Sequence) else node.options if isinstance(node, Choice) else ()
    return all(_is_repeatable(part, budget) for part in parts)
