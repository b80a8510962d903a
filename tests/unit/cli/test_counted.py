"""The numbers of instances where a list of services does not tell them."""

from collections.abc import Sequence

from homeport.cli.lookup import COUNT_TIMEOUT, MOST_COUNTED, Counted, counted
from homeport.errors import PermissionDenied
from homeport.spi import Observed, ServiceSummary
from tests.unit.client.scripted_backend import ScriptedBackend, instance
from tests.unit.client.virtual_time import now, run


class Reluctant(ScriptedBackend):
    """Lists names and tags only, and denies or delays the reading of some services; it tells who was read at once."""

    def __init__(self, *, denied: str = "", slow: str = "") -> None:
        super().__init__()
        self._denied = denied
        self._slow = slow
        self.reading = 0
        self.most_reading = 0

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        if service == self._denied:
            raise PermissionDenied(f'"{service}" may not be read.')
        self.latency = 3600.0 if service == self._slow else 0.1
        self.reading += 1
        self.most_reading = max(self.reading, self.most_reading)
        try:
            return await super().fetch(service, datacenter=datacenter)
        finally:
            self.reading -= 1


def numbers(backend: ScriptedBackend, names: Sequence[str] = ("api", "billing")) -> Counted:
    """What is found out about services of which only the names are known."""
    return run(counted(backend, [ServiceSummary(name=name, tags=("eu",)) for name in names]))


def filled(backend: ScriptedBackend) -> ScriptedBackend:
    backend.put("api", instance("a", "api"))
    backend.put("billing", instance("b"), instance("c", status="critical"))
    return backend


def test_they_are_read_service_by_service() -> None:
    found = numbers(filled(Reluctant()))
    assert found == Counted(
        [
            ServiceSummary(name="api", tags=("eu",), instances=1, passing=1),
            ServiceSummary(name="billing", tags=("eu",), instances=2, passing=1),
        ]
    )


def test_what_the_list_tells_is_not_read() -> None:
    backend = filled(ScriptedBackend())
    told = ServiceSummary(name="api", instances=7, passing=6)
    assert run(counted(backend, [told])) == Counted([told])
    mixed = run(counted(backend, [told, ServiceSummary(name="billing")])).summaries
    assert [(one.instances, one.passing) for one in mixed] == [(7, 6), (2, 1)]
    assert backend.asked == {"fetch billing": 1}


def test_of_too_many_none_is_read() -> None:
    backend = Reluctant()
    most = [f"service-{number}" for number in range(MOST_COUNTED)]
    assert numbers(backend, most).summaries[-1].instances == 0
    assert 1 < backend.most_reading < MOST_COUNTED  # not one after the other, and not all at once
    found = numbers(backend, [*most, "one-more"])
    assert {one.instances for one in found.summaries} == {None}
    assert "tells numbers service by service only, and 101 services are too many for that" in found.gap
    assert backend.asked.total() == MOST_COUNTED


def test_one_that_may_not_be_read_hides_no_other() -> None:
    found = numbers(filled(Reluctant(denied="api")))
    assert [(one.name, one.instances) for one in found.summaries] == [("api", None), ("billing", 2)]
    assert found.gap == 'the numbers of 1 of the services could not be read ("api" may not be read).'


def test_one_that_takes_too_long_does_not_either() -> None:
    async def main() -> tuple[Counted, float]:
        begun = now()
        backend = filled(Reluctant(slow="billing"))
        found = await counted(backend, [ServiceSummary(name="api"), ServiceSummary(name="billing")])
        return found, now() - begun

    found, took = run(main())
    assert [one.instances for one in found.summaries] == [1, None]
    assert found.gap == "the numbers of 1 of the services could not be read (that took longer than 2 s)."
    assert took == COUNT_TIMEOUT
