"""Steps of a diagnosis: what they end with, and how they are shown."""

import asyncio
import re
import sys

import pytest

from homeport.cli.steps import (
    Details,
    Step,
    Warned,
    failed,
    outcome,
    retold,
    show_step,
    show_steps,
    skipped,
    tried,
    untried,
)
from homeport.errors import BackendUnavailable, HomeportError, PermissionDenied, Refused


def run(error: HomeportError | None = None) -> Step:
    async def work() -> tuple[str, Details]:
        if error is not None:
            raise error
        return "done", {"key": ["a", "b"]}

    return asyncio.run(tried("step", work))


def test_what_became_of_a_step() -> None:
    assert (run().state, run().text, run().details) == ("ok", "done", {"key": ["a", "b"]})
    denied = run(PermissionDenied("no"))
    assert (denied.state, denied.text, isinstance(denied.error, PermissionDenied)) == ("failed", "no", True)
    warned = run(Warned("soon"))
    assert (warned.state, warned.text, warned.error) == ("warning", "soon", None)


def test_a_step_that_takes_too_long() -> None:
    async def work() -> tuple[str, Details]:
        await asyncio.Event().wait()
        raise AssertionError

    step = asyncio.run(tried("step", work, timeout=0.001, backend="etcd://h"))
    assert isinstance(step.error, BackendUnavailable)
    assert step.text == "that took longer than 0.001 s"
    assert step.error.backend == "etcd://h"


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([], 0), ([Refused("x")], 1), ([PermissionDenied("x")], 4),
        ([BackendUnavailable("x"), PermissionDenied("x")], 3),
    ],
)  # fmt: skip
def test_the_first_failure_decides(errors: list[HomeportError], code: int) -> None:
    steps = [Step(name="a", text=""), skipped("b", ""), *(failed("c", error) for error in errors), untried("d", "c")]
    assert outcome(steps) == code


def test_more_may_be_said_of_a_failure() -> None:
    step = retold(failed("a", Refused("short", status=409), milliseconds=3.0), Refused("short", status=409), "long")
    assert (step.text, str(step.error), step.milliseconds) == ("long", "long", 3.0)
    assert isinstance(step.error, Refused)
    assert step.error.status == 409


STEPS = (
    Step(name="one", text="fine", milliseconds=1.5, details={"address": "h:1"}),
    Step(name="two", text="soon", state="warning", lines=("a line\x1b[31m",)),
    failed("three", Refused("no")),
    skipped("four", "none"),
    untried("five", "three"),
)


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    for step in STEPS:
        show_step(step, form="table", verbose=False)
    assert capsys.readouterr().out == (
        "✓ one         fine\n! two         soon\n              a line\N{REPLACEMENT CHARACTER}[31m\n"
        "✗ three       no\n- four        none\n"
    )
    show_step(STEPS[0], form="table", verbose=True)
    assert capsys.readouterr().out == "✓ one         fine (1.5 ms)\n              address: h:1\n"


def test_on_a_terminal_it_is_folded_below_its_own_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    show_step(Step(name="one", text="[red]word " * 6), form="table", verbose=False)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert lines[0].startswith("✓ one         [red]word ")
    assert len(lines) > 1
    assert all(len(line) <= 40 and line.startswith(" " * 14) for line in lines[1:])


def test_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    for step in STEPS:
        show_step(step, form="json", verbose=True)
    assert capsys.readouterr().out == ""
    show_steps([("etcd://h", step) for step in STEPS], form="json")
    assert '"backend": "etcd://h"' in (out := capsys.readouterr().out)
    assert [out.count(f'"state": "{state}"') for state in ("ok", "warning", "failed", "skipped", "untried")] == [1] * 5
    show_step(STEPS[2], form="ndjson", verbose=False)
    assert capsys.readouterr().out == (
        '{"step":"three","state":"failed","ok":false,"text":"no","milliseconds":0.0,"details":{}}\n'
    )
