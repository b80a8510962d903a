"""The hash of keys: even, alike everywhere, and another one for another salt."""

from collections import Counter

from homeport.balancing.key_hash import key_hash

KEYS = [f"user-{number}" for number in range(16_000)]


def test_keys_that_differ_little_are_spread_evenly() -> None:
    found = Counter(key_hash(key, 1) >> 28 for key in KEYS)
    assert len(found) == 16
    assert all(800 < number < 1200 for number in found.values())


def test_another_salt_is_another_order() -> None:
    half = 1 << 31
    found = Counter((key_hash(key, 1) < half, key_hash(key, 0x9E3779B97F4A7C15) < half) for key in KEYS)
    assert all(3700 < number < 4300 for number in found.values())
    assert len(found) == 4


def test_it_is_the_same_in_every_version() -> None:
    assert [key_hash(key, 1) for key in ("", "user-1", "Ångström", "\udc80")] == [
        3025583356,
        544432698,
        1503834721,
        2218004799,
    ]
