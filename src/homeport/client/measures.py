"""What the client measures: the catalogue of names and labels that an `homeport.spi.Observer` is told.

Told when, and through which method of `homeport.client.reports.Reports`:

- ``registered_services_total``: a registration of this program stands, or stands no more. `standing`
- ``service_registration_duration``, ``registrations_total``: around each registering at the backend, also when it is
  made again. `registering`
- ``lease_losses_total``: a registration is found lost. `lease_lost`
- ``service_discovery_duration``: around `Discovery.discover`, `resolve` and `services`. `discovering`
- ``discovery_cache_hits_total``, ``discovery_cache_misses_total``: a question is answered from memory, or the backend
  has to be asked first. `looked_up`
- ``healthy_services_total``, ``watch_stale_seconds``: a watch of the backend believes something new, or ends.
  `believed`, `forgotten`
- ``watch_reconnects_total``: a watch that failed is begun anew. `reconnecting`
- ``backend_errors_total``: a call of the backend raised a `BackendError`. `registering`, `discovering`, `asking`,
  `failed`
- ``call_duration``: around each attempt of a call of an instance. `calling`
- ``retries_total``: a second or later attempt of a call has ended, or the budget forbade it. `retried`
- ``hedges_total``: a call is made a second time since the first takes long. `hedged`
- ``ejections_total``, ``ejected_instances``: the verdicts on the instances of a service changed. `ejected`
- ``circuit_state``: the circuit of a service changed its state. `circuit`

The names of document 004 (``registered_services_total`` and the like) are kept to the letter, also where today's custom
would choose others. Durations are seconds.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["counter", "gauge", "age", "histogram"]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is measured.

    A ``counter`` is told by ``count``, a ``histogram`` by ``operation``, a ``gauge`` and an ``age`` by ``gauge``. The
    value told for an ``age`` is a Unix time, what is shown is how many seconds ago that was; 0 is told for "not now",
    and shown as 0. ``labels`` are those that are kept apart; an observer leaves out what else it is told. The
    label ``outcome`` of a histogram is added by the observer: ``success``, ``failure`` when the operation raised, or
    ``cancelled``. ``span`` names the span of an operation in a trace, with labels in braces.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    span: str = ""


REGISTERED = Measure(
    name="registered_services_total",
    kind="gauge",
    help="Number of instances that this program has registered and keeps alive.",
    labels=("backend", "datacenter"),
)
REGISTRATION_DURATION = Measure(
    name="service_registration_duration",
    kind="histogram",
    help="Time taken to register a service, in seconds.",
    labels=("backend",),
    span="homeport.register",
)
REGISTRATIONS = Measure(
    name="registrations_total",
    kind="counter",
    help="Number of attempts to register a service, by success or failure.",
    labels=("backend", "outcome"),
)
LEASE_LOSSES = Measure(
    name="lease_losses_total",
    kind="counter",
    help="Number of times that a registration of this program was lost.",
    labels=("service", "backend"),
)
DISCOVERY_DURATION = Measure(
    name="service_discovery_duration",
    kind="histogram",
    help="Service discovery lookup time, in seconds.",
    labels=("backend", "query_type"),
    span="homeport.{query_type}",
)
CACHE_HITS = Measure(
    name="discovery_cache_hits_total",
    kind="counter",
    help="Number of lookups that were answered from memory.",
    labels=("backend",),
)
CACHE_MISSES = Measure(
    name="discovery_cache_misses_total",
    kind="counter",
    help="Number of lookups for which the backend had to be asked.",
    labels=("backend",),
)
HEALTHY = Measure(
    name="healthy_services_total",
    kind="gauge",
    help="Number of healthy instances of a service that this program watches.",
    labels=("service", "backend"),
)
WATCH_STALE = Measure(
    name="watch_stale_seconds",
    kind="age",
    help="For how long the backend has not confirmed what is known of a service, in seconds; 0 while it does.",
    labels=("service", "backend"),
)
WATCH_RECONNECTS = Measure(
    name="watch_reconnects_total",
    kind="counter",
    help="Number of times that the watch of a service was begun anew after a failure.",
    labels=("service", "backend"),
)
BACKEND_ERRORS = Measure(
    name="backend_errors_total",
    kind="counter",
    help="Number of failures of a backend, by the operation and the class of the error.",
    labels=("backend", "operation", "cause"),
)
CALL_DURATION = Measure(
    name="call_duration",
    kind="histogram",
    help="Duration of the calls of instances, in seconds, by success or failure.",
    labels=("service", "outcome"),
    span="homeport.call",
)
RETRIES = Measure(
    name="retries_total",
    kind="counter",
    help="Number of calls that were made again, by how that ended; those that the budget forbade are refused.",
    labels=("service", "outcome"),
)
HEDGES = Measure(
    name="hedges_total",
    kind="counter",
    help="Number of calls that were made a second time since the first took long.",
    labels=("service",),
)
EJECTIONS = Measure(
    name="ejections_total",
    kind="counter",
    help="Number of times that an instance was left out for its failures.",
    labels=("service",),
)
EJECTED = Measure(
    name="ejected_instances",
    kind="gauge",
    help="Number of instances that are left out for their failures.",
    labels=("service",),
)
CIRCUIT_STATE = Measure(
    name="circuit_state",
    kind="gauge",
    help="State of the circuit of a service: 0 closed, 1 half open, 2 open.",
    labels=("service",),
)

MEASURES: tuple[Measure, ...] = (
    REGISTERED,
    REGISTRATION_DURATION,
    REGISTRATIONS,
    LEASE_LOSSES,
    DISCOVERY_DURATION,
    CACHE_HITS,
    CACHE_MISSES,
    HEALTHY,
    WATCH_STALE,
    WATCH_RECONNECTS,
    BACKEND_ERRORS,
    CALL_DURATION,
    RETRIES,
    HEDGES,
    EJECTIONS,
    EJECTED,
    CIRCUIT_STATE,
)
"""Every measure of the client."""
