"""Regular expressions of Go: what they match, what they refuse, and that none of them takes forever."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from homeport.protocols.consul.regexp import Budget, Regexp, RegexpTooExpensive
from homeport.protocols.consul.regexp_syntax import RegexpError


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("", ["", "x"], []),
        ("b", ["abc"], ["", "ac", "B"]),
        ("^a.*b$", ["ab", "axxb"], ["xab", "abx", "a\nb"]),
        ("(?s)^a.b$", ["a\nb"], ["ab"]),
        ("(?m)^b$", ["a\nb\nc", "b"], ["ab\nbc"]),
        ("b$", ["ab"], ["b\n"]),
        (r"\Ab\z", ["b"], ["b\n", "ab"]),
        ("a|bc|", [""], []),
        ("^(a|bc)+$", ["abca", "bc"], ["", "abcb"]),
        ("^a{2,3}$", ["aa", "aaa"], ["a", "aaaa"]),
        ("^a{2}$", ["aa"], ["a", "aaa"]),
        ("^a{2,}$", ["aa", "aaaaa"], ["a"]),
        ("^a{0}$", [""], ["a"]),
        ("^a{,2}$", ["a{,2}"], ["aa"]),
        ("^(a?b?)*?c$", ["abbac", "c"], ["ab"]),
        ("^[a-c_]$", ["b", "_"], ["d", "B"]),
        ("^[^a-c]$", ["d", "\n"], ["b"]),
        ("^[]a-]$", ["]", "a", "-"], ["b"]),
        (r"^[\d\W]$", ["5", "é", " "], ["a"]),
        ("^[[:alpha:][:^ascii:]]$", ["a", "é"], ["1"]),
        (r"^\w\s\D$", ["a x", "a\tx"], ["a\vx", "a 1", "é x"]),
        (r"^\pL\p{Lu}\P{Nd}$", ["éÄx"], ["1Äx", "ääx", "éÄ1"]),
        (r"^\p{^Lu}\pN$", ["a1"], ["A1"]),
        (r"^\x41\x{1F600}\101\n$", ["A😀A\n"], ["A😀A"]),
        (r"^\Qa.b\Ec$", ["a.bc"], ["axbc"]),
        (r"\bfoo\b", ["a foo!", "foo"], ["afoo", "foo_"]),
        (r"a\Bb", ["ab"], ["a b"]),
        (r"\bx", ["éx"], ["_x"]),
        ("(?i)^straße[k-s]$", ["STRAßEK", "straßeſ", "Straße\u212a"], ["straßea"]),
        ("(?i:a)b", ["Ab"], ["AB"]),
        ("(?i)a(?-i)b", ["Ab"], ["AB"]),
        ("((?i)a)b", ["Ab"], ["AB"]),
        ("(?P<x>a)(?<y>b)", ["ab"], ["a"]),
    ],
)
def test_a_pattern_matches_what_it_does_in_go(pattern: str, matching: list[str], other: list[str]) -> None:
    regexp = Regexp(pattern)
    assert [text for text in matching if not regexp.found_in(text)] == []
    assert [text for text in other if regexp.found_in(text)] == []
    # What it has learnt must not change what it says.
    assert [text for text in matching if not regexp.found_in(text)] == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "missing closing ): `(`"),
        (")", "unexpected ): `)`"),
        ("[a", "missing closing ]: `[a`"),
        ("[b-a]", "invalid character class range: `b-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("(|*)", "missing argument to repetition operator: `*`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("a{99999999999999999999}", "invalid repeat count: `{99999999999999999999}`"),
        ("(a{100}){11}", "invalid repeat count: `{11}`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?!a)", "invalid or unsupported Perl syntax: `(?!`"),
        ("(?z)", "invalid or unsupported Perl syntax: `(?z`"),
        ("(?-)", "invalid or unsupported Perl syntax: `(?-)`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("(?P<>a)", "invalid named capture: `(?P<>`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\y", r"invalid escape sequence: `\y`"),
        (r"\xg1", r"invalid escape sequence: `\xg1`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("(" * 101 + ")" * 101, f"expression nests too deeply: `{'(' * 101}{')' * 101}`"),
        ("(abc){900}", "expression too large: `(abc){900}`"),
    ],
)
def test_what_go_refuses_is_refused_in_its_words(pattern: str, message: str) -> None:
    with pytest.raises(RegexpError) as refused:
        Regexp(pattern)
    assert str(refused.value) == f"error parsing regexp: {message}"


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "(a*)*b", "(.*a){12}$", "(a?){25}a{25}$", "((a*)*)*b"])
def test_a_pattern_that_ruins_backtracking_does_no_harm(pattern: str) -> None:
    assert Regexp(pattern).found_in("a" * 5_000 + "!") is False


def test_work_is_limited() -> None:
    # Every text makes new states of hundreds of instructions each.
    regexp = Regexp("(a|b)*a" + "(a|b)" * 300 + "c")
    texts = "".join(format(number, "0400b").replace("0", "a").replace("1", "b") for number in range(10_000))
    with pytest.raises(RegexpTooExpensive, match="use a simpler one"):
        regexp.found_in(texts)


def test_patterns_share_a_budget() -> None:
    budget = Budget(100)
    Regexp("a{60}", budget=budget)
    with pytest.raises(RegexpTooExpensive):
        Regexp("a{60}", budget=budget)


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\b", "^", "$"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{0,2}", "*?"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}")
        | st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})")
    ),
    max_leaves=8,
)


@given(PATTERNS, st.lists(st.text("ab1 ", max_size=8), min_size=1, max_size=4))
def test_it_agrees_with_python_where_both_mean_the_same(pattern: str, texts: list[str]) -> None:
    theirs = re.compile(pattern, re.ASCII)
    ours = Regexp(pattern)
    assert [ours.found_in(text) for text in texts] == [theirs.search(text) is not None for text in texts]


@given(st.text("ab()[]{}*+?|^$.\\-,:123dpPx<>=iLQE", max_size=14), st.text("ab1", max_size=6))
def test_any_text_is_a_pattern_or_a_regexp_error(pattern: str, text: str) -> None:
    try:
        regexp = Regexp(pattern)
    except RegexpError:
        assume(False)
    assert regexp.found_in(text) in (True, False)
