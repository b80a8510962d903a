"""Load from wrk (https://github.com/wg/wrk), a process of its own."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import msgspec

from tests.servers.install import find

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_LATENCY = re.compile(r"^\s+(\d+(?:\.\d+)?)%\s+([\d.]+)(us|ms|s|m)$", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)$", re.MULTILINE)
_BAD = re.compile(r"(Non-2xx or 3xx responses: \d+|Socket errors: .*)")

READ_SERVICE = """
math.randomseed(os.time())
request = function() return wrk.format("GET", string.format("{path}", math.random(0, {services} - 1))) end
"""

WRITE_SERVICE = """
local count = 0
request = function()
  count = count + 1
  local service, instance = count % {services}, math.floor(count / {services}) % {instances}
  local body = string.format([[{body}]], service, instance, service, count)
  return wrk.format("PUT", "{path}", {{["Content-Type"] = "application/json"}}, body)
end
"""


class Load(msgspec.Struct, frozen=True):
    """What one run gave: requests a second, and latencies in seconds."""

    rate: float
    p50: float
    p99: float


class LoadFailedError(Exception):
    """Some requests failed, so the figures mean nothing."""


def run(url: str, script: str, *, connections: int, seconds: int, headers: tuple[str, ...] = ()) -> Load:
    """Put load on a server with one thread of wrk; every answer must be a 2xx."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "load.lua"
        path.write_text(script)
        command = [
            str(find("wrk", os.environ)),
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--latency",
            "-s",
            str(path),
        ]
        for header in headers:
            command += ["-H", header]
        done = subprocess.run([*command, url], capture_output=True, text=True, check=True, timeout=seconds + 60)
    if bad := _BAD.search(done.stdout):
        raise LoadFailedError(f"{url}: {bad[0]}")
    latencies = {float(share): float(value) * _SECONDS[unit] for share, value, unit in _LATENCY.findall(done.stdout)}
    rate = _RATE.search(done.stdout)
    if rate is None:
        raise LoadFailedError(f"{url}: wrk printed no rate:\n{done.stdout}")
    if not latencies.keys() >= {50.0, 99.0}:
        raise LoadFailedError(f"{url}: wrk printed no latencies:\n{done.stdout}")
    return Load(float(rate[1]), latencies[50.0], latencies[99.0])
