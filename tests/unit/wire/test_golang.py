"""JSON and quoted texts byte for byte as Go prints them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.wire import consul, golang

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def test_what_could_end_a_script_element_is_escaped() -> None:
    assert golang.encode({"a": "<b> & \u2028\u2029 é"}) == (b'{"a":"\\u003cb\\u003e \\u0026 \\u2028\\u2029 \xc3\xa9"}')


def test_maps_are_sorted_by_the_bytes_of_their_keys_and_structs_keep_their_order() -> None:
    address = consul.ServiceAddress(address="a", port=1)
    assert golang.encode({"\U00010000": 1, "\uffff": 2, "b": address, "a": {"y": 1, "x": 2}}) == (
        '{"a":{"x":2,"y":1},"b":{"Address":"a","Port":1},"\uffff":2,"\U00010000":1}'.encode()
    )


def test_bytes_are_base64() -> None:
    assert golang.encode(consul.KeyValuePair(key="k", value=b"\x00\xff")) == (
        b'{"LockIndex":0,"Key":"k","Flags":0,"Value":"AP8=","CreateIndex":0,"ModifyIndex":0}'
    )


def test_pretty_is_indented_by_four_spaces_and_ends_with_a_newline() -> None:
    assert golang.pretty(b'{"a":{},"b":[],"c":[1,{"d":"x y"}]}').decode().splitlines(keepends=True) == [
        "{\n",
        '    "a": {},\n',
        '    "b": [],\n',
        '    "c": [\n',
        "        1,\n",
        "        {\n",
        '            "d": "x y"\n',
        "        }\n",
        "    ]\n",
        "}\n",
    ]


@given(JSON_VALUES)
def test_escapes_change_nothing_that_a_reader_sees(value: object) -> None:
    text = golang.encode(value)
    assert json.loads(text) == value
    assert json.loads(golang.pretty(text)) == value
    assert not set(text) & set(b"<>&")


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain é 😀", '"plain é 😀"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("\n\t\x01\x7f", '"\\n\\t\\x01\\x7f"'),
        ("\x85\u200b", '"\\u0085\\u200b"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("it's", '"it\'s"'),
    ],
)
def test_quote_is_gos_percent_q(text: str, quoted: str) -> None:
    assert golang.quote(text) == quoted


@pytest.mark.parametrize(("character", "quoted"), [("'", "'\\''"), ('"', "'\"'"), ("\x00", "'\\x00'"), ("ï", "'ï'")])
def test_a_character_is_quoted_singly(character: str, quoted: str) -> None:
    assert golang.quote_character(character) == quoted
