"""``/v1/homeport/sources``: every field of a status, in the words of the protocol."""

from homeport.protocols.native.sources import Sources
from homeport.registry.source_status import HeldRemoval, NameConflict, SourceBehind, SourceStatus, no_sources
from homeport.wire.http import Routes
from tests.unit.protocols_consul.in_process import InProcess


def api(*statuses: SourceStatus) -> InProcess:
    routes = Routes()
    routes.include(Sources((lambda: statuses) if statuses else no_sources).routes())
    return InProcess(routes)


async def test_everything_is_told() -> None:
    status = SourceStatus(
        node="far", url="consul://h", owner="me", state="stale", stale_since=1.5, reason="away", services=2,
        instances=3, looped=4, held=[HeldRemoval(service="web", instances=5, until=6.5)],
        conflicts=[NameConflict(service="db", node="near")], last_change=7.5,
        unconfirmed=[SourceBehind(node="b", reason="away")],
    )  # fmt: skip
    assert (await api(status).get("/v1/homeport/sources")).json == [
        {
            "Node": "far", "URL": "consul://h", "Owner": "me", "State": "stale", "StaleSince": 1.5, "Reason": "away",
            "Services": 2, "Instances": 3, "Looped": 4, "Held": [{"Service": "web", "Instances": 5, "Until": 6.5}],
            "Conflicts": [{"Service": "db", "Node": "near"}], "LastChange": 7.5,
            "Unconfirmed": [{"Node": "b", "Reason": "away"}],
        }
    ]  # fmt: skip


async def test_a_registry_without_sources_says_so() -> None:
    assert (await api().get("/v1/homeport/sources")).json == []
