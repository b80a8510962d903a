"""Loads: what is counted by address, and when it is forgotten."""

import threading

from homeport.balancing import Loads, LoadTable


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_has_one_load_for_all() -> None:
    table = LoadTable()
    assert Loads(table).of("10.0.0.1:80") is Loads(table).of("10.0.0.1:80")
    assert table.of("10.0.0.1:80") is not table.of("10.0.0.1:81")


def test_calls_of_many_threads_are_all_counted() -> None:
    table = LoadTable()
    load = table.of("10.0.0.1:80")

    def work() -> None:
        for number in range(2000):
            table.end(load, table.begin(load), succeeded=number % 2 == 0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (load.in_flight, load.successes, load.failures) == (0, 4000, 4000)


def test_who_is_gone_unused_and_idle_is_forgotten() -> None:
    clock = Clock()
    table = LoadTable(clock)
    stays, goes, busy, recent = (table.of(f"10.0.0.{number}:80") for number in range(4))
    table.begin(busy)
    clock.now = 400.0
    table.end(recent, table.begin(recent), succeeded=True)
    clock.now = 500.0
    table.retain({"10.0.0.0:80"}, unused_for=300.0)
    assert table.of("10.0.0.0:80") is stays
    assert table.of("10.0.0.1:80") is not goes
    assert table.of("10.0.0.2:80") is busy
    assert table.of("10.0.0.3:80") is recent


def test_the_mean_duration_counts_what_ended_in_success_or_failure() -> None:
    clock = Clock()
    table = LoadTable(clock)
    load = table.of("10.0.0.1:80")
    assert load.latency is None
    for seconds, succeeded in ((1.0, True), (3.0, False), (100.0, None)):
        began_at = table.begin(load)
        clock.now += seconds
        table.end(load, began_at, succeeded=succeeded)
    assert load.latency == 2.0
