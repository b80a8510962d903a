"""Which columns the tables have; the rows are those of `views`."""

from __future__ import annotations

from .output import Column, Row, shortened

SERVICES = (
    Column("NAME", "name"),
    Column("INSTANCES", "instances"),
    Column("PASSING", "passing"),
    Column("TAGS", "tags"),
)
INSTANCES = (
    Column("ID", "id"),
    Column("ADDRESS", "endpoint"),
    Column("STATUS", "status"),
    Column("VERSION", "version"),
    Column("TAGS", "tags"),
)
ANY_INSTANCES = (Column("SERVICE", "service"), *INSTANCES)
HEALTH = (
    Column("SERVICE", "service"),
    Column("STATUS", "status"),
    Column("INSTANCES", "instances"),
    Column("PASSING", "passing"),
    Column("WARNING", "warning"),
    Column("CRITICAL", "critical"),
    Column("MAINTENANCE", "maintenance"),
)


def _check_name(row: Row) -> str:
    return str(row["name"] or row["id"])


def _output(row: Row) -> str:
    return shortened(row["output"])


CHECKS = (
    Column("SERVICE", "service"),
    Column("INSTANCE", "instance"),
    Column("CHECK", _check_name),
    Column("STATUS", "status"),
    Column("OUTPUT", _output),
)
TRANSITIONS = (
    Column("AT", "at"),
    Column("INSTANCE", "instance"),
    Column("CHECK", "check"),
    Column("STATUS", "status"),
    Column("OUTPUT", _output),
)


def _failing(row: Row) -> str:
    return ",".join(check["name"] or check["id"] for check in row["checks"] if check["status"] != "passing")


FARING = (
    Column("ID", "id"),
    Column("ADDRESS", "endpoint"),
    Column("STATUS", "status"),
    Column("FAILING CHECKS", _failing),
)
