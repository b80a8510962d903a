"""What is known of a registry, and what deltas make of it."""

import asyncio

import msgspec
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from homeport.backends.eureka.contents import Contents, removed_by
from homeport.wire import eureka as wire
from tests.unit.backends_eureka.registry_server import RegistryServer, read

key = st.tuples(st.sampled_from(["A", "B", "C"]), st.sampled_from("1234"))
status = st.sampled_from([wire.UP, wire.DOWN, wire.STARTING, wire.OUT_OF_SERVICE])
change = st.one_of(
    st.tuples(st.just("register"), key, st.integers(1, 3)),
    st.tuples(st.just("status"), key, status),
    st.tuples(st.just("cancel"), key, st.none()),
    st.tuples(st.just("forget"), st.none(), st.integers(0, 3)),
    st.tuples(st.just("read"), st.none(), st.none()),
)


def carry_out(server: RegistryServer, kind: str, where: tuple[str, str] | None, what: object) -> None:
    if kind == "forget":
        server.forget(keep=int(str(what)))
    elif where is not None and kind == "register":
        server.add(*where, port=int(str(what)))
    elif where is not None and kind == "status":
        server.set_status(*where, str(what))
    elif where is not None:
        server.cancel(*where)


def whole(server: RegistryServer) -> wire.Applications:
    return asyncio.run(server.applications(purpose="")).applications


def delta(server: RegistryServer) -> wire.Applications:
    reading = asyncio.run(server.delta(purpose=""))
    assert reading is not None
    return reading.applications


def same(one: Contents, other: Contents) -> bool:
    services = set(one.services) | set(other.services)
    return one.keys == other.keys and all(one.instances(name) == other.instances(name) for name in services)


@examples(max_examples=60)
@given(changes=st.lists(change, max_size=30), seed=st.integers(0, 9))
def test_deltas_in_any_order_and_repeated_lead_to_what_is_read_whole(
    changes: list[tuple[str, tuple[str, str] | None, object]], seed: int
) -> None:
    server = RegistryServer(seed=seed)
    server.add("A", "1")
    contents = Contents(whole(server), read)
    for kind, where, what in changes:
        if kind == "forget":
            continue
        if kind != "read":
            carry_out(server, kind, where, what)
            continue
        told = delta(server)
        assert contents.hashcode_after(told) == told.hashcode
        contents.apply(told)
    told = delta(server)
    for _ in range(2):  # the same once more changes nothing
        contents.apply(told)
        assert contents.hashcode == told.hashcode
        assert same(contents, Contents(whole(server), read))


@examples(max_examples=60)
@given(changes=st.lists(change, max_size=20), seed=st.integers(0, 9))
def test_the_hash_that_is_foretold_is_the_one_that_comes(
    changes: list[tuple[str, tuple[str, str] | None, object]], seed: int
) -> None:
    server = RegistryServer(seed=seed)
    contents = Contents(whole(server), read)
    for kind, where, what in changes:
        if kind != "read":
            carry_out(server, kind, where, what)
            continue
        told = delta(server)  # also of a server that forgot some
        foretold = contents.hashcode_after(told)
        contents.apply(told)
        assert contents.hashcode == foretold


def test_of_several_changes_of_one_instance_the_last_one_counts() -> None:
    server = RegistryServer()
    server.add("A", "1")
    (info,) = whole(server).instances
    contents = Contents(wire.Applications(), read)
    down = msgspec.structs.replace(info, status=wire.DOWN)
    gone = msgspec.structs.replace(info, action_type=wire.DELETED)
    for last, expected in ((info, "UP_1_"), (down, "DOWN_1_"), (gone, "")):
        told = wire.Applications(instances=(info, gone, down, last))
        assert contents.hashcode_after(told) == expected
        contents.apply(told)
        assert contents.hashcode == expected
    assert removed_by(wire.Applications(instances=(gone, info))) == frozenset()
    assert removed_by(wire.Applications(instances=(info, gone))) == {("A", "1")}


def test_what_cannot_be_read_is_counted_and_left_out() -> None:
    bad = wire.Unreadable(app="a", id="2", status=wire.DOWN)
    contents = Contents(wire.Applications(unreadable=(bad,)), read)
    assert (contents.hashcode, list(contents.services)) == ("DOWN_1_", [])
    assert contents.keys == {("A", "2")}
    contents.apply(wire.Applications(unreadable=(msgspec.structs.replace(bad, action_type=wire.DELETED),)))
    assert contents.hashcode == ""


def test_instances_that_do_not_change_stay_the_same_object() -> None:
    server = RegistryServer()
    server.add("A", "2")
    server.add("A", "1")
    server.add("B", "1")
    contents = Contents(whole(server), read)
    a, b = contents.instances("a"), contents.instances("b")
    assert [one.id for one in a] == ["1", "2"]
    server.add("B", "1", port=9)
    contents.apply(delta(server))
    assert contents.instances("a") is a
    assert contents.instances("b") != b
    anew = Contents(whole(server), read)
    anew.adopt(contents)
    assert anew.instances("a") is a


def test_an_action_matters_in_a_delta_only() -> None:
    server = RegistryServer()
    server.add("A", "1")
    (info,) = whole(server).instances
    found = wire.Applications(instances=(msgspec.structs.replace(info, action_type=wire.DELETED),))
    assert Contents(found, read).hashcode == "UP_1_"


def test_whether_a_server_goes_on_shows_in_its_registrations() -> None:
    server = RegistryServer()
    server.add("A", "1")
    server.add("A", "2")
    before = Contents(whole(server), read)
    server.add("A", "1")
    assert Contents(whole(server), read).same_registrations(before) is True
    server.add("A", "2")
    assert Contents(whole(server), read).same_registrations(before) is False
    assert Contents(wire.Applications(), read).same_registrations(before) is None
