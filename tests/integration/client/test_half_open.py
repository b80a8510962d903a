"""A network that goes dead without a word, in a namespace of its own."""

import os
import subprocess
import sys

import pytest

from tests.servers.process import clean_environment

PATIENCE = 240


def test_a_connection_that_is_half_open_is_noticed_long_before_its_query_is_over() -> None:
    try:
        probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("this needs a network namespace, and there is no unshare")
    if probe.returncode:
        pytest.skip(f"this needs a network namespace: {probe.stderr.strip()}")
    environment = clean_environment({"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)})
    command = ["unshare", "--net", sys.executable, "-m", "tests.integration.client.half_open"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("homeport ready")]
    assert lines == ["watching", "stale", "confirmed"]
