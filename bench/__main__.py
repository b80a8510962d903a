"""``python -m bench [NAME …] [--rounds N] [--seconds N]``: measure, print, and write ``bench/RESULTS.md``."""

import argparse
import importlib
import sys

from . import results

NAMES = (
    "reads",
    "writes",
    "watchers",
    "propagation",
    "client",
    "blocking",
    "http_clients",
    "balancing",
    "balancing_processes",
    "scale",
    "checks",
    "heartbeats",
    "commands",
    "sources",
    "kubernetes",
    "dns",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds of each comparison (5)")
    parser.add_argument("--seconds", type=int, default=6, help="length of one load (6)")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no measurement called {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in arguments.names or NAMES:
        print(f"— {name}", file=sys.stderr, flush=True)
        module = importlib.import_module(f"bench.{name}")
        tables = module.measure(rounds=arguments.rounds, seconds=arguments.seconds)
        results.write(tables)
        for table in tables:
            print(f"\n{table.title}\n\n{results.render(table)}\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
