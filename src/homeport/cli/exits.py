"""How a command ends: its exit code, and the one line that says why."""

from __future__ import annotations

import os
import sys
import traceback

from homeport.errors import (
    BackendUnavailable,
    HomeportError,
    InvalidValue,
    MissingExtra,
    PermissionDenied,
    SettingsError,
)

DONE = 0
FAILED = 1
MISUSED = 2
UNREACHABLE = 3
DENIED = 4
INTERRUPTED = 130
READER_GONE = 141
"""What a shell reports for a program that SIGPIPE ended (128 + 13)."""


class Misuse(HomeportError):
    """The command line itself cannot be right; nothing was done."""


class Failure(HomeportError):
    """The operation failed, or found nothing; the message says which, and what to do."""


def exit_code(error: HomeportError) -> int:
    """The exit code that an error means."""
    if isinstance(error, BackendUnavailable):
        return UNREACHABLE
    if isinstance(error, PermissionDenied):
        return DENIED
    if isinstance(error, SettingsError):
        return FAILED
    if isinstance(error, Misuse | MissingExtra | InvalidValue):
        return MISUSED
    return FAILED


def say(text: str) -> None:
    """One line for people on stderr; line breaks and control characters of what others sent do not get through."""
    line = " ".join(text.split())
    sys.stderr.write(f"homeport: {''.join(one for one in line if one.isprintable())}\n")
    sys.stderr.flush()


def complain(error: BaseException, text: str = "") -> None:
    """Say what went wrong; with ``HOMEPORT_DEBUG=1`` also where."""
    if os.environ.get("HOMEPORT_DEBUG") == "1":
        traceback.print_exception(error)
    say(text or str(error))
