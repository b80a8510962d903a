"""What a log record looks like."""

import json
import logging
import sys
from typing import Any

import pytest

from homeport.server.logs import formatter

SECRET = "s3cr3t-t0ken"


def record(message: str, *, error: bool = False, **fields: Any) -> logging.LogRecord:
    logger = logging.getLogger("homeport.some.room")
    exc_info: Any = None
    if error:
        token = SECRET
        try:
            raise RuntimeError("wires crossed") from ValueError(len(token))
        except RuntimeError:
            exc_info = sys.exc_info()
    return logger.makeRecord(logger.name, logging.WARNING, __file__, 1, message, (), exc_info, extra=fields)


def test_json_is_one_object_a_line_with_the_fields_of_the_record() -> None:
    line = formatter(as_json=True).format(record("a port\nis taken", port=8500, who='a "program"'))
    assert "\n" not in line
    shown = json.loads(line)
    assert shown.pop("timestamp").endswith("Z")
    assert shown == {
        "event": "a port\nis taken", "level": "warning", "logger": "homeport.some.room", "port": 8500,
        "who": 'a "program"',
    }  # fmt: skip


def test_text_shows_the_same() -> None:
    line = formatter(as_json=False).format(record("a port is taken", port=8500))
    for part in ("a port is taken", "warning", "homeport.some.room", "port=8500"):
        assert part in line
    assert "\x1b[" not in line
    assert "\x1b[" in formatter(as_json=False, colors=True).format(record("a port is taken"))


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_where_and_no_values(as_json: bool) -> None:
    line = formatter(as_json=as_json).format(record("a request failed", error=True))
    assert "wires crossed" in line
    assert "test_logs.py" in line
    assert "The above exception was the direct cause" in line
    assert SECRET not in line
