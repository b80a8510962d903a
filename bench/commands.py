"""Commands from start to finish, and imports."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from tests.servers.install import find

from . import population
from .results import Table, ratio_row
from .rounds import Spread, alternate, ratios
from .systems import both


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """``homeport list`` beside ``consul catalog services``, and ``import homeport``."""
    rounds = max(rounds, 9)
    with both() as systems:
        for system in systems.values():
            population.fill(system.address, services=20, instances=2)
        ours = [
            sys.executable,
            "-m",
            "homeport",
            "list",
            "--format",
            "json",
            "--backend",
            f"homeport://{systems['Homeport'].address}",
        ]
        theirs = [str(find("consul", os.environ)), "catalog", "services", f"-http-addr={systems['Consul'].address}"]
        commands = alternate({"Homeport": _timed(ours), "Consul": _timed(theirs)}, rounds)
    imports = alternate(
        {"import": _timed([sys.executable, "-c", "import homeport"]), "bare": _timed([sys.executable, "-c", "pass"])},
        rounds,
    )
    listing = ratios(commands["Homeport"], commands["Consul"])
    rows = [
        ratio_row(
            "`homeport list --format json` / `consul catalog services`, ms", _ms(commands["Homeport"]),
            _ms(commands["Consul"]), listing, target="stated",
        ),
        ["`import homeport` (with the interpreter's start), ms", _ms(imports["import"]).text(), "", "", "stated"],
        ["the interpreter's start alone, ms", _ms(imports["bare"]).text(), "", "", ""],
    ]  # fmt: skip
    return [Table("Commands", "Whole processes, wall time; 20 services of 2 instances.", rows)]


def _timed(command: Sequence[str]) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began

    return run


def _ms(values: Sequence[float]) -> Spread:
    return Spread.of([value * 1e3 for value in values])
