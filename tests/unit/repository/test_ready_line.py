import pytest

from tests.servers.homeport import parse_ready_line


def test_every_listener_is_read() -> None:
    line = "homeport ready http=127.0.0.1:8500 dns=[::1]:8600"
    assert parse_ready_line(line) == {"http": "127.0.0.1:8500", "dns": "[::1]:8600"}


@pytest.mark.parametrize(
    "line", ["", "homeport ready", "ready http=127.0.0.1:1", "homeport ready http", "INFO homeport ready http=a:1"]
)
def test_another_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="expected 'homeport ready http=HOST:PORT"):
        parse_ready_line(line)
