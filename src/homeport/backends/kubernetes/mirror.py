"""The Services, EndpointSlices, Pods and Leases of some namespaces, and the instances of any service among them; pure.

A name stands, in each namespace, for the Service of that name; where there is none, for the Services, and else for the
Pods, whose service-name label says it. A slice whose Service does not exist stands for the name that it says. With a
label selector only Services and Pods that match it are here, and such Pods are instances beside the endpoints.

The cost of a change grows with what changed: only the slices and Pods that it concerns are mapped anew, the others stay
where they are, and an instance that is the same stays the same object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from homeport.model import Instance
from homeport.spi import ServiceSummary

from . import mapping
from .facts import Key, LeaseFacts, PodFacts, ServiceFacts, SliceFacts
from .index import Index
from .joined import Joined, Origin, Part
from .lease_clock import LeaseClock
from .settings import ALL_NAMESPACES, KubernetesSettings

Facts = ServiceFacts | SliceFacts | PodFacts | LeaseFacts


class Mirror:
    """What is known of the cluster. Ids of instances outside the namespace ``home`` begin with their namespace.

    Without ``sees_leases`` nothing is known of leases, and none runs out.
    """

    def __init__(self, settings: KubernetesSettings, clock: LeaseClock, *, home: str, sees_leases: bool = True) -> None:
        self._settings = settings
        self._clock = clock
        self._home = home
        self.sees_leases = sees_leases
        self._services: dict[Key, ServiceFacts] = {}
        self._slices: dict[Key, SliceFacts] = {}
        self._pods: dict[Key, PodFacts] = {}
        self._leases: dict[Key, LeaseFacts] = {}
        self._expired: set[Key] = set()
        self._services_named: Index[str] = Index()
        self._services_labelled: Index[str] = Index()
        self._slices_of: Index[str] = Index()
        self._slices_with: Index[Key] = Index()  # by the pod
        self._pods_labelled: Index[str] = Index()
        self._joined: dict[str, Joined] = {}
        self._outdated: dict[str, set[Origin]] = {}  # the parts that have to be mapped anew, by name
        self._regrouped: set[str] = set()  # names to which other objects may belong now

    # what happened

    def put(self, one: Facts) -> set[str]:
        """An object is there, new or as before; the names of the services that may have changed."""
        if isinstance(one, ServiceFacts):
            touched = self._changed_service(self._services.get(one.key), one)
        elif isinstance(one, SliceFacts):
            touched = self._changed_slice(self._slices.get(one.key), one)
        elif isinstance(one, PodFacts):
            touched = self._changed_pod(self._pods.get(one.key), one)
        else:
            touched = self._saw_lease(one)
        return touched - {""}

    def remove(self, kind: type[Facts], key: Key) -> set[str]:
        """An object is gone; the names of the services that may have changed."""
        touched: set[str] = set()
        if kind is ServiceFacts and key in self._services:
            touched = self._changed_service(self._services[key], None)
        elif kind is SliceFacts and key in self._slices:
            touched = self._changed_slice(self._slices[key], None)
        elif kind is PodFacts and key in self._pods:
            touched = self._changed_pod(self._pods[key], None)
        elif kind is LeaseFacts and self._leases.pop(key, None) is not None:
            touched = self._runs_out(key)
        return touched - {""}

    def replace(self, kind: type[Facts], namespace: str, present: Iterable[Facts]) -> set[str]:
        """These are all objects of a kind in a namespace; the names of the services that may have changed."""
        touched: set[str] = set()
        keys = set()
        for one in present:
            keys.add(one.key)
            touched |= self.put(one)
        for key in [key for key in self._all(kind) if namespace in (ALL_NAMESPACES, key[0]) and key not in keys]:
            touched |= self.remove(kind, key)
        return touched

    def expire(self) -> tuple[set[str], float]:
        """Let run out what is due: the names of the services that changed, and the seconds until the next one is."""
        touched: set[str] = set()
        next_one = math.inf
        for key in self._kept():
            left = self._clock.left(key)
            if left is None or key in self._expired:
                continue
            if left > 0:
                next_one = min(next_one, left)
            else:
                touched |= self._runs_out(key)
        return touched - {""}, next_one

    # what is asked

    def instances(self, name: str) -> tuple[Instance, ...]:
        """All instances of a service, in the order of their ids; the same tuple as before if nothing changed."""
        joined = self._joined.get(name)
        if joined is None:
            joined = Joined(self._precedence, passing_only=self._settings.endpoints.passing_only)
            self._joined[name], self._outdated[name] = joined, set()
            self._regrouped.add(name)
        outdated = self._outdated[name]
        if name in self._regrouped:
            origins = self._origins(name)
            joined.replace({one: self._part(one, name, anew=one in outdated) for one in origins})
            self._regrouped.discard(name)
        elif outdated:
            joined.exchange({one: self._part(one, name, anew=True) for one in outdated})
        outdated.clear()
        return joined.instances

    def summaries(self, datacenter: str = "") -> list[ServiceSummary]:
        """All services by name, also those that have no instance now."""
        rows = []
        for name in sorted(self.names()):
            instances = within(self.instances(name), datacenter)
            rows.append(
                ServiceSummary(
                    name=name,
                    tags=tuple(sorted({tag for one in instances for tag in one.tags})),
                    instances=len(instances),
                    passing=sum(one.healthy for one in instances),
                )
            )
        return rows

    def names(self) -> set[str]:
        """The names of all services, such that each instance is one of some."""
        names = set()
        if self._settings.endpoints.enabled:
            names |= set(self._services_named.values())
            names |= {found.service for found in self._slices.values() if found.service and self._counts(found)}
        for name in self._pods_labelled.values():
            with_service = self._with_service(name)
            if any(
                key[0] not in with_service and self._pods[key].address and not self._slices_with[key]
                for key in self._pods_labelled[name]
            ):
                names.add(name)
        return names

    def aliases(self, name: str) -> list[str]:
        """The names of the Services whose slices belong to ``name``, itself included."""
        return sorted({name, *(service for _, service in self._services_labelled[name])})

    def counts_pods(self, namespace: str, name: str) -> bool:
        """Whether pods with that name as their label are instances in a namespace."""
        return namespace == ALL_NAMESPACES or namespace not in self._with_service(name)

    def pod_selectors(self, namespace: str, name: str) -> set[str]:
        """Which pods the endpoints of a service stand for; "" for any."""
        selectors = set()
        for origin in self._origins(name):
            found = self._slices.get(origin[1]) if origin[0] is SliceFacts and self._belongs(origin, name) else None
            if found is not None and namespace in (ALL_NAMESPACES, found.key[0]) and _pods_of(found):
                service = self._services.get((found.key[0], found.service))
                selector = service.selector if service else {}
                selectors.add(",".join(f"{key}={value}" for key, value in sorted(selector.items())))
        return selectors

    def registered(self) -> bool:
        """Whether any slice is a registration."""
        return any(found.registration for found in self._slices.values())

    # how a change is taken over

    def _changed_service(self, old: ServiceFacts | None, new: ServiceFacts | None) -> set[str]:
        if old == new:
            return set()
        one = new or old
        assert one is not None
        label = self._settings.labels.service_name
        namespace, name = one.key
        if old is not None:
            self._services_named.remove(name, one.key)
            self._services_labelled.remove(old.labels.get(label, ""), one.key)
            del self._services[one.key]
        if new is not None:
            self._services[one.key] = new
            self._services_named.add(name, one.key)
            self._services_labelled.add(new.labels.get(label, ""), one.key)
        touched = {name, *(facts.labels.get(label, "") for facts in (old, new) if facts)}
        for key in self._slices_of[name]:
            if key[0] == namespace:
                self._outdate(touched, (SliceFacts, key))
        self._regrouped |= touched & self._joined.keys()
        return touched

    def _changed_slice(self, old: SliceFacts | None, new: SliceFacts | None) -> set[str]:
        if old == new:
            return set()
        touched = set()
        if old is not None:
            touched |= self._names_of(old)
            self._slices_of.remove(old.service, old.key)
            for pod in _pods_of(old):
                self._slices_with.remove(pod, old.key)
            del self._slices[old.key]
        if new is not None:
            self._slices[new.key] = new
            self._slices_of.add(new.service, new.key)
            for pod in _pods_of(new):
                self._slices_with.add(pod, new.key)
            self._await_lease(new)
            touched |= self._names_of(new)
        elif old is not None:
            self._expired.discard(old.key)
        one = new or old
        assert one is not None
        self._outdate(touched, (SliceFacts, one.key))
        if old is not None and new is not None and old.family != new.family:
            self._regrouped |= touched & self._joined.keys()
        return touched

    def _changed_pod(self, old: PodFacts | None, new: PodFacts | None) -> set[str]:
        if old == new:
            return set()
        one = new or old
        assert one is not None
        label = self._settings.labels.service_name
        touched = set()
        if old is not None:
            self._pods_labelled.remove(old.labels.get(label, ""), one.key)
            del self._pods[one.key]
            touched.add(old.labels.get(label, ""))
        if new is not None:
            self._pods[one.key] = new
            self._pods_labelled.add(new.labels.get(label, ""), one.key)
            touched.add(new.labels.get(label, ""))
        self._outdate(touched, (PodFacts, one.key))
        for key in self._slices_with[one.key]:
            touched |= self._remade(key)
        return touched

    def _saw_lease(self, lease: LeaseFacts) -> set[str]:
        self._leases[lease.key] = lease
        self._clock.saw(lease)
        left = self._clock.left(lease.key)
        if lease.key not in self._expired or left is None or left <= 0:
            return set()
        self._expired.discard(lease.key)
        return self._remade(lease.key)

    def _await_lease(self, found: SliceFacts) -> None:
        """A registration whose lease is not here yet is good for as long as one lease would be."""
        if not found.registration or found.key in self._leases:
            return
        registration = mapping.registration_of(found.registration)
        if registration is not None and registration.ttl is not None:
            duration = math.ceil(registration.ttl)
            self._clock.saw(LeaseFacts(key=found.key, holder=registration.incarnation, duration=duration, renewed=""))

    def _runs_out(self, key: Key) -> set[str]:
        if key not in self._slices:
            return set()
        self._expired.add(key)
        return self._remade(key)

    def _remade(self, key: Key) -> set[str]:
        found = self._slices.get(key)
        touched = self._names_of(found) if found is not None else set()
        self._outdate(touched, (SliceFacts, key))
        return touched

    def _kept(self) -> Iterator[Key]:
        """The slices that a lease decides on."""
        if self.sees_leases:
            for key, found in self._slices.items():
                if found.registration and (key in self._leases or mapping.has_lease(found.registration)):
                    yield key

    def _outdate(self, names: set[str], origin: Origin) -> None:
        """What these names have from there has to be mapped anew."""
        for name in names & self._outdated.keys():
            self._outdated[name].add(origin)

    def _names_of(self, found: SliceFacts) -> set[str]:
        """The names that a slice counts for."""
        service = self._services.get((found.key[0], found.service))
        label = service.labels.get(self._settings.labels.service_name, "") if service else ""
        return {found.service, label}

    def _all(self, kind: type[Facts]) -> Iterable[Key]:
        stores: dict[type[Facts], Iterable[Key]] = {
            ServiceFacts: self._services,
            SliceFacts: self._slices,
            PodFacts: self._pods,
            LeaseFacts: self._leases,
        }
        return stores[kind]

    # how an answer is made

    def _origins(self, name: str) -> Iterator[Origin]:
        """The objects that may name instances of a service."""
        for key in self._slices_of[name]:
            yield SliceFacts, key
        for namespace, service in self._services_labelled[name]:
            for key in self._slices_of[service]:
                if key[0] == namespace:
                    yield SliceFacts, key
        for key in self._pods_labelled[name]:
            yield PodFacts, key

    def _part(self, origin: Origin, name: str, *, anew: bool) -> Part:
        """The instances of a service that an object names; those that are as before are the same objects."""
        if not self._belongs(origin, name):
            return {}
        former = self._joined[name].part(origin)
        if former and not anew:
            return former
        part = self._mapped(origin, name)
        return {key: former[key] if former.get(key) == one else one for key, one in part.items()} if former else part

    def _belongs(self, origin: Origin, name: str) -> bool:
        """Whether instances of an object are instances of a service."""
        kind, key = origin
        label = self._settings.labels.service_name
        if kind is PodFacts:
            pod = self._pods.get(key)
            return (
                pod is not None
                and bool(pod.address)
                and pod.labels.get(label) == name
                and key[0] not in self._with_service(name)
            )
        found = self._slices.get(key)
        if found is None or not self._settings.endpoints.enabled:
            return False
        if found.service == name:
            return self._counts(found)
        service = self._services.get((key[0], found.service))
        return service is not None and service.labels.get(label) == name and (key[0], name) not in self._services

    def _counts(self, found: SliceFacts) -> bool:
        """Whether a slice is of a Service that is seen, or of none."""
        known = (found.key[0], found.service) in self._services
        return known or bool(found.registration) or not self._settings.label_selector

    def _family(self, found: SliceFacts) -> str:
        service = self._services.get((found.key[0], found.service))
        return service.families[0] if service and service.families else "IPv4"

    def _precedence(self, origin: Origin) -> tuple[bool, str, bool, Key]:
        """The slices before the Pods, by their namespaces, those of the preferred family of addresses first."""
        kind, key = origin
        found = self._slices.get(key) if kind is SliceFacts else None
        return kind is PodFacts, key[0], found is not None and found.family != self._family(found), key

    def _mapped(self, origin: Origin, name: str) -> dict[str, Instance]:
        kind, key = origin
        prefix = self._prefix(key[0])
        if kind is PodFacts:
            one = mapping.pod_instance(name, self._pods[key], self._settings, prefix=prefix)
            return {one.id: one}
        found = self._slices[key]
        if found.registration:
            registered = mapping.registered_instance(
                found, expired=key in self._expired, datacenter=self._settings.datacenter, prefix=prefix
            )
            return {registered.id: registered} if registered is not None else {}
        service = self._services.get((key[0], found.service))
        return mapping.endpoint_instances(name, found, service, self._pods, self._settings, prefix=prefix)

    def _with_service(self, name: str) -> set[str]:
        """The namespaces in which a name stands for Services alone."""
        if self._settings.label_selector or not self._settings.endpoints.enabled:
            return set()
        return {namespace for namespace, _ in (*self._services_named[name], *self._services_labelled[name])}

    def _prefix(self, namespace: str) -> str:
        return "" if namespace == self._home else f"{namespace}/"


def within(found: tuple[Instance, ...], datacenter: str) -> tuple[Instance, ...]:
    """The instances of that datacenter; "" is all of them."""
    return tuple([one for one in found if one.datacenter == datacenter]) if datacenter else found


def _pods_of(found: SliceFacts) -> set[Key]:
    return {
        (one.target_ref.namespace or found.key[0], one.target_ref.name)
        for one in found.endpoints
        if one.target_ref is not None and one.target_ref.kind == "Pod"
    }
