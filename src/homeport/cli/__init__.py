"""The command ``homeport``: thin, one file a group of commands, what is printed apart from what is done.

Importing this package loads nothing of it: a bare core, which has the command but not its dependencies, must still be
able to say what is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_NEEDED = frozenset({"rich", "typer"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name; None takes that of this process) and return its exit code.

    0 done, 1 the operation failed or found nothing, 2 usage, 3 the backend is unreachable, 4 permission denied, 130 on
    Ctrl-C. An error is one line on stderr.
    """
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        from homeport.errors import MissingExtra

        sys.stderr.write(f"homeport: {MissingExtra('the command line', 'cli')}\n")
        return 2
    return run(sys.argv[1:] if arguments is None else arguments)
