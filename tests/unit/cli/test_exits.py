"""Exit codes, and the line that goes with them."""

import pytest

from homeport import errors
from homeport.cli.exits import Failure, Misuse, complain, exit_code, say


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoInstances("x", service="s"), 1),
        (errors.Refused("x"), 1),
        (errors.Conflict("x"), 1),
        (errors.Unsupported("x"), 1),
        (errors.InvalidAnswer("x"), 1),
        (errors.LeaseLost("x"), 1),
        (errors.NotReady("x"), 1),
        (errors.SettingsError("x"), 1),
        (Failure("x"), 1),
        (errors.InvalidValue("x"), 2),
        (errors.MissingExtra("x", "cli"), 2),
        (Misuse("x"), 2),
        (errors.BackendUnavailable("x"), 3),
        (errors.PermissionDenied("x"), 4),
    ],
)
def test_each_error_has_its_code(error: errors.HomeportError, code: int) -> None:
    assert exit_code(error) == code


def test_an_error_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    say('a\nb\t"c"\x1b[31m\x07')
    assert capsys.readouterr().err == 'homeport: a b "c"[31m\n'


def test_only_debugging_shows_where(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOMEPORT_DEBUG", raising=False)
    complain(Failure("it failed"))
    assert capsys.readouterr().err == "homeport: it failed\n"
    monkeypatch.setenv("HOMEPORT_DEBUG", "1")
    complain(Failure("it failed"))
    shown = capsys.readouterr().err
    assert "Failure: it failed" in shown
    assert shown.endswith("homeport: it failed\n")
