"""Observers as the client calls them: one that is nobody, and one that cannot do harm."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType

from homeport.spi import Observer

_log = logging.getLogger(__name__)


class _Nothing(AbstractContextManager[None]):
    """A block that nobody is told about."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


_NOTHING = _Nothing()


class _NoObserver:
    """Is told everything and does nothing."""

    __slots__ = ()

    def operation(self, name: str, labels: Mapping[str, str]) -> AbstractContextManager[None]:  # noqa: ARG002
        return _NOTHING

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        pass

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
        pass


NO_OBSERVER: Observer = _NoObserver()
"""Stands where no observer was given."""


class Guarded:
    """An observer whose defects stay its own: what it raises is logged, the first time only, and nothing else happens.

    Its blocks never swallow an exception of the work within, whatever the observer returns.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._lock = threading.Lock()
        self._logged = False

    def operation(self, name: str, labels: Mapping[str, str]) -> AbstractContextManager[None]:
        """See `homeport.spi.Observer`."""
        try:
            return _GuardedBlock(self._observer.operation(name, labels), self)
        except Exception as error:  # noqa: BLE001 - whatever a foreign observer raises
            self.failed(error)
            return _NOTHING

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        """See `homeport.spi.Observer`."""
        try:
            self._observer.count(name, labels, amount)
        except Exception as error:  # noqa: BLE001 - whatever a foreign observer raises
            self.failed(error)

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """See `homeport.spi.Observer`."""
        try:
            self._observer.gauge(name, labels, value)
        except Exception as error:  # noqa: BLE001 - whatever a foreign observer raises
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Note that the observer raised."""
        with self._lock:
            first, self._logged = not self._logged, True
        if first:
            _log.error(
                "an observer failed; what it measures is incomplete, and its further failures are not logged",
                exc_info=error,
                extra={"observer": type(self._observer).__qualname__},
            )


class _GuardedBlock(AbstractContextManager[None]):
    __slots__ = ("_block", "_guard")

    def __init__(self, block: AbstractContextManager[None], guard: Guarded) -> None:
        self._block: AbstractContextManager[None] | None = block
        self._guard = guard

    def __enter__(self) -> None:
        assert self._block is not None
        try:
            self._block.__enter__()
        except Exception as error:  # noqa: BLE001 - whatever a foreign observer raises
            self._block = None
            self._guard.failed(error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._block is None:
            return
        try:
            self._block.__exit__(kind, error, traceback)
        except Exception as failure:  # noqa: BLE001 - whatever a foreign observer raises
            # A block may raise the error of the work again, as generators do; that is no defect.
            if failure is not error:
                self._guard.failed(failure)
