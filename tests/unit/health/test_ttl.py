"""What stands as output when a TTL has run out."""

from __future__ import annotations

from homeport.registry.health.ttl import expired_output


def test_the_last_output_is_kept() -> None:
    assert expired_output("") == "TTL expired"
    assert expired_output("fine") == "TTL expired (last output before timeout follows): fine"


def test_running_out_again_adds_nothing() -> None:
    once = expired_output("fine")
    assert expired_output(once) == once
    assert expired_output("TTL expired") == "TTL expired"
