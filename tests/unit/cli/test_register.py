"""What the options of `register` make of the checks."""

from typing import Any

import pytest

from homeport.cli.exits import Misuse
from homeport.cli.register import check_fields, checks_of
from homeport.model import HTTPCheck, Service, TCPCheck, TTLCheck

SERVICE = Service(name="api", id="api-1", address="10.0.0.1", port=80)


def fields(**changes: Any) -> dict[str, Any]:
    given = {"name": "", "interval": "10s", "timeout": "5s", "deregister_after": None, "several": False, **changes}
    return check_fields(
        given["name"], given["interval"], given["timeout"], given["deregister_after"], several=given["several"]
    )


def test_every_option_reaches_every_check() -> None:
    common = fields(name="front", interval="1m", timeout="3s", deregister_after="90s")
    assert checks_of(["/health"], SERVICE, common=common, ttl=None) == (
        HTTPCheck(url="http://10.0.0.1:80/health", name="front", interval=60.0, timeout=3.0, deregister_after=90.0),
    )
    common = fields(interval="2s", timeout="1s", several=True)
    assert checks_of(["tcp", "tcp://h:1"], SERVICE, common=common, ttl=None) == (
        TCPCheck(target="10.0.0.1:80", interval=2.0, timeout=1.0),
        TCPCheck(target="h:1", interval=2.0, timeout=1.0),
    )


def test_a_ttl_is_one_more_check() -> None:
    common = fields(deregister_after="1m")
    assert checks_of([], SERVICE, common=common, ttl=30.0) == (TTLCheck(ttl=30.0, deregister_after=60.0),)
    assert checks_of([], SERVICE, common=common, ttl=None) == ()


def test_one_name_cannot_name_several() -> None:
    with pytest.raises(Misuse, match="--check-name names one check"):
        fields(name="front", several=True)


@pytest.mark.parametrize(
    ("option", "flag"),
    [("interval", "--check-interval"), ("timeout", "--check-timeout"), ("deregister_after", "--deregister-after")],
)
def test_a_wrong_duration_names_its_option(option: str, flag: str) -> None:
    with pytest.raises(Misuse, match=f"^{flag}: "):
        fields(**{option: "soon"})
