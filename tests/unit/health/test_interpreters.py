"""Scripts as commands."""

from __future__ import annotations

import pytest

from homeport.registry.health.file_checks.interpreters import command_of


def test_a_script_without_a_first_line_is_for_the_shell() -> None:
    assert command_of("curl -f http://x | grep ok") == ("/bin/sh", "-c", "curl -f http://x | grep ok")


@pytest.mark.parametrize(
    ("first_line", "command"),
    [
        ("#!/bin/bash", ("/bin/bash", "-c")),
        ("#! /bin/bash -eu", ("/bin/bash", "-eu", "-c")),
        ("#!/usr/bin/env bash", ("/usr/bin/env", "bash", "-c")),
        ("#!/usr/bin/env python3", ("/usr/bin/env", "python3", "-c")),
        ("#!/usr/bin/python3.11", ("/usr/bin/python3.11", "-c")),
        ("#!/usr/bin/perl -w", ("/usr/bin/perl", "-w", "-e")),
    ],
)
def test_the_first_line_names_the_interpreter(first_line: str, command: tuple[str, ...]) -> None:
    script = f"{first_line}\nexit 0\n"
    assert command_of(script) == (*command, script)


@pytest.mark.parametrize("first_line", ["#!/usr/bin/awk -f", "#!", "#!/usr/bin/env"])
def test_an_interpreter_that_takes_no_text_is_refused(first_line: str) -> None:
    with pytest.raises(ValueError, match="names no interpreter that takes a script"):
        command_of(f"{first_line}\nx")
