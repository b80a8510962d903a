"""Names and ids in the paths of Consul's API."""

import pytest

from homeport.backends.consul.api import quoted
from homeport.errors import InvalidValue


@pytest.mark.parametrize("text", ["", ".", "..", "a//b", "/a", "a/", "a/../b"])
def test_what_a_server_would_take_away_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="cannot be asked for over HTTP"):
        quoted(text)


@pytest.mark.parametrize("text", ["tab\there", "line\n", "\0", "zero\u200bwidth", "\x7f"], ids=ascii)
def test_what_a_server_refuses_in_every_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="characters that cannot be printed are refused"):
        quoted(text)


@pytest.mark.parametrize(
    ("text", "path"), [("web", "web"), ("a b/c", "a%20b%2Fc"), ("ü", "%C3%BC"), ("..a", "..a"), ("x%2Fy", "x%252Fy")]
)
def test_everything_else_is_one_part_of_a_path(text: str, path: str) -> None:
    assert quoted(text) == path
