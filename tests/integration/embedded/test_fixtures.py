"""The fixtures that are shipped, as the tests of somebody else use them; and what loading them costs."""

import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).with_name("sample_service_tests.py")


def test_the_sample_of_the_documentation_passes(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["homeport.testing.fixtures"]')
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(test_sample=SAMPLE.read_text(encoding="utf-8"))
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-W", "error")
    result.assert_outcomes(passed=6)


def test_a_registry_is_the_test_s_own_and_ends_with_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["homeport.testing.fixtures"]')
    pytester.makepyfile(
        """
        import asyncio, threading, urllib.request

        def test_one(homeport_registry):
            urllib.request.urlopen(f"{homeport_registry.http_url}/v1/status/leader").close()
            request = urllib.request.Request(
                f"{homeport_registry.http_url}/v1/agent/service/register", b'{"Name": "api"}', method="PUT")
            urllib.request.urlopen(request).close()

        def test_other(homeport_registry):
            assert urllib.request.urlopen(f"{homeport_registry.http_url}/v1/agent/services").read().strip() == b"{}"

        def test_nothing_is_left():
            assert not [one for one in threading.enumerate() if one.name.startswith("homeport")]
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:asyncio")
    result.assert_outcomes(passed=3)


def test_loading_the_fixtures_loads_nothing_heavy() -> None:
    program = (
        "import sys, homeport.testing.fixtures, homeport.testing\n"
        "heavy = {'aiohttp', 'uvicorn', 'structlog', 'homeport.client', 'homeport.server', 'homeport.testing.memory'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
