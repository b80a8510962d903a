"""The grammar of filter expressions. Trees and complaints are those of the parser that Consul uses."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.consul.filter_syntax import (
    MAXIMUM_DEPTH,
    MAXIMUM_LENGTH,
    Comparison,
    Every,
    Expression,
    FilterError,
    Negation,
    Operator,
    Some,
    parse,
)


def equal(name: str, value: str = "1") -> Comparison:
    return Comparison((name,), Operator.EQUAL, value)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a==1", equal("a")),
        (" ( a == 1 ) ", equal("a")),
        ("a != 1", Comparison(("a",), Operator.NOT_EQUAL, "1")),
        ("a contains 1", Comparison(("a",), Operator.IN, "1")),
        ("1 in a", Comparison(("a",), Operator.IN, "1")),
        ("a not contains 1", Comparison(("a",), Operator.NOT_IN, "1")),
        ("1 not in a", Comparison(("a",), Operator.NOT_IN, "1")),
        ("a is empty", Comparison(("a",), Operator.IS_EMPTY, None)),
        ("a is not empty", Comparison(("a",), Operator.IS_NOT_EMPTY, None)),
        ('a matches "^x"', Comparison(("a",), Operator.MATCHES, "^x")),
        ("a not matches `^\\x`", Comparison(("a",), Operator.NOT_MATCHES, "^\\x")),
        ('a.b["c d"].e == 1', Comparison(("a", "b", "c d", "e"), Operator.EQUAL, "1")),
        ("a == b.c", equal("a", "b.c")),
        ('a == b["c"]', equal("a", "b.c")),
        ("a == -0.5", equal("a", "-0.5")),
        ('a == "\\u00e9\\x41\\101\\n\\U0001f600"', equal("a", "éAA\n😀")),
        ('a == "\\xff"', equal("a", "\ufffd")),
        ("a == `b\r\nc`", equal("a", "b\nc")),
        ("nothing == 1", equal("nothing")),
        ("not nothing == 1", Negation(equal("nothing"))),
        ("not not a == 1", equal("a")),
        ("not not not a == 1", Negation(equal("a"))),
        ("a == 1 or b == 1 and c == 1", Some((equal("a"), Every((equal("b"), equal("c")))))),
        ("(a == 1 or b == 1) and c == 1", Every((Some((equal("a"), equal("b"))), equal("c")))),
        ("not a == 1 and b == 1", Every((Negation(equal("a")), equal("b")))),
        ("(a == 1) and b == 1", Every((equal("a"), equal("b")))),
        ("a == 1\n\tand\r\nb == 1", Every((equal("a"), equal("b")))),
    ],
)
def test_an_expression_has_this_tree(text: str, tree: Expression) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (" ", '1:2 (1): no match found, expected: "(", "-", "0", "\\"", "`", "not", [ \\t\\r\\n], [1-9] or [a-zA-Z]'),
        ("Node", '1:5 (4): no match found, expected: "!=", ".", "==", "[", [ \\t\\r\\n] or [a-zA-Z0-9_]'),
        (
            "Node = x",
            '1:6 (5): no match found, expected: "!=", "==", "contains", "in", "is", "matches", "not" or [ \\t\\r\\n]',
        ),
        ("Node == x and", "1:14 (13): no match found, expected: [ \\t\\r\\n]"),
        ("Node == x)", '1:10 (9): no match found, expected: ".", "[", [ \\t\\r\\n], [a-zA-Z0-9_] or EOF'),
        ("a == é", '1:6 (5): no match found, expected: "-", "0", "\\"", "`", [ \\t\\r\\n], [1-9] or [a-zA-Z]'),
        ('a == "é" é', '1:10 (10): no match found, expected: "and", "or", [ \\t\\r\\n] or EOF'),
        ("a\n==\n=", '3:1 (5): no match found, expected: "-", "0", "\\"", "`", [ \\t\\r\\n], [1-9] or [a-zA-Z]'),
        ("(Node == x", '1:11 (10): rule "grouping": Unmatched parentheses'),
        ('Node == "x', '1:11 (10): rule "string": Unterminated string literal'),
        ('Node == "a\\q"', '1:9 (8): rule "string": invalid syntax'),
        ('Node == "\\ud800"', '1:9 (8): rule "string": invalid syntax'),
        ('Node == "\\777"', '1:9 (8): rule "string": invalid syntax'),
        ('Node == "a\nb"', '1:9 (8): rule "string": invalid syntax'),
        ("Node == 1x", '1:10 (9): rule "number": Invalid number literal'),
        ("3 in 4", '1:6 (5): rule "match": Invalid selector'),
        ("Meta[x] == 1", '1:6 (5): rule "index": Invalid index'),
        ('Meta["x" == 1', '1:10 (9): rule "index": Unclosed index expression'),
        (
            '"\\q" in a and "\\z" in b',
            '1:1 (0): rule "string": invalid syntax\n1:15 (14): rule "string": invalid syntax',
        ),
    ],
)
def test_a_complaint_names_the_furthest_place(text: str, complaint: str) -> None:
    with pytest.raises(FilterError) as refused:
        parse(text)
    assert str(refused.value) == complaint


def test_length_and_depth_are_limited() -> None:
    parse("a == " + "x" * (MAXIMUM_LENGTH - 5))
    with pytest.raises(FilterError, match="longer than"):
        parse("a == " + "x" * (MAXIMUM_LENGTH - 4))
    parse("(" * MAXIMUM_DEPTH + "a == 1" + ")" * MAXIMUM_DEPTH)
    with pytest.raises(FilterError, match="nests parentheses"):
        parse("(" * (MAXIMUM_DEPTH + 1) + "a == 1" + ")" * (MAXIMUM_DEPTH + 1))


@pytest.mark.parametrize("text", ["(" * MAXIMUM_DEPTH + "a", "not " * 2_000 + "a", "a == 1 or " * 800, "a." * 4_000])
def test_hostile_expressions_are_refused_in_no_time(text: str) -> None:
    with pytest.raises(FilterError):
        parse(text)


SELECTORS = st.lists(st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,4}", fullmatch=True), min_size=1, max_size=3).map(tuple)
VALUES = st.text(st.characters(exclude_characters='"\\\n', exclude_categories=["Cs"]), max_size=6)
COMPARISONS = st.builds(
    Comparison, SELECTORS, st.sampled_from([one for one in Operator if "Empty" not in one.value]), VALUES
) | st.builds(Comparison, SELECTORS, st.sampled_from([Operator.IS_EMPTY, Operator.IS_NOT_EMPTY]), st.none())
WORDS = {
    Operator.EQUAL: "==",
    Operator.NOT_EQUAL: "!=",
    Operator.IN: "contains",
    Operator.NOT_IN: "not contains",
    Operator.IS_EMPTY: "is empty",
    Operator.IS_NOT_EMPTY: "is not empty",
    Operator.MATCHES: "matches",
    Operator.NOT_MATCHES: "not matches",
}


def written(tree: Expression) -> str:
    match tree:
        case Comparison(selector, operator, value):
            text = f"{'.'.join(selector)} {WORDS[operator]}"
            return text if value is None else f'{text} "{value}"'
        case Negation(operand):
            return f"not ({written(operand)})"
        case Every(operands):
            return " and ".join(f"({written(operand)})" for operand in operands)
        case Some(operands):
            return " or ".join(f"({written(operand)})" for operand in operands)


@given(
    st.recursive(
        COMPARISONS,
        lambda inner: (
            st.builds(Negation, inner)
            | st.builds(Every, st.tuples(inner, inner))
            | st.builds(Some, st.lists(inner, min_size=2, max_size=3).map(tuple))
        ),
        max_leaves=6,
    )
)
def test_what_is_written_is_read(tree: Expression) -> None:
    # Parentheses keep a double negation as it is.
    assert parse(written(tree)) == tree


@given(st.text('()[]"`.=!-01ax \\notanorisempty', max_size=30))
def test_any_text_is_a_tree_or_a_filter_error(text: str) -> None:
    with contextlib.suppress(FilterError):
        assert isinstance(parse(text), Comparison | Negation | Every | Some)
