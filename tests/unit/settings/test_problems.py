"""All that is wrong with a section, not only the first thing."""

from typing import Annotated, Any

import msgspec
import pytest

from homeport.errors import SettingsError
from homeport.settings import lines, problems
from homeport.settings.shapes import Place
from homeport.settings.templates import filled, places


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    size: Annotated[int, msgspec.Meta(ge=1)] = 1
    pause: float = 1.0


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise SettingsError("section.name is bad")


def found(written: object) -> list[str]:
    return [str(error) for error in problems(written, Shape, Place("h.yaml", "section"))]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"name": "x"}, []),
        (None, ["h.yaml: section.name is missing"]),
        ([], ["h.yaml: section is a list; give its keys below it"]),
        ({"name": "bad"}, ["h.yaml: section.name is bad"]),
        (
            {"nam": "x", "inner": {"size": 0, "pause": "soon", "siez": 1}, "many": [{"size": 2}, {"size": "x"}, 5]},
            [
                "h.yaml: section.nam is not a setting; did you mean section.name?",
                "h.yaml: section.inner.size is 0; give a whole number, at least 1",
                'h.yaml: section.inner.pause is "soon"; give a duration such as "10s", or seconds',
                "h.yaml: section.inner.siez is not a setting; did you mean section.inner.size?",
                'h.yaml: section.many[1].size is "x"; give a whole number, at least 1',
                "h.yaml: section.many[2] is 5; give its keys below it",
            ],
        ),
        ({"name": "x", "many": "y"}, ['h.yaml: section.many is "y"; give a list']),
    ],
)
def test_everything_is_found(written: object, expected: list[str]) -> None:
    assert found(written) == expected


def test_each_key_and_item_has_its_line() -> None:
    text = "a:\n  b:\n    - c: 1\n      d: 2\n    - e\n---\na: 1\n"
    assert lines(text) == [
        {"a": 1, "a.b": 2, "a.b[0]": 3, "a.b[0].c": 3, "a.b[0].d": 4, "a.b[1]": 5},
        {"a": 7},
    ]
    assert lines("a: [") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://{{ .x }}:{{.y}}/", "http://[::1]:80/"),
        ("{{- .x -}}", "::1"),
        ("{ .x } ${HOME}", "{ .x } ${HOME}"),
        ('{{ env "A" }}', "env A"),
    ],
)
def test_places_are_filled(text: str, expected: str) -> None:
    values: dict[str, Any] = {".x": "::1", ".y": "80", 'env "A"': "env A"}
    assert filled(text, values.__getitem__) == expected


def test_places_are_told_as_they_are_written() -> None:
    assert list(places("a {{ .x }} b {{.y}}")) == [("{{ .x }}", ".x"), ("{{.y}}", ".y")]
