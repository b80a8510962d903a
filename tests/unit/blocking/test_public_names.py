"""What `import homeport.blocking` gives, and what it costs."""

import inspect
import re
import subprocess
import sys

import homeport.blocking


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_every_public_name_is_there_and_announced_to_type_checkers() -> None:
    announced = inspect.getsource(homeport.blocking).partition("if TYPE_CHECKING:")[2].partition("__all__")[0]
    for name in homeport.blocking.__all__:
        assert name in dir(homeport.blocking)
        assert getattr(homeport.blocking, name) is not None
        assert re.search(rf"[ ,]{name}[,\n]", announced), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(homeport.blocking, "Discoverey")


def test_importing_it_loads_neither_an_http_client_nor_an_event_loop() -> None:
    loaded = run_python(
        "import sys, homeport.blocking; "
        "print(*(name for name in ('asyncio', 'aiohttp', 'msgspec', 'ssl', 'threading') if name in sys.modules))"
    )
    assert loaded == ""


def test_only_the_import_line_changes() -> None:
    names = run_python(
        "from homeport.blocking import *; print(Discovery.__module__, Service.__module__, NoInstances.__module__)"
    )
    assert names == "homeport.blocking.discovery homeport.model homeport.errors"
