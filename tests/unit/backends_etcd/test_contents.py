"""What is below a prefix, followed by events."""

import json

from hypothesis import given
from hypothesis import strategies as st

from homeport.backends.etcd.contents import Contents
from homeport.backends.etcd.shapes import Event, Header, KeyValue, RangeAnswer

PREFIX = "/services/"


def key_value(number: int, revision: int, *, readable: bool = True) -> KeyValue:
    value = json.dumps({"address": f"h{revision}"}).encode() if readable else b"?"
    return KeyValue(key=f"/services/a/{number}".encode(), value=value, mod_revision=revision)


def contents(*found: KeyValue, revision: int = 10, told: list[str] | None = None) -> Contents:
    answer = RangeAnswer(header=Header(cluster_id="c", revision=revision), kvs=found, count=len(found))
    return Contents(answer, PREFIX, lambda one, _: (told if told is not None else []).append(one.key.decode()))


def confirmation(newest: int | None, count: int, *, revision: int = 99, cluster: str = "c") -> RangeAnswer:
    kvs = () if newest is None else (KeyValue(key=b"k", mod_revision=newest),)
    return RangeAnswer(header=Header(cluster_id=cluster, revision=revision), kvs=kvs, count=count)


def addresses(known: Contents) -> dict[str, str]:
    return {one.id: one.address for one in known}


def test_events_are_taken_over() -> None:
    known = contents(key_value(2, 5), key_value(1, 7))
    assert addresses(known) == {"1": "h7", "2": "h5"}
    assert list(addresses(known)) == ["1", "2"]
    known.apply([Event(key_value(3, 11)), Event(KeyValue(key=b"/services/a/1", mod_revision=12), type="DELETE")])
    assert (addresses(known), known.revision) == ({"2": "h5", "3": "h11"}, 12)
    known.apply([Event(key_value(2, 13)), Event(KeyValue(key=b"/services/a/9", mod_revision=13), type="DELETE")])
    assert addresses(known) == {"2": "h13", "3": "h11"}


def test_what_cannot_be_read_is_told_and_left_out_but_counted() -> None:
    told: list[str] = []
    known = contents(key_value(1, 5), key_value(2, 6, readable=False), told=told)
    assert (list(addresses(known)), told) == (["1"], ["/services/a/2"])
    assert known.confirmed_by(confirmation(6, 2))
    known.apply([Event(key_value(1, 11, readable=False))])
    assert (list(addresses(known)), told) == ([], ["/services/a/2", "/services/a/1"])
    known.apply([Event(key_value(1, 12))])
    assert list(addresses(known)) == ["1"]


def test_a_confirmation_is_one_only_if_nothing_is_different() -> None:
    known = contents(key_value(1, 5), key_value(2, 6))
    assert known.confirmed_by(confirmation(6, 2))
    assert not known.confirmed_by(confirmation(7, 2))
    assert not known.confirmed_by(confirmation(6, 1))
    assert not known.confirmed_by(confirmation(6, 2, cluster="other"))
    assert not known.confirmed_by(confirmation(6, 2, revision=9))
    assert contents().confirmed_by(confirmation(None, 0))
    assert not contents().confirmed_by(confirmation(11, 1))


steps = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12)


@given(before=steps, missed=steps)
def test_a_confirmation_notices_whatever_was_missed(
    before: list[tuple[int, bool]], missed: list[tuple[int, bool]]
) -> None:
    """Against a model: writes and removals with rising revisions, of which the last ones never arrived."""
    truth: dict[int, int] = {}
    known = contents(revision=1)
    revision = 1
    for place, (number, gone) in enumerate([*before, *missed]):
        if gone and number not in truth:
            continue
        revision += 1
        if gone:
            del truth[number]
            event = Event(KeyValue(key=f"/services/a/{number}".encode(), mod_revision=revision), type="DELETE")
        else:
            truth[number] = revision
            event = Event(key_value(number, revision))
        if place < len(before):
            known.apply([event])
    same = addresses(known) == {str(number): f"h{written}" for number, written in truth.items()}
    answer = confirmation(max(truth.values(), default=None), len(truth), revision=revision)
    assert known.confirmed_by(answer) is same
