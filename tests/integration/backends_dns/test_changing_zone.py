"""A zone of a real BIND that changes between the question for SRV records and those for their hosts."""

import threading
from collections.abc import Callable, Sequence
from contextlib import aclosing

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.update
import pytest

from homeport import InvalidAnswer
from homeport.backends.dns import open_dns
from homeport.testing.contract.waiting import until
from tests.integration.backends_dns.conftest import BindFactory
from tests.integration.backends_dns.following import PATIENT, endpoints, has, opened, url
from tests.integration.backends_dns.stand_in import Answers, StandInServer
from tests.plugins.following import PATIENCE
from tests.servers.bind import BindServer
from tests.servers.ports import LOOPBACK

ZONE = "services.test"
OPTIONS = {"record": "srv", "family": "ipv4", "timeout": PATIENT}  # a question that is sent again would count twice


def places(generation: int) -> list[str]:
    """The instances of a generation of the zone."""
    return [f"10.0.{generation}.{number}:80" for number in (1, 2, 3)]


class ChangingZone:
    """A relay to BIND that rewrites the zone, in one step, when so many of the three hosts have been asked for.

    It does so after each of the next `changes` answers to a question for SRV records. Each generation has hosts of its
    own, so that those of the one before do not exist any more.
    """

    def __init__(self, bind: BindServer, *, after_hosts: int) -> None:
        self.generation = 0
        self.changes = 0
        self._bind = bind
        self._after_hosts = after_hosts
        self._hosts_left: int | None = None
        self._lock = threading.Lock()
        self._rewrite()

    def answers(self, query: dns.message.QueryMessage, _way: str) -> Sequence[bytes]:
        """One question at a time."""
        with self._lock:
            asked = query.question[0].rdtype
            if asked == dns.rdatatype.A and self._hosts_left is not None:
                if self._hosts_left == 0:
                    self._hosts_left = None
                    self._rewrite()
                else:
                    self._hosts_left -= 1
            answer = dns.query.tcp(query, LOOPBACK, timeout=PATIENCE, port=self._bind.port)
            if asked == dns.rdatatype.SRV and self.changes > 0:
                self.changes -= 1
                self._hosts_left = self._after_hosts
            return [answer.to_wire()]

    def _rewrite(self) -> None:
        update = dns.update.UpdateMessage(ZONE)
        for number in (1, 2, 3):
            update.delete(f"h{self.generation}-{number}", "A")
        self.generation += 1
        update.delete("billing", "SRV")
        for number, place in enumerate(places(self.generation), 1):
            host = f"h{self.generation}-{number}"
            update.add(host, 0, "A", place.removesuffix(":80"))
            update.add("billing", 0, "SRV", f"0 1 80 {host}.{ZONE}.")
        answer = dns.query.tcp(update, LOOPBACK, timeout=PATIENCE, port=self._bind.port)
        assert answer.rcode() == dns.rcode.NOERROR


@pytest.fixture(params=[0, 1], ids=["before the first host", "after the first host"])
def zone(request: pytest.FixtureRequest, bind_factory: BindFactory) -> ChangingZone:
    """On a BIND that sends no additional records, so that the hosts are asked for."""
    return ChangingZone(bind_factory({ZONE: ()}, minimal=True), after_hosts=request.param)


async def test_each_poll_finds_what_is_there_at_its_end(
    zone: ChangingZone, stand_in: Callable[[Answers], StandInServer]
) -> None:
    backend = open_dns(url(stand_in(zone.answers).address, **OPTIONS), {})
    async with aclosing(backend.watch("billing")) as stream:
        for changes in (0, 1, 0, 2, 4):
            zone.changes = changes
            assert endpoints((await anext(stream)).instances) == places(zone.generation)
            assert zone.changes == 0
    assert zone.generation == 1 + 7


async def test_a_watch_is_not_stale_for_a_moment(
    zone: ChangingZone, stand_in: Callable[[Answers], StandInServer], caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(url(stand_in(zone.answers).address, **OPTIONS)) as discovery, discovery.watch("billing") as watch:
        for generation in range(2, 6):
            zone.changes = 1
            assert not (await until(watch, has(*places(generation)))).stale
    # That it is stale would be told, as would a host that was left out.
    assert [one.getMessage() for one in caplog.records if one.name.startswith("homeport")] == []


async def test_a_zone_that_never_holds_still_is_no_answer(
    zone: ChangingZone, stand_in: Callable[[Answers], StandInServer]
) -> None:
    backend = open_dns(url(stand_in(zone.answers).address, **OPTIONS), {})
    zone.changes = 5
    with pytest.raises(InvalidAnswer, match="did not fit together 5 times in a row: the zone changes all the time"):
        await backend.fetch("billing")
    assert endpoints((await backend.fetch("billing")).instances) == places(6)
