"""What was probably meant."""

from homeport.connections.near_miss import did_you_mean, near_miss


def test_a_close_word_is_found() -> None:
    assert near_miss("bilings", ["billing", "web", "api"]) == "billing"
    assert did_you_mean("tokn", ["token", "dc"]) == "; did you mean token?"


def test_nothing_close_is_nothing() -> None:
    assert near_miss("zzz", ["billing"]) == ""
    assert did_you_mean("zzz", ["billing"]) == "."
    assert near_miss("x", []) == ""
