"""Answers that are kept."""

from homeport.protocols.dns.kept import KeptAnswers


class Moving:
    """What answers are made of."""

    def __init__(self) -> None:
        self.current = True

    def __call__(self) -> bool:
        return self.current


def test_an_answer_is_kept_until_what_it_was_made_of_moves() -> None:
    kept, state = KeptAnswers(10_000), Moving()
    assert kept.find(b"q") is None
    kept.keep(b"q", b"answer", current=state, ordered=False)
    assert [kept.find(b"q") for _ in range(3)] == [b"answer"] * 3
    assert kept.find(b"p") is None
    state.current = False
    assert kept.find(b"q") is None
    state.current = True
    assert kept.find(b"q") is None  # gone for good


def test_eight_orders_are_made_and_given_in_turn() -> None:
    kept, state = KeptAnswers(10_000), Moving()
    for number in range(8):
        assert kept.find(b"q") is None
        kept.keep(b"q", b"%d" % number, current=state, ordered=True)
    given = [kept.find(b"q") for _ in range(16)]
    assert sorted(given[:8]) == [b"%d" % n for n in range(8)]  # type: ignore[type-var]
    assert given[:8] == given[8:]


def test_what_was_made_of_something_newer_takes_the_place_of_all_orders() -> None:
    kept, old, new = KeptAnswers(10_000), Moving(), Moving()
    for _ in range(8):
        kept.keep(b"q", b"old", current=old, ordered=True)
    old.current = False
    kept.keep(b"q", b"new", current=new, ordered=False)
    assert kept.find(b"q") == b"new"


def test_the_longest_unused_makes_room() -> None:
    kept, state = KeptAnswers(3 * 1300), Moving()
    for key in (b"a", b"b", b"c"):
        kept.keep(key, bytes(1000), current=state, ordered=False)
    assert kept.find(b"a") is not None
    kept.keep(b"d", bytes(1000), current=state, ordered=False)
    assert [kept.find(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    kept.keep(b"e", bytes(9000), current=state, ordered=False)  # larger than everything together
    assert [kept.find(key) is not None for key in (b"a", b"c", b"d", b"e")] == [False] * 4
    kept.keep(b"a", b"again", current=state, ordered=False)
    assert kept.find(b"a") == b"again"
