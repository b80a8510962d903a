"""Scripts as texts, as commands to execute. Pure."""

from __future__ import annotations

import re
import shlex

_TEXT_OPTION = {
    "sh": "-c", "bash": "-c", "dash": "-c", "ash": "-c", "ksh": "-c", "zsh": "-c", "python": "-c", "perl": "-e", "ruby":
    "-e", "node": "-e",
}  # fmt: skip
_VERSION = re.compile(r"[0-9.]+\Z")


def command_of(script: str) -> tuple[str, ...]:
    """The command that runs a script: by the interpreter that its first line names (``#!``), else by ``/bin/sh``.

    The script is handed over as an argument, so that no file has to be written.

    Raises:
        ValueError: the interpreter is not one that takes a script as an argument; the message says which do.
    """
    if not script.startswith("#!"):
        return ("/bin/sh", "-c", script)
    first_line = script.partition("\n")[0]
    words = shlex.split(first_line.removeprefix("#!"))
    program = words[1] if len(words) > 1 and words[0].endswith("/env") else words[0] if words else ""
    option = _TEXT_OPTION.get(_VERSION.sub("", program.rpartition("/")[2]))
    if option is None:
        known = ", ".join(_TEXT_OPTION)
        raise ValueError(
            f'"{first_line}" names no interpreter that takes a script as an argument ({known}); give a list of words'
        )
    return (*words, option, script)
