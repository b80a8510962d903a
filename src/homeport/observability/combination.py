"""Several observers as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

from homeport.client.observing import Guarded
from homeport.spi import Observer


def combined(*observers: Observer) -> Observer:
    """An observer that tells each of ``observers``, in this order; one that raises does not keep the others from it."""
    return _Combination(tuple(Guarded(observer) for observer in observers))


class _Combination:
    def __init__(self, observers: tuple[Guarded, ...]) -> None:
        self._observers = observers

    def operation(self, name: str, labels: Mapping[str, str]) -> AbstractContextManager[None]:
        return self._within(name, labels)

    @contextmanager
    def _within(self, name: str, labels: Mapping[str, str]) -> Iterator[None]:
        with ExitStack() as blocks:
            for observer in self._observers:
                blocks.enter_context(observer.operation(name, labels))
            yield

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        for observer in self._observers:
            observer.count(name, labels, amount)

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
        for observer in self._observers:
            observer.gauge(name, labels, value)
