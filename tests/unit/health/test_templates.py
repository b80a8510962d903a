"""Places for the values of an instance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.registry.health.file_checks.templates import Unsafe, check_places, fill, fill_command

VALUES = {"address": "10.0.0.1", "port": "80", "id": "web-1", "name": "web", "node": "n1"}
IPV6 = {**VALUES, "address": "2001:db8::1"}


def test_places_are_filled_however_they_are_spaced() -> None:
    text = "http://{{ .address }}:{{.port}}/{{- .id -}}/{{ .name }}?{{ .node }}"
    assert fill(text, VALUES) == "http://10.0.0.1:80/web-1/web?n1"


def test_an_ipv6_address_gets_brackets_where_a_port_follows() -> None:
    assert fill("http://{{ .address }}:{{ .port }}/", IPV6) == "http://[2001:db8::1]:80/"
    assert fill("pg_isready -h {{ .address }} -p {{ .port }}", IPV6) == "pg_isready -h 2001:db8::1 -p 80"


@pytest.mark.parametrize("text", ["{{ .host }}", "{{ address }}", "{{ .meta.x }}", "{{ }}"])
def test_a_place_for_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"stands for nothing; there are \.address, \.port"):
        check_places(text)


def test_braces_of_other_languages_are_left_alone() -> None:
    check_places("awk '{print $5}' ${MEMORY} { }")
    assert fill("awk '{print $5}'", VALUES) == "awk '{print $5}'"


@pytest.mark.parametrize(
    "evil", ["$(reboot)", "`reboot`", "a b", "a;b", "a'b", 'a"b', "a\nb", "-rf", "", "a|b", "a&b", "*"]
)
def test_what_a_shell_would_obey_does_not_get_into_a_command(evil: str) -> None:
    with pytest.raises(Unsafe, match="the address of this instance"):
        fill_command("curl {{ .address }}", {**VALUES, "address": evil})


def test_values_that_are_not_used_do_not_matter() -> None:
    assert fill_command("curl {{ .address }}", {**VALUES, "id": "$(reboot)"}) == "curl 10.0.0.1"


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]*", fullmatch=True))
def test_plain_words_get_into_a_command(word: str) -> None:
    assert fill_command("x {{ .id }}", {**VALUES, "id": word}) == f"x {word}"
