"""Ten thousand HTTP checks every ten seconds while ten thousand reads a second are served."""

import asyncio
import multiprocessing
import socket
import time
from collections import defaultdict
from itertools import pairwise
from multiprocessing.connection import Connection as Pipe
from typing import Any, ClassVar, cast

import uvloop

from . import wrk
from .raw_client import put_all
from .results import Table
from .rounds import number, percentile
from .systems import homeport, processor_seconds

CHECKS, INTERVAL, SECONDS, CONNECTIONS, SERVICES = 10_000, 10, 45, 125, 1000
READ = wrk.READ_SERVICE + "delay = function() return 10 end\n"


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """How late the checks begin."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    port = listener.getsockname()[1]
    target = context.Process(target=_target, args=(listener, there))
    target.start()
    try:
        with homeport() as system:
            requests: list[tuple[str, object]] = [
                ("/v1/agent/service/register", _service(n, port)) for n in range(CHECKS)
            ]
            asyncio.run(put_all(system.address, requests))
            time.sleep(INTERVAL)  # every check has begun at its own time
            here.send("count")
            used = processor_seconds(system.pid)
            script = READ.format(path="/v1/health/service/checked-%d?passing=1", services=SERVICES)
            load = wrk.run(system.url, script, connections=CONNECTIONS, seconds=SECONDS)
            used = processor_seconds(system.pid) - used
            here.send("report")
            probes, late = here.recv()
    finally:
        target.terminate()
        target.join(10)
        listener.close()
    delay = percentile(late, 0.99)
    rows = [
        ["checks begun/s", number(probes / SECONDS), number(CHECKS / INTERVAL)],
        ["reads/s meanwhile", number(load.rate), "10 000"],
        ["read p99, ms", number(load.p99 * 1e3), ""],
        ["start delay p50, ms", number(percentile(late, 0.5) * 1e3), ""],
        ["start delay p99, ms", number(delay * 1e3), f"≤ 250 {'reached' if delay <= 0.25 else '**missed**'}"],
        ["processor time of the server, share of a core", f"{used / SECONDS:.0%}", ""],
    ]
    text = (
        f"{CHECKS:,} HTTP checks every {INTERVAL} s against one target process. The start delay is how far "
        f"the time between two "
        f"arrivals of the same check at the target is from {INTERVAL} s; the target and the load share the second core."
    )
    return [Table("Checks beside reads", text, rows, ["what", "Homeport", "target"])]


def _service(number_: int, port: int) -> dict[str, Any]:
    check = {
        "HTTP": f"http://127.0.0.1:{port}/{number_}",
        "Interval": f"{INTERVAL}s",
        "Timeout": "5s",
        "Status": "passing",
    }
    return {"ID": f"checked-{number_}", "Name": f"checked-{number_ % SERVICES}", "Port": port, "Check": check}


class _Checked(asyncio.Protocol):
    """Answers 200 to everything and notes when it came."""

    arrivals: ClassVar[defaultdict[bytes, list[float]]] = defaultdict(list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.arrivals[data.split(b" ", 2)[1]].append(time.monotonic())
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def _target(listener: socket.socket, pipe: Pipe) -> None:
    uvloop.run(_serve(listener, pipe))


async def _serve(listener: socket.socket, pipe: Pipe) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(_Checked, sock=listener, backlog=4096)
    await loop.run_in_executor(None, pipe.recv)
    begun = time.monotonic()
    await loop.run_in_executor(None, pipe.recv)
    ended = time.monotonic()
    late: list[float] = []
    probes = 0
    for times in _Checked.arrivals.values():
        counted = [at for at in times if begun <= at <= ended]
        probes += len(counted)
        late += [abs(after - before - INTERVAL) for before, after in pairwise(counted)]
    pipe.send((probes, late))
