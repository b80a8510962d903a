"""A round: one process observes while this one writes."""

import itertools
import multiprocessing
import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe

import msgspec

from .observers import Observer
from .systems import System

START_TIMEOUT = 60.0
LAST_TIMEOUT = 10.0
SETTLING = 0.3
POLLED_SPREAD = 0.25
# The median of a few dozen delays up to 100 ms is uncertain by 10 ms.
POLLED_LENGTH = 6
PORTS = itertools.count(10_000)
MOST_PORTS = 50_000


class Delays(msgspec.Struct, frozen=True):
    """Seconds from each change to its sight, and how many changes were never seen."""

    values: list[float]
    missed: int


def observed(observer: Observer, system: System, *, seconds: int) -> Callable[[], Delays]:
    """One round: change what the observer watches for so many seconds."""

    def run() -> Delays:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_observe, args=(observer, there))
        process.start()
        there.close()
        try:
            if not here.poll(START_TIMEOUT):
                raise TimeoutError(f"{observer} saw nothing for {START_TIMEOUT:g} s")
            here.recv()
            time.sleep(SETTLING)
            sent = _write(system, seconds)
            here.send(max(sent))
            seen: dict[int, float] = here.recv()
        finally:
            here.close()
            process.join()
        delays = [seen[port] - at for port, at in sent.items() if port in seen]
        return Delays(delays, len(sent) - len(delays))

    return run


def _write(system: System, seconds: int) -> dict[int, float]:
    """Make changes, and tell when each was made, by its port.

    At a steady rate they would come again and again at the same few phases of who asks at intervals.
    """
    sent: dict[int, float] = {}
    spread = POLLED_SPREAD if system.polled else 0.0
    end = time.monotonic() + seconds * (POLLED_LENGTH if system.polled else 1)
    due = time.monotonic()
    while time.monotonic() < end:
        port = next(PORTS)
        sent[port] = system.write(port)
        due = max(due + system.spacing * random.uniform(1 - spread, 1 + spread), time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    return sent


def _observe(observer: Observer, pipe: Pipe) -> None:
    """The entry of the process: tells that it saw anything, is told the last port, and tells when it saw each."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    news = threading.Condition()
    seen: dict[int, float] = {}

    def saw(port: int) -> None:
        at = time.monotonic()
        with news:
            if seen.setdefault(port, at) == at:
                if len(seen) == 1:
                    pipe.send("ready")
                news.notify()

    def watch() -> None:
        try:
            observer(saw)
        except Exception:  # noqa: BLE001 - it is shown, and the round ends
            traceback.print_exc()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    try:
        last = pipe.recv()
        with news:
            news.wait_for(lambda: last in seen, LAST_TIMEOUT)
        pipe.send(seen)
    except EOFError:  # the one who asked is gone
        pass
    finally:
        # With the commands that it may have started.
        os.killpg(0, signal.SIGKILL)
