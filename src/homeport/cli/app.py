"""The root of the command line: which commands there are, and how each of them ends."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections import UserDict
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from homeport.errors import HomeportError, MissingExtra

from .exits import FAILED, INTERRUPTED, MISUSED, READER_GONE, complain, exit_code
from .output import ReaderGone

COMMANDS = {
    "serve": "serve",
    "register": "register",
    "deregister": "register",
    "agent": "agent",
    "list": "discover",
    "find": "discover",
    "describe": "discover",
    "watch": "watch",
    "health": "health",
    "health-check": "health",
    "health-update": "health",
    "health-list": "health",
    "health-history": "health",
    "health-summary": "health",
    "status": "status",
    "test-connection": "status",
    "config-check": "config_check",
    "source": "source",
    "debug": "debug",
}
"""Every command, and the module here that has it. It is imported when its command is used, or help is asked for."""

_HELP = ["-h", "--help"]

_EXTRAS = {
    "rich": "cli", "typer": "cli",
    "uvicorn": "server", "structlog": "server", "httptools": "server", "uvloop": "server",
}  # fmt: skip


class LazyCommands(UserDict[str, Any]):
    """The commands by name, each made when it is looked up."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(COMMANDS))

    def __getitem__(self, name: str) -> Any:
        if super().__getitem__(name) is None:
            module = import_module(f"{__package__}.{COMMANDS[name]}")
            group = typer.main.get_group(module.app)
            for one, command in group.commands.items():
                for each in (command, *getattr(command, "commands", {}).values()):
                    each.help = unwrapped(each.help)
                    without_type_of_flags(each.get_params(typer.Context(each, help_option_names=_HELP)))
                self.data[one] = command
        return super().__getitem__(name)


class LazyGroup(typer.core.TyperGroup):
    """A group whose commands are imported when they are used."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = LazyCommands()
        self.help = unwrapped(self.help)
        without_type_of_flags(self.get_params(typer.Context(self, help_option_names=_HELP)))


def without_type_of_flags(options: Iterable[Any]) -> None:
    """A flag takes no value, so that its help names no type (typer would write ``<bool>``)."""
    for option in options:
        if getattr(option, "is_flag", False):
            option.metavar = ""


def unwrapped(text: str | None) -> str:
    """A help text whose paragraphs are one line each, to be wrapped to the reader's width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n"))


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": _HELP},
    epilog="\n\n".join(  # noqa: FLY002 - one line each
        (
            "Order of the day:",
            "$ homeport serve",
            "$ homeport register web --port 8000 -- python -m http.server 8000",
            "$ homeport watch web --follow",
            "Exit codes: 0 done, 1 failed or found nothing, 2 usage, 3 backend unreachable, 4 permission denied.",
        )
    ),
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> int:
    """Service discovery: a registry, and everything to register with it, look into it and follow it.

    The backend is --backend, else HOMEPORT_BACKEND, DISCOVERY_PROVIDER or CONSUL_HTTP_ADDR, else that of the settings
    file, else the registry on this host.
    """
    if version:
        from homeport import __version__

        sys.stdout.write(f"homeport {__version__}\n")
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(MISUSED)
    return 0


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; every error has become a line on stderr."""
    _open_streams()
    _quiet_libraries()
    try:
        return _flushed(_run(arguments))
    except (BrokenPipeError, ReaderGone):
        # Nobody reads any more. What is still buffered must not fail again when the interpreter ends.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE


def _run(arguments: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    try:
        outcome = command.main(list(arguments), prog_name="homeport", standalone_mode=False)
    except typer.TyperException as error:
        complain(error, _usage(error, arguments))
        return error.exit_code
    except HomeportError as error:
        complain(error)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except ReaderGone:
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: a person sees a sentence, not a traceback
        missing = _missing_extra(error)
        if missing is not None:
            complain(error, str(missing))
            return exit_code(missing)
        complain(error, f"unexpected {type(error).__name__}: {error}. HOMEPORT_DEBUG=1 shows where; please report it.")
        return FAILED
    return outcome if isinstance(outcome, int) else 0


def _missing_extra(error: Exception) -> MissingExtra | None:
    """What to install, if ``error`` says that a module of an extra is missing."""
    extra = _EXTRAS.get((error.name or "").partition(".")[0]) if isinstance(error, ModuleNotFoundError) else None
    if extra is None:
        return None
    return MissingExtra('"homeport serve"' if extra == "server" else "the command line", extra)


def _usage(error: typer.TyperException, arguments: Sequence[str]) -> str:
    """A usage error as one sentence that says where help is."""
    message = error.format_message().replace("Value error, ", "").replace("Input should be", "it must be").rstrip(".")
    context = getattr(error, "ctx", None)
    named = " ".join(["homeport", *(one for one in arguments[:1] if one in COMMANDS)])
    path = context.command_path if context is not None else named
    closing = "" if message.endswith("?") else "."
    return f'{message[:1].lower()}{message[1:]}{closing} See "{path} --help".'


def _open_streams() -> None:
    """The null device for what was closed (``>&-``), whose number else the next file or connection would take."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until the process ends


def _quiet_libraries() -> None:
    """Log records are for programs; a command says what a person has to know itself. Debugging shows them all."""
    if os.environ.get("HOMEPORT_DEBUG") == "1":
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    else:
        logging.getLogger().addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _flushed(code: int) -> int:
    sys.stdout.flush()
    return code
