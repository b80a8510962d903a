"""The server's log: stdlib records with their fields, rendered by structlog to stderr, for people or for machines."""

from __future__ import annotations

import logging
import sys

import structlog

from .settings import ServerSettings


def configure(settings: ServerSettings) -> None:
    """Send all log records to stderr in the form that ``settings`` ask for; "auto" is text on a terminal, else JSON."""
    terminal = sys.stderr.isatty()
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not terminal)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(as_json=as_json, colors=terminal))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
    # Of start and end we tell ourselves, and with what it says of requests clients could fill a disk.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.access").disabled = True


def formatter(*, as_json: bool, colors: bool = False) -> logging.Formatter:
    """Renders a record: its message, level, logger, time in UTC, its own fields, and its traceback without values."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # The prettier renderers show the values of variables: tokens, too.
        last.append(structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback))
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)
