"""Regular expressions in Go's syntax, matched in time that grows with the text only.

Users send patterns, so one that takes exponential time (as ``(a+)+$`` does in Python's ``re``) would let anybody who
may read stop the registry. A pattern is compiled into a nondeterministic automaton whose deterministic states are
worked out as texts need them and kept, as RE2 does it: a known state costs one dict lookup a character. The work of
making new states is limited.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .regexp_syntax import Assertion, CharacterSet, Choice, Node, RegexpError, Repetition, Sequence, parse_regexp

MAXIMUM_INSTRUCTIONS: Final = 2_000
WORK_LIMIT: Final = 300_000
"""How many instructions the patterns of one request may visit while they make states: about 0.1 s."""
_KEPT_STATES: Final = 1_000


class RegexpTooExpensive(RuntimeError):
    """Matching a pattern took more work than one request may cause."""


class Budget:
    """The work that is left to the patterns that share it."""

    def __init__(self, work: int = WORK_LIMIT) -> None:
        self._left = work

    def spend(self, work: int) -> None:
        """Raises RegexpTooExpensive when nothing is left."""
        self._left -= work
        if self._left < 0:
            raise RegexpTooExpensive("the regular expression takes too much work; use a simpler one")


class Regexp:
    """One compiled pattern. It remembers what it learnt, so use it for all texts of one request."""

    def __init__(self, pattern: str, *, budget: Budget | None = None) -> None:
        """A pattern with its share of a budget, or one of its own.

        Raises RegexpError, with Go's message, for what is no regular expression or too large a one, and
        RegexpTooExpensive.
        """
        self._program = _compiled(pattern)
        self._states: dict[tuple[frozenset[int], _Side], _State] = {}
        self._budget = budget or Budget()
        self._budget.spend(len(self._program))

    def found_in(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the text. Raises RegexpTooExpensive."""
        state = self._state(frozenset(), _EDGE)
        for character in text:
            following = state.following.get(character)
            if following is None:
                following = state.following[character] = self._step(state, character)
            if following is _FOUND:
                return True
            state = following
        if state.at_end is None:
            state.at_end = _MATCH in self._reached(state, _EDGE)
        return state.at_end

    def _state(self, positions: frozenset[int], before: _Side) -> _State:
        key = (positions, before)
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= _KEPT_STATES:
                self._states.clear()
            state = self._states[key] = _State(positions, before)
        return state

    def _step(self, state: _State, character: str) -> _State:
        after = _side(character)
        reached = self._reached(state, after)
        if _MATCH in reached:
            return _FOUND
        positions = (
            position + 1
            for position in reached
            if isinstance(test := self._program[position], CharacterSet) and character in test
        )
        return self._state(frozenset(positions), after)

    def _reached(self, state: _State, after: _Side) -> set[int]:
        """All instructions that can be reached without consuming a character; _MATCH if the end is among them."""
        reached: set[int] = set()
        waiting = [0, *state.positions]  # a match may begin at every place
        while waiting:
            position = waiting.pop()
            if position in reached:
                continue
            reached.add(position)
            if position == len(self._program):
                reached.add(_MATCH)
                continue
            instruction = self._program[position]
            if isinstance(instruction, _Fork):
                waiting += instruction.targets
            elif isinstance(instruction, Assertion) and _holds(instruction, state.before, after):
                waiting.append(position + 1)
        reached.discard(len(self._program))
        self._budget.spend(len(reached))
        return reached


class _Fork(NamedTuple):
    """Go on at all of these instructions."""

    targets: tuple[int, ...]


_Instruction = CharacterSet | Assertion | _Fork
_MATCH: Final = -1

_Side = str
"""What stands beside a place: the edge of the text, a newline, a letter of a word or anything else."""
_EDGE: Final = "edge"
_NEWLINE: Final = "newline"
_WORD: Final = "word"
_OTHER: Final = "other"


class _State:
    """A deterministic state: instructions to go on at, and the character that was read last."""

    __slots__ = ("at_end", "before", "following", "positions")

    def __init__(self, positions: frozenset[int], before: _Side) -> None:
        self.positions = positions
        self.before = before
        self.following: dict[str, _State] = {}
        self.at_end: bool | None = None


_FOUND: Final = _State(frozenset(), _EDGE)


def _side(character: str) -> _Side:
    if character == "\n":
        return _NEWLINE
    # RE2's words are ASCII.
    return _WORD if character == "_" or (character.isascii() and character.isalnum()) else _OTHER


def _holds(assertion: Assertion, before: _Side, after: _Side) -> bool:
    match assertion:
        case Assertion.BEGIN_TEXT:
            return before == _EDGE
        case Assertion.END_TEXT:
            return after == _EDGE
        case Assertion.BEGIN_LINE:
            return before in (_EDGE, _NEWLINE)
        case Assertion.END_LINE:
            return after in (_EDGE, _NEWLINE)
        case Assertion.WORD_BOUNDARY:
            return (before == _WORD) != (after == _WORD)
        case Assertion.NO_WORD_BOUNDARY:
            return (before == _WORD) == (after == _WORD)


def _compiled(pattern: str) -> list[_Instruction]:
    program: list[_Instruction] = []
    try:
        _emit(parse_regexp(pattern), program)
    except _TooLarge:
        raise RegexpError(f"error parsing regexp: expression too large: `{pattern}`") from None
    return program


class _TooLarge(Exception):
    pass


def _emit(node: Node, program: list[_Instruction]) -> None:
    if len(program) > MAXIMUM_INSTRUCTIONS:
        raise _TooLarge
    if isinstance(node, CharacterSet | Assertion):
        program.append(node)
    elif isinstance(node, Sequence):
        for part in node.parts:
            _emit(part, program)
    elif isinstance(node, Choice):
        _emit_choice(node, program)
    else:
        _emit_repetition(node, program)


def _emit_choice(choice: Choice, program: list[_Instruction]) -> None:
    fork = _placeholder(program)
    starts: list[int] = []
    ends: list[int] = []
    for option in choice.options:
        starts.append(len(program))
        _emit(option, program)
        ends.append(_placeholder(program))
    program[fork] = _Fork(tuple(starts))
    for end in ends:
        program[end] = _Fork((len(program),))


def _emit_repetition(repetition: Repetition, program: list[_Instruction]) -> None:
    for _ in range(repetition.minimum):
        _emit(repetition.part, program)
    if repetition.maximum is None:
        fork = _placeholder(program)
        _emit(repetition.part, program)
        program.append(_Fork((fork,)))
        program[fork] = _Fork((fork + 1, len(program)))
        return
    forks: list[int] = []
    for _ in range(repetition.maximum - repetition.minimum):
        forks.append(_placeholder(program))
        _emit(repetition.part, program)
    for fork in forks:
        program[fork] = _Fork((fork + 1, len(program)))


def _placeholder(program: list[_Instruction]) -> int:
    program.append(_Fork(()))
    return len(program) - 1
