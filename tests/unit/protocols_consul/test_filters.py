"""Filters over rows: what each root offers, what each type can be asked, and what is refused.

That they agree with Consul is shown in tests/contract; here stands what Consul 1.8 cannot show.
"""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.consul.filter_syntax import FilterError
from homeport.protocols.consul.filters import MAXIMUM_COMPARISONS, PREFIX, compile_filter, filtered
from homeport.wire import consul

WEB = consul.NodeService(
    id="web-1",
    service="web",
    tags=["v1"],
    port=80,
    socket_path="/run/web",
    meta={"version": "1.2"},
    tagged_addresses={"lan": consul.ServiceAddress(address="10.0.0.1", port=81)},
    peer_name="east",
    create_index=5,
    locality=consul.Locality(region="r"),
)
PROXY = consul.NodeService(
    id="proxy",
    kind="connect-proxy",
    proxy=msgspec.Raw(
        b'{"DestinationServiceName":"web","Mode":"direct","Upstreams":[{"DestinationName":"a"},{"DestinationName":"b",'
        b'"LocalBindPort":9}],"TransparentProxy":{"DialedDirectly":true},"AccessLogs":{"Enabled":true},'
        b'"EnvoyExtensions":[{"Name":"builtin/lua","Required":true}],"Config":{"a":1}}'
    ),
    connect=msgspec.Raw(b'{"Native":true}'),
)
CHECK = consul.HealthCheck(check_id="c", interval="10s", timeout="1s", exposed_port=21_500, peer_name="east")
ENTRY = consul.ServiceEntry(
    node=consul.Node(node="n", meta={"rack": "r1"}),
    service=WEB,
    checks=[consul.HealthCheck(name="one", status="passing"), consul.HealthCheck(name="two", status="critical")],
)
MEMBER = consul.Member(
    name="n", addr="127.0.0.1", port=8301, tags={"role": "consul"}, status=1, protocol_max=5, delegate_cur=4
)
AGENT = consul.AgentService(id="a", service="web", datacenter="dc1", content_hash="x")


def keeps(expression: str, row: msgspec.Struct) -> bool:
    return bool(filtered(expression, type(row), [row]))


@pytest.mark.parametrize(
    ("row", "expression", "kept"),
    [
        (WEB, 'SocketPath == "/run/web"', True),
        (WEB, "PeerName == east", True),
        (WEB, 'TaggedAddresses.lan.Address matches "^10"', True),
        (WEB, 'Proxy.Mode == ""', True),
        (WEB, "Proxy.Upstreams is empty", True),
        (WEB, "Connect.Native == true", False),
        (PROXY, "Connect.Native == true", True),
        (PROXY, "Proxy.DestinationServiceName == web and Proxy.Mode == direct", True),
        (PROXY, "Proxy.Upstreams.DestinationName == b", True),
        (PROXY, "Proxy.Upstreams.DestinationName != b", True),
        (PROXY, "Proxy.Upstreams.LocalBindPort == 10", False),
        (PROXY, "Proxy.TransparentProxy.DialedDirectly == true", True),
        (PROXY, "Proxy.AccessLogs.Enabled == true", True),
        (PROXY, "Proxy.EnvoyExtensions.Required == true", True),
        (PROXY, 'Proxy.EnvoyExtensions.Name == "builtin/lua"', True),
        (PROXY, "Meta is empty", True),
        (PROXY, "TaggedAddresses is empty and TaggedAddresses.lan.Port != 1", True),
        (CHECK, 'Interval == "10s" and Timeout == "1s" and ExposedPort == 21500 and PeerName == east', True),
        (ENTRY, "Checks.Status == critical and Checks.Status == passing", True),
        (ENTRY, "Checks.Status != passing", True),
        (ENTRY, "not Checks.Status == critical", False),
        (ENTRY, "Node.Meta.rack == r1 and v1 in Service.Tags", True),
        (consul.Node(node="n"), 'Partition == "" and PeerName == ""', True),
        (consul.CatalogService(service_id="s"), 'ServiceSocketPath == "" and PeerName == ""', True),
        (AGENT, "Connect.Native == false and Proxy.Upstreams is empty", True),
        (MEMBER, "Name == n and Port == 8301 and Status == 1 and ProtocolMax == 5", True),
        (MEMBER, "Tags.role == consul", True),
        (MEMBER, "127 in Addr", True),
        (MEMBER, "Addr contains 126", False),
    ],
)
def test_a_row_is_kept_or_dropped(row: msgspec.Struct, expression: str, kept: bool) -> None:
    assert keeps(expression, row) is kept


@pytest.mark.parametrize(
    ("shape", "expression", "message"),
    [
        (consul.NodeService, "CreateIndex == 5", 'Selector "CreateIndex" is not valid'),
        (consul.ServiceEntry, "Service.ModifyIndex == 5", 'Selector "Service.ModifyIndex" is not valid'),
        (consul.NodeService, "Locality.Region == r", 'Selector "Locality" is not valid'),
        (consul.NodeService, "Proxy.Config.a == 1", 'Selector "Proxy.Config" is not valid'),
        (consul.NodeService, "Connect.SidecarService.Name == x", 'Selector "Connect.SidecarService" is not valid'),
        (consul.NodeService, "Proxy == x", 'Invalid match operator "Equal" for selector "Proxy"'),
        (consul.CatalogService, "ServiceLocality is empty", 'Selector "ServiceLocality" is not valid'),
        (consul.HealthCheck, "Definition is empty", 'Selector "Definition" is not valid'),
        (consul.AgentService, "Datacenter == dc1", 'Selector "Datacenter" is not valid'),
        (consul.AgentService, "ContentHash == x", 'Selector "ContentHash" is not valid'),
        (consul.Node, 'ID["x"] == 1', 'Selector "ID.x" is not valid'),
        (
            consul.Member,
            "Port == 65536",
            (
                'Failed to coerce value "65536" for selector "Port": '
                'strconv.ParseUint: parsing "65536": value out of range'
            ),
        ),
        (
            consul.Member,
            "256 in Addr",
            'Failed to coerce value "256" for selector "Addr": strconv.ParseUint: parsing "256": value out of range',
        ),
        (
            consul.Node,
            " or ".join(["Node == a"] * (MAXIMUM_COMPARISONS + 1)),
            f"Number of match expressions ({MAXIMUM_COMPARISONS + 1}) exceeds the limit ({MAXIMUM_COMPARISONS})",
        ),
        (consul.Node, "(" * 50 + "Node == a" + ")" * 50, "the expression nests parentheses deeper than 40 levels"),
    ],
)
def test_what_cannot_be_asked_is_refused(shape: type[msgspec.Struct], expression: str, message: str) -> None:
    with pytest.raises(FilterError) as refused:
        compile_filter(expression, shape)
    assert str(refused.value) == PREFIX + message
    assert PREFIX == "Failed to create boolean expression evaluator: "


def test_an_empty_expression_keeps_everything_and_a_space_is_an_error() -> None:
    assert filtered("", consul.NodeService, [WEB, PROXY]) == [WEB, PROXY]
    with pytest.raises(FilterError, match="no match found"):
        filtered(" ", consul.NodeService, [WEB])


def test_rows_keep_their_order() -> None:
    rows = [consul.Node(node=name) for name in ("c", "a", "b")]
    assert [row.node for row in filtered("Node != a", consul.Node, rows)] == ["c", "b"]


def test_a_pattern_that_costs_too_much_ends_with_an_error() -> None:
    keep = compile_filter("Output matches `(a|b)*a" + "(a|b)" * 300 + "c`", consul.HealthCheck)
    output = "".join(format(number, "0400b").replace("0", "a").replace("1", "b") for number in range(10_000))
    with pytest.raises(FilterError, match=f"^{PREFIX}the regular expression takes too much work"):
        keep(consul.HealthCheck(output=output))


def test_all_patterns_of_an_expression_together_are_limited() -> None:
    large = "Node matches `(abcdefghijklmnopqrst){90}`"
    assert filtered(large, consul.Node, [consul.Node(node="a")]) == []
    with pytest.raises(FilterError, match=f"^{PREFIX}the regular expression takes too much work"):
        compile_filter(" or ".join([large] * 170), consul.Node)


def test_a_block_of_the_wrong_form_selects_nothing() -> None:
    row = consul.NodeService(proxy=msgspec.Raw(b'{"Upstreams":5}'), connect=msgspec.Raw(b"null"))
    assert not keeps("Proxy.Upstreams.DestinationName == a", row)
    assert not keeps("Connect.Native == true", row)


TEXTS = st.text(st.characters(exclude_characters='"\\\n', exclude_categories=["Cs"]), max_size=4)
SERVICES = st.builds(
    consul.NodeService,
    id=TEXTS,
    port=st.integers(0, 3),
    tags=st.lists(TEXTS, max_size=3),
    meta=st.none() | st.dictionaries(st.sampled_from(["a", "b"]), TEXTS, max_size=2),
    enable_tag_override=st.booleans(),
)
QUESTIONS = st.sampled_from(
    ["ID == {}", "ID contains {}", "{} in Tags", "Meta.a == {}", "{} in Meta", "Tags is empty", "Meta is empty"]
)


def asked(question: str, value: str) -> str:
    return question.format(f'"{value}"')


@given(SERVICES, QUESTIONS, TEXTS)
def test_the_opposite_of_a_question_keeps_the_other_rows(row: consul.NodeService, question: str, value: str) -> None:
    opposites = {"==": "!=", "contains": "not contains", " in ": " not in ", "is empty": "is not empty"}
    word = next(word for word in opposites if word in question)
    expression = asked(question, value)
    opposite = asked(question.replace(word, opposites[word]), value)
    assert keeps(expression, row) is not keeps(opposite, row)
    assert keeps(f"not {expression}", row) is not keeps(expression, row)


@given(SERVICES, QUESTIONS, QUESTIONS, TEXTS)
def test_and_and_or_are_what_they_say(row: consul.NodeService, left: str, right: str, value: str) -> None:
    first, second = asked(left, value), asked(right, value)
    assert keeps(f"{first} and {second}", row) is (keeps(first, row) and keeps(second, row))
    assert keeps(f"{first} or {second}", row) is (keeps(first, row) or keeps(second, row))
    assert keeps(f"not ({first} or {second})", row) is keeps(f"not {first} and not {second}", row)


@given(SERVICES, TEXTS)
def test_questions_mean_what_python_means(row: consul.NodeService, value: str) -> None:
    expected: dict[str, Any] = {
        "ID == {}": row.id == value,
        "ID contains {}": value in row.id,
        "{} in Tags": value in row.tags,
        "Meta.a == {}": (row.meta or {}).get("a") == value,
        "{} in Meta": value in (row.meta or {}),
        "Tags is empty": not row.tags,
        "Meta is empty": not row.meta,
        "Port == 2": row.port == 2,
        "EnableTagOverride == t": row.enable_tag_override,
    }
    assert {question: keeps(asked(question, value), row) for question in expected} == expected
