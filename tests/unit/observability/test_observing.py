"""An observer may fail; the client never notices."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest

from homeport.client.observing import NO_OBSERVER, Guarded
from homeport.observability import combined
from tests.unit.observability.recording import Recording


class Raising:
    """Raises wherever it is told."""

    def __init__(self, *, where: str) -> None:
        self.where = where

    def operation(self, name: str, labels: Mapping[str, str]) -> AbstractContextManager[None]:
        if self.where == "operation":
            raise RuntimeError("operation is broken")
        return self._block()

    @contextmanager
    def _block(self) -> Iterator[None]:
        if self.where == "enter":
            raise RuntimeError("enter is broken")
        try:
            yield
        finally:
            if self.where == "exit":
                raise RuntimeError("exit is broken")

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        if self.where == "count":
            raise RuntimeError("count is broken")

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
        if self.where == "gauge":
            raise RuntimeError("gauge is broken")


class Swallowing(Recording):
    """Its blocks want to swallow what the work raises."""

    @contextmanager
    def _block(self, name: str, labels: dict[str, str]) -> Iterator[None]:
        try:
            yield
        except ValueError:
            self.told.append(("operation", name, labels, "swallowed"))


@pytest.mark.parametrize("where", ["operation", "enter", "exit", "count", "gauge"])
def test_what_an_observer_raises_is_logged_once_and_goes_no_further(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    guarded = Guarded(Raising(where=where))
    done = 0
    for _ in range(3):
        with guarded.operation("call_duration", {}):
            done += 1
        guarded.count("retries_total", {})
        guarded.gauge("circuit_state", {}, 1)
    assert done == 3
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == f"{where} is broken"


@pytest.mark.parametrize("where", ["operation", "enter", "exit"])
def test_the_error_of_the_work_comes_out_of_a_broken_block(where: str) -> None:
    with pytest.raises(ValueError, match="the work failed"), Guarded(Raising(where=where)).operation("x", {}):
        raise ValueError("the work failed")


def test_a_block_cannot_swallow_the_error_of_the_work(caplog: pytest.LogCaptureFixture) -> None:
    observer = Swallowing()
    with pytest.raises(ValueError, match="the work failed"), Guarded(observer).operation("x", {}):
        raise ValueError("the work failed")
    assert observer.told == [("operation", "x", {}, "swallowed")]
    assert not caplog.records


def test_an_observer_that_works_is_told_everything(caplog: pytest.LogCaptureFixture) -> None:
    observer = Recording()
    guarded = Guarded(observer)
    with guarded.operation("a", {"service": "api"}):
        pass
    with pytest.raises(KeyError), guarded.operation("a", {}):
        raise KeyError
    guarded.count("b", {"x": "1"}, 2.0)
    guarded.gauge("c", {}, 3.0)
    assert observer.told == [
        ("operation", "a", {"service": "api"}, None),
        ("operation", "a", {}, "KeyError"),
        ("count", "b", {"x": "1"}, 2.0),
        ("gauge", "c", {}, 3.0),
    ]
    assert not caplog.records


def test_nobody_is_told_without_an_observer() -> None:
    with pytest.raises(ValueError, match="the work failed"), NO_OBSERVER.operation("a", {}):
        raise ValueError("the work failed")
    NO_OBSERVER.count("b", {})
    NO_OBSERVER.gauge("c", {}, 1.0)


def test_every_one_of_several_observers_is_told_also_if_another_raises(caplog: pytest.LogCaptureFixture) -> None:
    first, last = Recording(), Recording()
    observer = combined(first, Raising(where="operation"), Raising(where="count"), Raising(where="gauge"), last)
    with pytest.raises(KeyError), observer.operation("a", {}):
        raise KeyError
    observer.count("b", {})
    observer.gauge("c", {}, 3.0)
    assert first.told == last.told
    assert [what for what, *_ in first.told] == ["operation", "count", "gauge"]
    assert len(caplog.records) == 3
