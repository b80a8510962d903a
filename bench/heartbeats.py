"""Ten thousand TTL heartbeats a second for a minute."""

import asyncio
import json
import urllib.request
from typing import Any

from . import wrk
from .raw_client import put_all
from .results import Table
from .rounds import number
from .systems import System, homeport, processor_seconds

CHECKS, CONNECTIONS, SECONDS, TTL = 10_000, 135, 60, 15
SCRIPT = """
local count = 0
request = function()
  count = (count + 1) % {checks}
  return wrk.format("PUT", "/v1/agent/check/pass/service:beat-" .. count)
end
delay = function() return 10 end
"""


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """No check may expire, and nothing may be written."""
    with homeport() as system:
        asyncio.run(
            put_all(system.address, [("/v1/agent/service/register", _service(number_)) for number_ in range(CHECKS)])
        )
        before = _index(system)
        used = processor_seconds(system.pid)
        load = wrk.run(system.url, SCRIPT.format(checks=CHECKS), connections=CONNECTIONS, seconds=SECONDS)
        used = processor_seconds(system.pid) - used
        after = _index(system)
        critical = len(_read(system, "/v1/health/state/critical"))
    rows = [
        ["heartbeats/s", number(load.rate), "≥ 10 000"],
        ["p99, ms", number(load.p99 * 1e3), ""],
        ["processor time of the server, share of a core", f"{used / SECONDS:.0%}", ""],
        ["checks that expired", str(critical), f"0 {'reached' if not critical else '**missed**'}"],
        ["writes", str(after - before), f"0 {'reached' if after == before else '**missed**'}"],
    ]
    text = (
        f"{CHECKS:,} TTL checks of {TTL} s, passed over {CONNECTIONS} connections for {SECONDS} s (wrk's delay paces)."
    )
    return [Table("Heartbeats", text, rows, ["what", "Homeport", "target"])]


def _service(number_: int) -> dict[str, Any]:
    check = {"TTL": f"{TTL}s", "Status": "passing"}
    return {"ID": f"beat-{number_}", "Name": f"beat-{number_ % 100}", "Port": 8080, "Check": check}


def _index(system: System) -> int:
    with urllib.request.urlopen(f"{system.url}/v1/health/state/any", timeout=30) as response:
        return int(response.headers["X-Consul-Index"])


def _read(system: System, path: str) -> list[Any]:
    with urllib.request.urlopen(f"{system.url}{path}", timeout=30) as response:
        rows: list[Any] = json.loads(response.read())
    return rows
