"""A Eureka server's registry, as its deltas tell it: for tests of who follows them."""

from collections import Counter
from collections.abc import Mapping
from random import Random

import msgspec

from homeport.backends.eureka.api import EurekaAPI, Reading
from homeport.backends.eureka.contents import Member
from homeport.backends.eureka.settings import EurekaSettings
from homeport.errors import HomeportError
from homeport.model import Instance
from homeport.wire import eureka as wire


def read(one: Member) -> Mapping[str, Instance]:
    """One of Eureka's instances as Homeport's."""
    if isinstance(one, wire.Unreadable):
        return {}
    app = (one.app or "").lower()
    assert isinstance(one.port, wire.Port)
    return {app: Instance(id=one.id, service=app, address=one.host_name or "", port=one.port.number or 0)}


class RegistryServer(EurekaAPI):
    """Takes registrations, and answers as a server does; what it is asked is counted.

    `forget` drops the changes of before from its deltas, `lose` everything; `failure` is raised instead of an answer.
    """

    def __init__(self, *, origin: str = "http://one", seed: int = 0) -> None:
        super().__init__(EurekaSettings())
        self.origin = origin
        self.offers_deltas = True
        self.failure: HomeportError | None = None
        self.asked: Counter[str] = Counter()
        self.registered: dict[tuple[str, str], wire.InstanceInfo] = {}
        self._changes: list[wire.InstanceInfo] = []
        self._version = 0
        self._time = 1
        self._random = Random(seed)

    @property
    def statuses(self) -> Counter[str]:
        """How many instances of each status there are."""
        return Counter(info.status or "" for info in self.registered.values())

    def add(self, app: str, instance_id: str, *, port: int = 1, status: str = wire.UP) -> None:
        """Register or replace an instance."""
        self._time += 1
        lease = wire.LeaseInfo(registered_at=self._time)
        info = wire.InstanceInfo(
            instance_id=instance_id,
            host_name="h",
            app=app,
            port=wire.Port(number=port),
            status=status,
            lease_info=lease,
        )
        self._changed(info, wire.ADDED)

    def set_status(self, app: str, instance_id: str, status: str) -> None:
        """Set the status of an instance, if it is there."""
        known = self.registered.get((app, instance_id))
        if known is not None:
            self._changed(msgspec.structs.replace(known, status=status), wire.MODIFIED)

    def cancel(self, app: str, instance_id: str) -> None:
        """Remove an instance, if it is there."""
        known = self.registered.pop((app, instance_id), None)
        if known is not None:
            self._changes.append(msgspec.structs.replace(known, action_type=wire.DELETED))

    def forget(self, keep: int = 0) -> None:
        """Tell only the last so many changes from now on."""
        self._changes = self._changes[len(self._changes) - keep :]

    def lose(self) -> None:
        """Begin anew, with nothing."""
        self.registered.clear()
        self._changes.clear()
        self._version = 0

    async def applications(self, *, purpose: str) -> Reading:
        """Everything."""
        self._answer("whole")
        found = wire.encode_applications(self.registered.values(), version=1, hashcode=wire.hashcode(self.statuses))
        return Reading(wire.decode_applications(found), self.origin)

    async def delta(self, *, purpose: str) -> Reading | None:
        """One entry for each instance that changed, in any order, with its latest state."""
        self._answer("delta")
        if not self.offers_deltas:
            return None
        latest = list({((info.app or ""), info.id): info for info in self._changes}.values())
        self._random.shuffle(latest)
        self._version += 1
        found = wire.encode_applications(latest, version=self._version, hashcode=wire.hashcode(self.statuses))
        return Reading(wire.decode_applications(found), self.origin)

    def _answer(self, question: str) -> None:
        self.asked[question] += 1
        if self.failure is not None:
            raise self.failure

    def _changed(self, info: wire.InstanceInfo, action: str) -> None:
        info = msgspec.structs.replace(info, action_type=action)
        self.registered[(info.app or "", info.id)] = info
        self._changes.append(info)
