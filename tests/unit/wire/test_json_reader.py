"""Reading JSON with Go's tolerance and Go's complaints; the expected messages were printed by Go itself."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.wire.json_reader import MAXIMUM_DEPTH, JSONError, Number, Pairs, plain, read_json

MISTAKES = {
    b"": "EOF",
    b" \n ": "EOF",
    b"{": "unexpected EOF",
    b'{"a"': "unexpected EOF",
    b'{"a":': "unexpected EOF",
    b'{"a":1': "unexpected EOF",
    b'{"a":nul': "unexpected EOF",
    b'"abc': "unexpected EOF",
    b'"\\': "unexpected EOF",
    b"[1,": "unexpected EOF",
    b"x": "invalid character 'x' looking for beginning of value",
    b"[1,]": "invalid character ']' looking for beginning of value",
    b'{"a":}': "invalid character '}' looking for beginning of value",
    b"[NaN]": "invalid character 'N' looking for beginning of value",
    b"[Infinity]": "invalid character 'I' looking for beginning of value",
    b"[-Infinity]": "invalid character 'I' in numeric literal",
    b"{a:1}": "invalid character 'a' looking for beginning of object key string",
    b"{'a':1}": "invalid character '\\'' looking for beginning of object key string",
    b'{"a":1,}': "invalid character '}' looking for beginning of object key string",
    b'{"a" "b"}': "invalid character '\"' after object key",
    b'{"a":1 "b"}': "invalid character '\"' after object key:value pair",
    b'{"a":01}': "invalid character '1' after object key:value pair",
    b'["a" "b"]': "invalid character '\"' after array element",
    b'{"a":1]': "invalid character ']' after object key:value pair",
    b'{"a":tru}': "invalid character '}' in literal true (expecting 'e')",
    b'{"a":nulL}': "invalid character 'L' in literal null (expecting 'l')",
    b'{"a":-}': "invalid character '}' in numeric literal",
    b'{"a":1.}': "invalid character '}' after decimal point in numeric literal",
    b'{"a":1e+}': "invalid character '}' in exponent of numeric literal",
    b'{"a":"\\q"}': "invalid character 'q' in string escape code",
    b'{"a":"\\u12x4"}': "invalid character 'x' in \\u hexadecimal character escape",
    b'"a\tb"': "invalid character '\\t' in string literal",
    b'"a\x01b"': "invalid character '\\x01' in string literal",
    b"\xef\xbb\xbf{}": "invalid character '\u00ef' looking for beginning of value",
    b'{"a":\xe2}': "invalid character '\u00e2' looking for beginning of value",
    b'{"a"\x85:1}': "invalid character '\\u0085' after object key",
}


@pytest.mark.parametrize(("body", "message"), MISTAKES.items())
def test_a_mistake_is_named_in_gos_words(body: bytes, message: str) -> None:
    with pytest.raises(JSONError) as refused:
        read_json(body)
    assert str(refused.value) == message


def test_objects_keep_order_and_repetitions_and_numbers_their_digits() -> None:
    value = read_json(b'{"b":1.50,"a":[true,null],"b":-0}')

    assert value == Pairs([("b", "1.50"), ("a", [True, None]), ("b", "-0")])
    assert isinstance(value[0][1], Number)
    assert plain(value) == {"b": 0, "a": [True, None]}


@pytest.mark.parametrize("rest", [b" garbage", b"{}", b"]"])
def test_what_follows_the_first_value_does_not_matter(rest: bytes) -> None:
    assert plain(read_json(b'{"a":1}' + rest)) == {"a": 1}


def test_bytes_that_are_no_text_and_half_surrogates_become_replacement_characters() -> None:
    assert plain(read_json(b'["a\xff\xe2\x82","\\ud800x","\\ud83d\\ude00"]')) == [
        "a\ufffd\ufffd\ufffd",
        "\ufffdx",
        "😀",
    ]


def test_deep_nesting_is_refused_before_it_is_read() -> None:
    deep = b"[" * 100_000
    with pytest.raises(JSONError, match=r"^invalid character '\[' exceeded max depth$"):
        read_json(deep)
    with pytest.raises(JSONError, match=r"^invalid character '\{' exceeded max depth$"):
        read_json(b'{"a":' * (MAXIMUM_DEPTH + 1) + b"1" + b"}" * (MAXIMUM_DEPTH + 1))


def test_brackets_that_do_not_nest_are_not_deep() -> None:
    many = b"[" + b",".join([b'"[[[\\""', b"[]", b"{}"] * 1_000) + b"]"
    assert len(read_json(many)) == 3_000


def test_a_mistake_far_into_a_large_text_is_found_without_walking_there() -> None:
    with pytest.raises(JSONError, match=r"^invalid character 'x' near offset 600\d\d\d$"):
        read_json(b'["' + b"a" * 600_000 + b'",x]')
    with pytest.raises(JSONError, match=r"^unexpected EOF$"):
        read_json(b'["' + b"a" * 600_000 + b'",')


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=12,
    ),
    st.booleans(),
)  # fmt: skip
def test_json_is_read_as_it_was_written(value: object, ascii_only: bool) -> None:
    assert plain(read_json(json.dumps(value, ensure_ascii=ascii_only).encode())) == value


@given(st.binary(max_size=30))
def test_any_bytes_are_a_value_or_a_json_error(body: bytes) -> None:
    with contextlib.suppress(JSONError):
        plain(read_json(body))
