"""Whether a watch told everything."""

from hypothesis import given
from hypothesis import strategies as st

from homeport.backends.etcd.shapes import Event, Header, KeyValue, RangeAnswer
from homeport.backends.etcd.tally import Tally


def counted(keys: dict[int, int], revision: int, *, cluster: str = "c") -> RangeAnswer:
    """What etcd says of keys that were last written at these revisions."""
    kvs = (KeyValue(key=b"k", mod_revision=max(keys.values())),) if keys else ()
    return RangeAnswer(header=Header(cluster_id=cluster, revision=revision), kvs=kvs, count=len(keys))


def put(number: int, revision: int, *, created: int = 0) -> Event:
    return Event(KeyValue(key=b"%d" % number, create_revision=created or revision, mod_revision=revision))


def gone(number: int, revision: int) -> Event:
    return Event(KeyValue(key=b"%d" % number, mod_revision=revision), type="DELETE")


def test_what_was_heard_already_agrees_at_once() -> None:
    tally = Tally(counted({1: 5}, 9))
    tally.expect(counted({1: 5}, 12))
    assert (tally.expects, tally.verdict) == (True, True)
    assert tally.reached() == 12
    tally.hear([put(2, 13), put(1, 14, created=5), gone(2, 15)])
    assert (tally.expects, tally.verdict) == (False, None)
    tally.expect(counted({1: 14}, 15))
    assert tally.verdict is True


def test_what_is_on_its_way_is_waited_for() -> None:
    tally = Tally(counted({1: 5}, 9))
    tally.expect(counted({2: 10}, 12))
    assert tally.verdict is None
    tally.hear([put(2, 10)])
    assert tally.verdict is None
    tally.hear([gone(1, 11)])
    assert tally.verdict is True


def test_it_is_compared_before_the_first_event_after_the_answer() -> None:
    tally = Tally(counted({1: 5}, 9))
    tally.expect(counted({1: 5, 2: 10}, 10))
    tally.hear([put(2, 10), put(3, 11), put(4, 12)])
    assert tally.verdict is True
    assert tally.reached() == 12


def test_a_watch_that_goes_past_what_it_did_not_tell_differs() -> None:
    for missed in (counted({1: 5, 2: 10}, 10), counted({1: 10}, 10), counted({}, 10)):
        tally = Tally(counted({1: 5}, 9))
        tally.expect(missed)
        assert tally.verdict is None
        tally.hear([put(3, 11)])
        assert tally.verdict is False


def test_other_data_and_older_ones_differ() -> None:
    for other in (counted({1: 5}, 12, cluster="other"), counted({1: 5}, 8)):
        tally = Tally(counted({1: 5}, 9))
        tally.expect(other)
        assert tally.verdict is False


CHANGES = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12)


@given(CHANGES, CHANGES, CHANGES, st.data())
def test_nothing_heard_in_full_ever_differs(
    before: list[tuple[int, bool]], during: list[tuple[int, bool]], after: list[tuple[int, bool]], data: st.DataObject
) -> None:
    """However much comes late: an answer that was asked for somewhere on the way is agreed with in the end."""
    keys: dict[int, int] = {}
    created: dict[int, int] = {}
    revision = 1
    tally = Tally(counted(keys, revision))
    late: list[Event] = []
    for part, changes in enumerate((before, during, after)):
        for number, deleted in changes:
            if deleted and number not in keys:
                continue
            revision += 1
            if deleted:
                del keys[number]
                late.append(gone(number, revision))
            else:
                written = created.setdefault(number, revision) if number in keys else revision
                created[number] = written
                keys[number] = revision
                late.append(put(number, revision, created=written))
            if part == 0:
                tally.hear([late.pop()])
        if part == 1:
            tally.expect(counted(keys, revision))
    while late:
        size = data.draw(st.integers(1, len(late)))
        tally.hear(late[:size])
        del late[:size]
    assert tally.verdict is True
