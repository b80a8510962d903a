"""What the client tells its observer: one method for each thing that happens.

The names and labels of the measures stand here and in `measures`, and nowhere else in the client.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, TypeAlias

from homeport.errors import BackendError
from homeport.spi import Observer

from . import measures
from .observing import NO_OBSERVER, Guarded

QueryType: TypeAlias = Literal["discover", "fetch", "resolve", "services"]
CircuitStanding: TypeAlias = Literal["closed", "half_open", "open"]
RetryOutcome: TypeAlias = Literal["success", "failure", "refused"]

_ASK_THE_BACKEND: frozenset[QueryType] = frozenset({"fetch", "services"})
_NO_LABELS: dict[str, str] = {}
_CIRCUIT_VALUES: dict[CircuitStanding, float] = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


class FailedOutcome(Exception):
    """The failure of a call whose block raised nothing; given to the end of a `Reports.calling` block, never raised."""


class Reports:
    """Tells one observer what one `Discovery` does on the backend ``backend``; may be used from any thread.

    ``datacenter`` is that of the registrations, "" for the backend's own. An observer of None is nobody. None of the
    methods raises. ``observed`` is whether anybody is told.
    """

    __slots__ = ("_backend", "_datacenter", "_observer", "_registered", "observed")

    def __init__(self, observer: Observer | None, *, backend: str, datacenter: str = "") -> None:
        self._observer = NO_OBSERVER if observer is None else Guarded(observer)
        self._backend = {"backend": backend}
        self._datacenter = datacenter
        self._registered: set[str] = set()
        self.observed = observer is not None

    # registering

    @contextmanager
    def registering(self, service: str) -> Iterator[None]:
        """A block that registers ``service``, for the first time or again."""
        outcome = "failure"
        try:
            with self._asking("register", measures.REGISTRATION_DURATION.name, {**self._backend, "service": service}):
                yield
            outcome = "success"
        finally:
            self._observer.count(measures.REGISTRATIONS.name, {**self._backend, "outcome": outcome})

    def standing(self, service_id: str, *, stands: bool) -> None:
        """The registration of that id stands now, or does not stand any more."""
        if stands:
            self._registered.add(service_id)
        else:
            self._registered.discard(service_id)
        labels = {**self._backend, "datacenter": self._datacenter}
        self._observer.gauge(measures.REGISTERED.name, labels, float(len(self._registered)))

    def lease_lost(self, service: str) -> None:
        """A registration was found lost."""
        self._observer.count(measures.LEASE_LOSSES.name, {"service": service, **self._backend})

    # finding

    def discovering(self, query_type: QueryType, *, service: str = "") -> AbstractContextManager[None]:
        """A block that answers a question: ``fetch`` is `discover` that asks the backend in any case.

        What fails at the backend is counted for ``fetch`` and ``services``; the other questions are put to a watch,
        which tells of its failures itself.
        """
        labels = {**self._backend, "query_type": query_type, "service": service}
        if query_type in _ASK_THE_BACKEND:
            return self._asking(query_type, measures.DISCOVERY_DURATION.name, labels)
        return self._observer.operation(measures.DISCOVERY_DURATION.name, labels)

    def looked_up(self, *, hit: bool) -> None:
        """A question is answered from memory (a hit), or the backend has to be asked first."""
        measure = measures.CACHE_HITS if hit else measures.CACHE_MISSES
        self._observer.count(measure.name, self._backend)

    # watching

    def believed(self, service: str, *, healthy: int, stale_since: float | None, backend: str = "") -> None:
        """A watch believes in so many healthy instances, unconfirmed since a Unix time or not."""
        labels = {"service": service, "backend": backend or self._backend["backend"]}
        self._observer.gauge(measures.HEALTHY.name, labels, float(healthy))
        self._observer.gauge(measures.WATCH_STALE.name, labels, stale_since or 0.0)

    def forgotten(self, service: str, *, backend: str = "") -> None:
        """A watch has ended: nothing is known of the service any more."""
        labels = {"service": service, "backend": backend or self._backend["backend"]}
        for measure in (measures.HEALTHY, measures.WATCH_STALE):
            self._observer.gauge(measure.name, labels, math.nan)

    def reconnecting(self, service: str, *, backend: str = "") -> None:
        """A watch that failed is begun anew."""
        labels = {"service": service, "backend": backend or self._backend["backend"]}
        self._observer.count(measures.WATCH_RECONNECTS.name, labels)

    @contextmanager
    def asking(self, operation: str) -> Iterator[None]:
        """A block that calls the backend for something that is not timed, such as ``renew`` or ``deregister``."""
        try:
            yield
        except BackendError as error:
            self.failed(operation, error)
            raise

    def failed(self, operation: str, error: BaseException, *, backend: str = "") -> None:
        """A call of the backend failed; what is not its failure is not counted."""
        if isinstance(error, BackendError):
            labels = {
                "backend": backend or self._backend["backend"],
                "operation": operation,
                "cause": type(error).__name__,
            }
            self._observer.count(measures.BACKEND_ERRORS.name, labels)

    # calling

    def calling(self, service: str, endpoint: str) -> AbstractContextManager[None]:
        """A block that is one attempt of a call of the instance at ``host:port``.

        One that fails without raising anything ends with a `FailedOutcome`.
        """
        if not self.observed:
            return NO_OBSERVER.operation("", _NO_LABELS)
        return self._observer.operation(measures.CALL_DURATION.name, {"service": service, "endpoint": endpoint})

    def retried(self, service: str, outcome: RetryOutcome) -> None:
        """A call was made again and ended so, or was not made again for want of budget."""
        self._observer.count(measures.RETRIES.name, {"service": service, "outcome": outcome})

    def hedged(self, service: str) -> None:
        """A call is made a second time since the first takes long."""
        self._observer.count(measures.HEDGES.name, {"service": service})

    def ejected(self, service: str, *, newly: int, now: int) -> None:
        """So many instances were left out just now, and so many are left out in all."""
        labels = {"service": service}
        if newly:
            self._observer.count(measures.EJECTIONS.name, labels, float(newly))
        self._observer.gauge(measures.EJECTED.name, labels, float(now))

    def circuit(self, service: str, state: CircuitStanding) -> None:
        """The circuit of a service stands so now."""
        self._observer.gauge(measures.CIRCUIT_STATE.name, {"service": service}, _CIRCUIT_VALUES[state])

    @contextmanager
    def _asking(self, operation: str, name: str, labels: dict[str, str]) -> Iterator[None]:
        with self.asking(operation), self._observer.operation(name, labels):
            yield
