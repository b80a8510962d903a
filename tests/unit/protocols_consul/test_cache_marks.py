from homeport.protocols.consul.cache_marks import CacheMarks

MISS = (("X-Cache", "MISS"),)
HIT = (("X-Cache", "HIT"), ("Age", "0"))


def test_the_first_time_is_a_miss_and_every_later_one_a_hit() -> None:
    marks = CacheMarks()
    assert [tuple(marks.headers("a")) for _ in range(3)] == [MISS, HIT, HIT]
    assert tuple(marks.headers("b")) == MISS


def test_the_longest_unused_of_too_many_is_forgotten() -> None:
    marks = CacheMarks(2)
    for question in ("a", "b", "a", "c"):
        marks.headers(question)
    assert tuple(marks.headers("a")) == HIT
    assert tuple(marks.headers("b")) == MISS
