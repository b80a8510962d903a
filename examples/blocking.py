"""Without an event loop: register this program, call a service from several threads, and be told of changes."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

from homeport.blocking import Call, Discovery, Snapshot

log = logging.getLogger("example")


def tell(snapshot: Snapshot) -> None:  # runs on a thread of its own, and may use the API as well
    log.info("%d instances of billing", len(snapshot))


def fetch(call: Call) -> int:
    with urlopen(call.url("/"), timeout=5) as response:
        call.observe(status=response.status)
        return int(response.status)


def main() -> None:
    with (
        Discovery() as discovery,
        discovery.register("invoicing", address="127.0.0.1", port=8080, tags=["production"]) as registration,
        discovery.watch("billing", on_change=tell) as billing,
    ):
        log.info("registered %s", registration.id)
        with ThreadPoolExecutor(4) as pool:  # one object serves all threads
            statuses = [pool.submit(billing.perform, fetch, idempotent=True) for _ in range(8)]
            log.info("answers: %s", [status.result() for status in statuses])
        with billing.call() as call:  # or one call by hand: normal end is a success, an exception a failure
            log.info("%s answered %d", call.instance.id, fetch(call))


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    main()
