"""The headers that tell a client of a blocking query where it stands.

Source: https://developer.hashicorp.com/consul/api-docs/features/blocking, and the answers of Consul itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Consistency = Literal["leader", "stale", "consistent"]


def index_headers(index: int, consistency: Consistency) -> list[tuple[str, str]]:
    """The headers of an answer that stands at ``index``, named and ordered as Consul sends them."""
    return [
        ("X-Consul-Effective-Consistency", consistency),
        ("X-Consul-Index", str(index or 1)),
        ("X-Consul-Knownleader", "true"),
        ("X-Consul-Lastcontact", "0"),
        ("X-Consul-Query-Backend", "blocking-query"),
    ]


def failure_headers() -> Sequence[tuple[str, str]]:
    """The index headers of a read that failed before it reached any data."""
    return (
        ("X-Consul-Index", "1"),
        ("X-Consul-Knownleader", "false"),
        ("X-Consul-Lastcontact", "0"),
        ("X-Consul-Query-Backend", "blocking-query"),
    )
