"""An adapter without its library says what to install."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("adapter", "library", "extra"),
    [("prometheus", "prometheus_client", "prometheus"), ("opentelemetry", "opentelemetry", "opentelemetry")],
)
def test_the_extra_is_named(adapter: str, library: str, extra: str) -> None:
    program = f"import sys; sys.modules[{library!r}] = None; import homeport.observability.{adapter}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    expected = f"homeport.observability.{adapter} needs an optional dependency: pip install 'homeport[{extra}]'"
    assert done.stderr.splitlines()[-1] == f"homeport.errors.MissingExtra: {expected}"


def test_the_client_loads_neither() -> None:
    program = (
        "import sys; import homeport.client.discovery, homeport.client.reports, homeport.observability; "
        "print([name for name in ('prometheus_client', 'opentelemetry') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
