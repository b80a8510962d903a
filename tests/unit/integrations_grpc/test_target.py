"""The target of a channel."""

import pytest

from homeport import InvalidValue, Query
from homeport.integrations.grpc.target import parse_target


@pytest.mark.parametrize(
    ("target", "query"),
    [
        ("discovery:///billing", Query(service="billing")),
        ("homeport:///billing", Query(service="billing")),
        ("discovery:///a%20b", Query(service="a b")),
        ("discovery:///billing?tag=eu&tag=v2", Query(service="billing", tags=("eu", "v2"))),
        ("discovery:///billing?version=>=2,<3", Query(service="billing", version=">=2,<3")),
        ("discovery:///billing?version=1.0%2Bbuild", Query(service="billing", version="1.0+build")),
        (
            "discovery:///billing?environment=prod&datacenter=dc2&meta.tier=gold&meta.a.b=",
            Query(service="billing", environment="prod", datacenter="dc2", meta={"tier": "gold", "a.b": ""}),
        ),
    ],
)
def test_a_target_is_a_query(target: str, query: Query) -> None:
    assert parse_target(target) == query


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("billing", r'"billing" is not a target of a discovery channel; write "discovery:///SERVICE"'),
        ("dns:///billing", "is not a target"),
        ("discovery:billing", "is not a target"),
        ("discovery://billing", "is not a target"),
        ("discovery://host/billing", "is not a target"),
        ("discovery:///", "is not a target"),
        ("discovery:///billing/v2", "is not a target"),
        ("discovery:///billing#v2", "is not a target"),
        (
            "discovery:///billing?tags=eu",
            '"tags" in the target .* is unknown; there is tag, version, environ',
        ),
        ("discovery:///billing?meta.=eu", "is unknown"),
        ("discovery:///billing?version=1&version=2", '"version" stands twice'),
        ("discovery:///billing?version=>>1", "version"),
    ],
)
def test_another_form_is_refused_in_a_sentence(target: str, sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        parse_target(target)
