"""What `import homeport` gives, and what it costs."""

import inspect
import subprocess
import sys
from types import ModuleType

import homeport


def test_the_list_of_public_names_is_sorted_and_complete() -> None:
    assert homeport.__all__ == sorted(set(homeport.__all__))
    for name in homeport.__all__:
        value = getattr(homeport, name)
        assert not isinstance(value, ModuleType)
        assert name in dir(homeport)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(homeport, "Discoverey")


def test_every_public_name_is_announced_to_type_checkers() -> None:
    announced = inspect.getsource(homeport).partition("if TYPE_CHECKING:")[2].partition("__version__")[0]
    for name in homeport.__all__:
        assert name == "__version__" or f" {name}\n" in announced or f" {name},\n" in announced, name


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_it_loads_neither_an_http_client_nor_an_event_loop() -> None:
    loaded = run_python(
        "import sys, homeport; "
        "print(*(name for name in ('asyncio', 'aiohttp', 'msgspec', 'ssl') if name in sys.modules))"
    )
    assert loaded == ""


def test_the_model_and_the_errors_load_no_event_loop_either() -> None:
    loaded = run_python(
        "import sys; from homeport import HTTPCheck, Service, NoInstances, diff; "
        "print(*(name for name in ('asyncio', 'aiohttp', 'ssl') if name in sys.modules))"
    )
    assert loaded == ""


def test_star_import_gives_the_public_names() -> None:
    names = run_python("from homeport import *; print(Discovery.__name__, Service.__name__, NoInstances.__name__)")
    assert names == "Discovery Service NoInstances"
