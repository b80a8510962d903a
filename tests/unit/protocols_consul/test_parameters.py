"""What parameters may say, and which mistake is told first."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.consul.parameters import boolean, node_meta, query_options
from homeport.wire.http import HTTPError, Request
from tests.unit.protocols_consul.reading import reading

STALE_CONFLICT = "Cannot specify ?stale with ?consistent, conflicting semantics."
CACHED_CONFLICT = "Cannot specify ?cached with ?consistent, conflicting semantics."
CACHE_CONTROL = "Invalid Cache-Control header."
ENTERPRISE = "a Consul Enterprise feature"
NAMESPACES = f'Invalid query parameter: "ns" - Namespaces are {ENTERPRISE}'
PARTITIONS = f'Invalid query parameter: "partition" - Partitions are {ENTERPRISE}'


def request(**query: str | list[str]) -> Request:
    values = {name.replace("_", "-"): [value] if isinstance(value, str) else value for name, value in query.items()}
    return Request(method="GET", path="/", query=values)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("index=x", "Invalid index"),
        ("index=-1", "Invalid index"),
        ("index=%2B1", "Invalid index"),
        ("index=1.0", "Invalid index"),
        ("index=0x10", "Invalid index"),
        ("index=1_0", "Invalid index"),
        ("index=%20", "Invalid index"),
        ("index=%D9%A1", "Invalid index"),  # a digit, but none of Go's
        ("index=18446744073709551616", "Invalid index"),
        ("wait=10", "Invalid wait time"),
        ("wait=x", "Invalid wait time"),
        ("wait=1y", "Invalid wait time"),
        ("wait=x&index=y", "Invalid wait time"),
        ("max_stale=5", 'Invalid max_stale value "5"'),
        ("max_stale=j%22", 'Invalid max_stale value "j\\""'),
        ("max_stale=j&wait=x&stale&consistent", 'Invalid max_stale value "j"'),
        ("stale&consistent", STALE_CONFLICT),
        ("stale=&consistent=", STALE_CONFLICT),
        ("leader&stale&consistent", STALE_CONFLICT),
        ("stale&consistent&cached&wait=x", STALE_CONFLICT),
        ("max_stale=5s&consistent", STALE_CONFLICT),
        ("cached&consistent", CACHED_CONFLICT),
        ("ns=x", NAMESPACES),
        ("ns=default", NAMESPACES),
        ("ns=x&wait=x", NAMESPACES),
        ("partition=x", PARTITIONS),
        ("ns=x&partition=x", NAMESPACES),
    ],
)
@pytest.mark.parametrize("target", ["health/service/web", "catalog/services", "health/state/any", "catalog/node/"])
async def test_a_mistake_is_told_in_consuls_words(target: str, query: str, text: str) -> None:
    async with reading() as api:
        answer = await api.get(f"{target}?{query}")
        assert (answer.status, answer.text) == (400, text)
        assert "x-consul-index" not in answer.headers


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ({"x-consul-namespace": "x"}, f'Invalid header: "X-Consul-Namespace" - Namespaces are {ENTERPRISE}'),
        ({"x-consul-partition": "x"}, f'Invalid header: "X-Consul-Partition" - Partitions are {ENTERPRISE}'),
        ({"cache-control": "max-age=x"}, CACHE_CONTROL),
        ({"cache-control": "max-age="}, CACHE_CONTROL),
        ({"cache-control": "max-age=1.5"}, CACHE_CONTROL),
        ({"cache-control": "Foo, MAX-AGE=1m"}, CACHE_CONTROL),
        ({"cache-control": "max-age=99999999999999999999"}, CACHE_CONTROL),
        ({"cache-control": "stale-if-error=x"}, CACHE_CONTROL),
    ],
)  # fmt: skip
async def test_a_mistake_in_a_header_is_told_in_consuls_words(header: dict[str, str], text: str) -> None:
    async with reading() as api:
        answer = await api.get("health/node/agent?wait=x", **header)
        assert (answer.status, answer.text) == (400, text)


@pytest.mark.parametrize(
    "value",
    ["max-age=10", "max-age=-1", "max-age=1, stale-if-error=5", "must-revalidate", "max-age = x", "no-cache", ""],
)
async def test_other_cache_controls_change_nothing(value: str) -> None:
    async with reading() as api:
        assert (await api.get("health/node/agent", cache_control=value)).status == 200


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("health/service/", "Missing service name"),
        ("health/connect/", "Missing service name"),
        ("health/checks/", "Missing service name"),
        ("health/node/", "Missing node name"),
        ("health/state/", "Missing check state"),
        ("catalog/service/", "Missing service name"),
        ("catalog/connect/", "Missing service name"),
        ("catalog/node/", "Missing node name"),
        ("catalog/node-services/", "Missing node name"),
    ],
)
async def test_a_missing_name_is_told_after_bad_options_and_before_another_datacenter(target: str, text: str) -> None:
    async with reading() as api:
        answer = await api.get(f"{target}?dc=elsewhere&filter=%20")
        assert (answer.status, answer.text) == (400, text)
        assert (await api.get(f"{target}?wait=x")).text == "Invalid wait time"


@pytest.mark.parametrize(
    "query", ["dc=dcx", "datacenter=dcx", "dc=DC1", "dc=dc1&datacenter=dcx", "dc=dcx&passing=junk"]
)
@pytest.mark.parametrize("target", ["health/service/web", "catalog/services", "catalog/node/agent", "health/state/any"])
async def test_there_is_no_path_to_another_datacenter(target: str, query: str) -> None:
    async with reading() as api:
        answer = await api.get(f"{target}?{query}&filter=%20")
        assert (answer.status, answer.text) == (500, "No path to datacenter")
        assert answer.headers["x-consul-index"] == "1"
        assert answer.headers["x-consul-knownleader"] == "false"
        assert answer.headers["x-consul-lastcontact"] == "0"
        assert "x-consul-effective-consistency" not in answer.headers


@pytest.mark.parametrize("query", ["dc=dc1", "datacenter=dc1", "dc=", "dc=dcx&datacenter=dc1", "datacenter=&dc=dc1"])
async def test_our_own_datacenter_may_be_named(query: str) -> None:
    async with reading() as api:
        assert (await api.get(f"health/service/web?{query}")).status == 200


@pytest.mark.parametrize("target", ["status/leader", "status/peers"])
async def test_status_takes_options_but_carries_no_index(target: str) -> None:
    async with reading() as api:
        answer = await api.get(f"{target}?dc=dcx")
        assert (answer.status, answer.text) == (500, "No path to datacenter")
        assert "x-consul-index" not in answer.headers
        assert (await api.get(f"{target}?wait=x")).text == "Invalid wait time"
        # Enterprise parameters are not looked at there.
        assert (await api.get(f"{target}?ns=x")).status == 200


@pytest.mark.parametrize(
    ("query", "consistency"),
    [
        ("", "leader"),
        ("?leader", "leader"),
        ("?stale", "stale"),
        ("?stale=false", "stale"),
        ("?leader&stale", "stale"),
        ("?consistent=", "consistent"),
        ("?leader&consistent", "consistent"),
        ("?max_stale=10s", "stale"),
        ("?max_stale=0s", "leader"),
        ("?max_stale=-5s&consistent", "consistent"),
        ("?max_stale=", "leader"),
    ],
)
async def test_the_answer_tells_how_consistent_it_is(query: str, consistency: str) -> None:
    async with reading() as api:
        headers = (await api.get(f"health/service/web{query}")).headers
        assert headers["x-consul-effective-consistency"] == consistency
        assert headers["x-consul-knownleader"] == "true"
        assert headers["x-consul-lastcontact"] == "0"
        assert headers["x-consul-query-backend"] == "blocking-query"


@given(st.integers(min_value=0, max_value=(1 << 64) - 1), st.sampled_from((0, 1, 30, 10_000)))
def test_every_index_of_64_bits_is_understood(index: int, zeros: int) -> None:
    assert query_options(request(index="0" * zeros + str(index))).after == index


@given(st.text(max_size=5))
def test_no_text_as_index_is_a_surprise(text: str) -> None:
    if re.fullmatch("[0-9]*", text):
        assert query_options(request(index=text)).after == int(text or "0")
    else:
        with pytest.raises(HTTPError, match="Invalid index"):
            query_options(request(index=text))


@pytest.mark.parametrize("value", ["", "1", "t", "T", "TRUE", "true", "True"])
def test_what_is_true(value: str) -> None:
    assert boolean(request(passing=value), "passing")


@pytest.mark.parametrize("value", ["0", "f", "F", "FALSE", "false", "False"])
def test_what_is_false(value: str) -> None:
    assert not boolean(request(passing=value), "passing")
    assert not boolean(request(), "passing")


@pytest.mark.parametrize("value", ["junk", "yes", "tRUE", " ", "2"])
async def test_what_is_neither(value: str) -> None:
    async with reading() as api:
        answer = await api.get(f"health/service/web?passing={value.replace(' ', '%20')}")
        assert (answer.status, answer.text) == (400, "Invalid value for ?passing")
        # Elsewhere the parameter has no meaning.
        assert (await api.get("catalog/service/web?passing=junk")).status == 200


def test_node_metadata_are_pairs_of_which_the_last_of_a_key_counts() -> None:
    asked = request(node_meta=["a:1", "b", "c:x:y", "a:2"])
    assert dict(node_meta(asked)) == {"a": "2", "b": "", "c": "x:y"}


async def test_nodes_are_in_no_namespace_but_in_a_partition() -> None:
    async with reading() as api:
        assert (await api.get("catalog/nodes?ns=x")).status == 200
        assert (await api.get("catalog/nodes?partition=x")).text == PARTITIONS
