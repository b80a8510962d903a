"""What the catalog answers, and what each kind of change moves: Consul's wake-up rules, one by one."""

import gc
import logging
import weakref
from collections.abc import Sequence
from itertools import permutations

import pytest

from homeport.registry.records import CHECKS, SERVICES, CheckRecord, Entry, HistoryRecord, NodeRecord, ServiceRecord
from homeport.registry.store.contract import Effect
from homeport.registry.store.memory_image import Change
from tests.unit.registry.world import START, World, key_for


def node(name: str = "n", address: str = "") -> NodeRecord:
    return NodeRecord(name=name, address=address)


def service(
    service_id: str, name: str = "web", *, on: str = "n", tags: tuple[str, ...] = (), port: int = 0
) -> ServiceRecord:
    return ServiceRecord(node=on, id=service_id, name=name, tags=tags, port=port)


def check(check_id: str, *, of: ServiceRecord | None = None, on: str = "n", status: str = "passing") -> CheckRecord:
    return CheckRecord(
        node=on,
        id=check_id,
        status=status,  # type: ignore[arg-type]
        service_id="" if of is None else of.id,
        service_name="" if of is None else of.name,
    )


@pytest.fixture
def world() -> World:
    """On node `n` a `web` with a check, an `api`, and a check of the node itself; on node `m` another `web`."""
    world = World()
    web = service("w1")
    world.commit(
        node("n"), node("m"), web, service("w2", on="m"), service("a1", "api"),
        check("c1", of=web), check("disk", status="warning"),
    )  # fmt: skip
    return world


EVERYTHING_OF_WEB = {"web everything", "web rows"}


def test_a_new_instance_moves_its_name_its_node_and_services(world: World) -> None:
    topics = world.topics()
    revision = world.commit(service("w3"))
    assert topics.moved_at(revision) == {"services", "node n rows", *EVERYTHING_OF_WEB}


def test_a_changed_instance_moves_the_same(world: World) -> None:
    topics = world.topics()
    revision = world.commit(service("w2", on="m", port=80))
    assert topics.moved_at(revision) == {"services", "node m rows", *EVERYTHING_OF_WEB}


def test_a_removed_instance_moves_the_same_and_the_last_one_extinction_too(world: World) -> None:
    topics = world.topics()
    revision = world.commit(delete=(service("w2", on="m"),))
    assert topics.moved_at(revision) == {"services", "node m rows", *EVERYTHING_OF_WEB}
    revision = world.commit(delete=(service("a1"),))
    assert topics.moved_at(revision) == {"services", "extinction", "node n rows", "api everything", "api rows"}


def test_an_instance_that_changes_its_name_moves_both(world: World) -> None:
    topics = world.topics()
    revision = world.commit(service("a1", "web"))
    assert topics.moved_at(revision) == {
        "services", "extinction", "node n rows", *EVERYTHING_OF_WEB, "api everything", "api rows",
    }  # fmt: skip
    assert world.catalog.service_names() == ["web"]


def test_a_check_of_an_instance_wakes_health_and_not_the_catalog(world: World) -> None:
    topics = world.topics()
    revision = world.commit(check("c1", of=service("w1"), status="critical"))
    assert topics.moved_at(revision) == {
        "checks", "state passing", "state critical", "node n checks", "web everything", "web checks",
    }  # fmt: skip


def test_tags_move_the_checks_of_their_instance_whose_rows_show_them(world: World) -> None:
    topics = world.topics()
    revision = world.commit(service("w1", tags=("x",)))
    assert topics.moved_at(revision) == {
        "services", "node n rows", *EVERYTHING_OF_WEB, "checks", "state passing", "node n checks", "web checks",
    }  # fmt: skip
    revision = world.commit(service("w2", on="m", tags=("x",)))
    assert topics.moved_at(revision) == {"services", "node m rows", *EVERYTHING_OF_WEB}, "it has no checks"


def test_a_check_that_only_says_something_else_moves_its_own_state(world: World) -> None:
    topics = world.topics()
    revision = world.commit(CheckRecord(node="n", id="disk", status="warning", output="91 %"))
    assert topics.moved_at(revision) == {
        "checks", "state warning", "node n checks", "web everything", "api everything",
    }  # fmt: skip


def test_a_check_of_a_node_moves_everything_on_it(world: World) -> None:
    topics = world.topics()
    revision = world.commit(check("disk2", on="m", status="critical"))
    assert topics.moved_at(revision) == {"checks", "state critical", "node m checks", "web everything"}
    revision = world.commit(delete=(check("disk"),))
    assert topics.moved_at(revision) == {
        "checks", "state warning", "node n checks", "web everything", "api everything",
    }  # fmt: skip


def test_a_node_moves_what_it_carries_rows_included(world: World) -> None:
    topics = world.topics()
    revision = world.commit(node("m", "10.0.0.1"))
    assert topics.moved_at(revision) == {"nodes", "node m rows", *EVERYTHING_OF_WEB}


def test_history_moves_nothing(world: World) -> None:
    topics = world.topics()
    assert not topics.moved_at(world.commit(HistoryRecord(node="n", check_id="c1")))


def test_a_node_that_goes_moves_all_that_was_on_it(world: World) -> None:
    topics = world.topics()
    effect = Effect(
        {}, {}, frozenset([key_for(node("n"))]),
        {SERVICES.key("n") + "/": ("svc", "n"), CHECKS.key("n") + "/": ("chk", "n")},
    )  # fmt: skip
    revision = world.take(effect)
    assert topics.moved_at(revision) == {
        "nodes", "services", "checks", "extinction", "state passing", "state warning", "node n rows", "node n checks",
        *EVERYTHING_OF_WEB, "web checks", "api everything", "api rows",
    }  # fmt: skip
    assert world.catalog.service_names() == ["web"]
    assert [entry.value.name for entry in world.catalog.node_entries()] == ["m"]


def removals(world: World, *records: NodeRecord | ServiceRecord | CheckRecord) -> list[Change]:
    return [Change(world.image.entries[key_for(record)], None) for record in records]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_whatever_order_a_commit_is_told_the_same_moves_and_nothing_stays(order: Sequence[int]) -> None:
    """The instance, its check, the node's check and the node go in one commit: a wait on each of them must end."""
    world = World()
    gone = (service("w1"), check("c1", of=service("w1")), check("disk"), node("n"))
    world.commit(*gone)
    topics = world.topics()
    changes = removals(world, *gone)
    revision = world.take_in_order(*(changes[place] for place in order))
    assert topics.moved_at(revision) == {
        "nodes", "services", "checks", "extinction", "state passing", "node n rows", "node n checks",
        *EVERYTHING_OF_WEB, "web checks",
    }  # fmt: skip
    assert not world.catalog.service_names()
    assert not list(world.catalog.check_entries())

    again = world.commit(*gone)
    assert topics.by_name["web everything"].revision == again, "whoever waited on the absent name hears of the new one"
    assert topics.by_name["node n checks"].revision == again


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_nothing_is_kept_of_a_node_that_is_gone(order: Sequence[int]) -> None:
    world = World()
    gone = (service("w1"), check("c1", of=service("w1")), check("disk"), node("n"))
    world.commit(*gone)
    kept = weakref.ref(world.catalog.node_index("n")), weakref.ref(world.catalog.service_index("web"))
    assert None not in [reference() for reference in kept]
    changes = removals(world, *gone)
    world.take_in_order(*(changes[place] for place in order))
    gc.collect()
    assert [reference() for reference in kept] == [None, None]


def test_the_index_of_a_name_never_goes_back_when_nobody_holds_it() -> None:
    world = World()
    world.commit(node("n"), service("w1"), check("c1", of=service("w1")))
    seen, seen_node = world.commit(service("w1", port=1)), world.commit(check("disk", on="n"))
    world.commit(delete=(service("w1"), check("c1"), check("disk"), node("n")))
    gc.collect()
    index, node_index = world.catalog.service_index("web"), world.catalog.node_index("n")
    assert not index.present
    assert index.everything.revision > seen
    assert min(node_index.rows.revision, node_index.checks.revision) > seen_node


def test_an_absent_name_costs_nothing_once_nobody_waits_for_it() -> None:
    world = World()
    held = world.catalog.service_index("held")
    for number in range(100):
        world.catalog.service_index(f"passing{number}")
        world.catalog.node_index(f"passing{number}")
    gc.collect()
    assert world.catalog.service_index("held") is held
    alive = [index for index in gc.get_objects() if type(index) is type(held) and index.name.startswith("passing")]
    assert not alive


def test_what_waits_for_an_absent_name_is_what_moves_when_it_comes() -> None:
    world = World()
    index, node_index = world.catalog.service_index("WEB"), world.catalog.node_index("N")
    assert index.everything.revision == node_index.rows.revision == START
    revision = world.commit(node("n"), service("w1"))
    assert world.catalog.service_index("web") is index
    assert world.catalog.node_index("n") is node_index
    assert index.present
    assert index.everything.revision == index.rows.revision == node_index.rows.revision == revision
    assert index.name == "web"


def test_a_catalog_begins_at_the_revision_it_was_loaded_at() -> None:
    world = World()
    for topic in world.topics().by_name.values():
        assert topic.revision == START


def ids(entries: Sequence[Entry]) -> list[str]:
    return [entry.value.id for entry in entries]


def test_answers_come_sorted_and_compare_names_without_case() -> None:
    world = World()
    world.commit(
        node("b"), node("A"), node("c"),
        service("2", on="b"), service("10", on="b"), service("X", on="A"), service("w", "Web", on="c", tags=("x",)),
        check("z", of=service("2"), on="b"), check("Y", of=service("2"), on="b"), check("n", on="b"),
    )  # fmt: skip
    catalog = world.catalog
    assert [entry.value.name for entry in catalog.node_entries()] == ["A", "b", "c"]
    assert ids(catalog.instances("WEB")) == ["X", "10", "2", "w"]
    assert ids(catalog.services_of("B")) == ["10", "2"]
    assert ids(catalog.checks_on("B")) == ["n", "Y", "z"]
    assert ids(catalog.service_checks("B", "2")) == ["Y", "z"]
    assert ids(catalog.node_checks("B")) == ["n"]
    assert ids(list(catalog.check_entries())) == ["n", "Y", "z"]
    assert catalog.tags("web") == ["x"]
    for found in (catalog.node("a"), catalog.service("A", "x"), catalog.check("B", "y")):
        assert found is not None
    assert catalog.node("d") is catalog.service("a", "y") is catalog.check("b", "q") is None
    assert catalog.revision == world.image.revision
    assert not catalog.instances("nothing")
    assert not catalog.tags("nothing")


def test_a_name_written_in_several_ways_is_shown_in_one_whatever_the_order() -> None:
    world = World()
    world.commit(node("n"), service("1", "web"))
    assert world.catalog.service_names() == ["web"]
    world.commit(service("2", "Web"))
    assert world.catalog.service_names() == ["Web"]
    world.commit(service("3", "wEB"))
    assert world.catalog.service_names() == ["Web"]
    world.commit(delete=(service("2"),))
    assert world.catalog.service_names() == ["wEB"]
    world.commit(service("3", "web"))
    assert world.catalog.service_names() == ["web"]


def test_tags_are_those_of_all_instances_each_once() -> None:
    world = World()
    world.commit(node("n"), service("1", tags=("b", "a", "a")), service("2", tags=("b", "c")))
    assert world.catalog.tags("web") == ["a", "b", "c"]
    world.commit(service("1", tags=("d",)))
    assert world.catalog.tags("web") == ["b", "c", "d"]
    world.commit(delete=(service("2"),))
    assert world.catalog.tags("web") == ["d"]


def test_listeners_hear_of_every_commit_after_topics_have_moved(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    heard: list[tuple[int, int, int]] = []

    def broken(revision: int, changes: Sequence[Change]) -> None:
        raise ZeroDivisionError

    world.catalog.on_change(broken)
    world.catalog.on_change(
        lambda revision, changes: heard.append((revision, len(changes), world.catalog.services.revision))
    )
    with caplog.at_level(logging.ERROR):
        first = world.commit(node("n"), service("1"))
        second = world.commit(HistoryRecord(node="n", check_id="c"))
    assert heard == [(first, 2, first), (second, 1, first)]
    assert len(caplog.records) == 2
