"""Which of the backends that come with Homeport can do what others cannot, by their schemes.

A test holds this against the backends themselves. The registry that is ``embedded`` in a program can what ``homeport``
can, and is not named apart.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in homeport/__init__.py: the errors, which use this, are loaded by every program
if TYPE_CHECKING:
    from collections.abc import Sequence

FINDING = ("homeport", "consul", "etcd", "kubernetes", "eureka", "dns", "static")
LISTING = ("homeport", "consul", "etcd", "kubernetes", "eureka", "static")
"""To tell the names of all services."""
DATACENTERS = LISTING
"""To tell what is in one datacenter."""
REGISTERING = ("homeport", "consul", "etcd", "kubernetes", "eureka")
CHECKS = ("homeport", "consul")
"""To register health checks, list them and take reports about them."""
RUNNING_CHECKS = ("homeport",)
"""To run a check when somebody asks for it."""
EXPECTING = ("homeport",)
"""To expect a status or a body of what a check asks."""
HISTORY = ("homeport",)
"""To keep the changes of checks."""
SOURCES = ("homeport",)
"""To mirror the services of other backends."""
QUERIES = ("consul",)
"""To have prepared queries."""
KEYS = ("consul", "etcd")
"""To keep values under keys."""

_NAMES = {
    "homeport": "a Homeport registry", "consul": "Consul", "etcd": "etcd", "kubernetes": "Kubernetes",
    "eureka": "Eureka", "dns": "DNS", "static": "a file",
}  # fmt: skip


def in_words(schemes: Sequence[str]) -> str:
    """A choice of backends for people: each by its name and how its URL begins, at least one."""
    *others, last = (f"{_NAMES[one]} ({one}://)" if one in _NAMES else f"{one}://" for one in schemes)
    return f"{', '.join(others)} or {last}" if others else last
