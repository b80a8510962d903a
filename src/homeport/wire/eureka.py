"""The JSON shapes of Eureka's REST API, read tolerantly and written in the one form that every reader takes.

What is written is the form of Netflix' legacy codec, which stands on the wire between a Netflix server and its
clients: everything wrapped in its name, lists always lists, numbers and booleans of an instance as text, nothing null.
What is read may be any form that a server or a client is known to send: numbers as text and the other way round, one
object in place of a list, nulls, fields that nobody knows, wrapped or not. Source of the rules: the codecs of
https://github.com/Netflix/eureka (``EurekaJacksonCodec``) and what Spring Cloud's and other clients read and write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

UP: Final = "UP"
DOWN: Final = "DOWN"
STARTING: Final = "STARTING"
OUT_OF_SERVICE: Final = "OUT_OF_SERVICE"
UNKNOWN: Final = "UNKNOWN"

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"

MY_OWN: Final = "MyOwn"
AMAZON: Final = "Amazon"
DEFAULT_DATA_CENTER_CLASS: Final = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
AMAZON_CLASS: Final = "com.netflix.appinfo.AmazonInfo"
EMPTY_METADATA: Final = {"@class": "java.util.Collections$EmptyMap"}
"""How an empty map of metadata is written; readers that drop the key ``@class`` get an empty one."""


class Port(msgspec.Struct, frozen=True, kw_only=True, rename={"number": "$", "enabled": "@enabled"}):
    """A port, and whether somebody listens there."""

    number: int | None = None
    enabled: bool | None = None


class LeaseInfo(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "renewal_interval": "renewalIntervalInSecs",
        "duration": "durationInSecs",
        "registered_at": "registrationTimestamp",
        "renewed_at": "lastRenewalTimestamp",
        "evicted_at": "evictionTimestamp",
        "up_at": "serviceUpTimestamp",
    },
):
    """A lease: two durations in seconds, and times in Unix milliseconds, 0 for never.

    ``renewed_at`` of a Netflix server is the time of the last renewal plus the duration.
    """

    renewal_interval: int | None = 30
    duration: int | None = 90
    registered_at: int | None = 0
    renewed_at: int | None = 0
    evicted_at: int | None = 0
    up_at: int | None = 0


class DataCenterInfo(msgspec.Struct, frozen=True, kw_only=True, rename={"java_class": "@class"}):
    """Where an instance runs: ``MyOwn``, or ``Amazon`` with metadata of its machine."""

    java_class: str | None = None
    name: str | None = MY_OWN
    metadata: dict[str, Any] | None = None


class InstanceInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One instance. A missing status is ``UP``, as for Netflix' own codec. Timestamps are Unix milliseconds."""

    instance_id: str | None = None
    host_name: str | None = None
    app: str | None = None
    ip_addr: str | None = None
    vip_address: str | None = None
    secure_vip_address: str | None = None
    app_group_name: str | None = None
    asg_name: str | None = None
    sid: str | None = None
    status: str | None = UP
    overridden_status: str | None = None
    overridden_status_lower: str | None = msgspec.field(default=None, name="overriddenstatus")
    port: Port | int | None = None
    secure_port: Port | int | None = None
    country_id: int | None = 1
    data_center_info: DataCenterInfo | None = None
    lease_info: LeaseInfo | None = None
    metadata: dict[str, Any] | None = None
    home_page_url: str | None = None
    status_page_url: str | None = None
    health_check_url: str | None = None
    secure_health_check_url: str | None = None
    is_coordinating_discovery_server: bool | None = None
    last_updated_timestamp: int | None = None
    last_dirty_timestamp: int | None = None
    action_type: str | None = None

    @property
    def id(self) -> str:
        """What it is known by: its id, else Amazon's, else its host name; "" when it has none of them."""
        amazon = self.data_center_info.metadata if self.data_center_info is not None else None
        return self.instance_id or str((amazon or {}).get("instance-id") or "") or self.host_name or ""

    @property
    def override(self) -> str:
        """The status that an operator set over its own, ``UNKNOWN`` for none; some write the key in lower case."""
        return self.overridden_status or self.overridden_status_lower or UNKNOWN

    @property
    def properties(self) -> dict[str, str]:
        """The metadata as text to text: nulls and the name of a Java class are left out, the rest becomes JSON text."""
        return {
            name: content if isinstance(content, str) else msgspec.json.encode(content).decode()
            for name, content in (self.metadata or {}).items()
            if content is not None and name != "@class"
        }


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that has not the shape of one: what can be told of it, and what is wrong."""

    app: str = ""
    id: str = ""
    status: str = UNKNOWN
    action_type: str = ""
    reason: str = ""


class Applications(msgspec.Struct, frozen=True, kw_only=True):
    """Instances of any number of applications: all of them, or in a delta those that changed.

    ``version`` and ``hashcode`` are None where the answer has none that can be read. The hash code describes all
    instances of the server, in a delta too.
    """

    instances: tuple[InstanceInfo, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    version: int | None = None
    hashcode: str | None = None


class _Application(msgspec.Struct):
    name: str | None = None
    instance: list[InstanceInfo] | InstanceInfo | None = None


class _Applications(msgspec.Struct, rename={"version": "versions__delta", "hashcode": "apps__hashcode"}):
    application: list[_Application] | _Application | None = None
    version: int | None = None
    hashcode: str | None = None


class _ApplicationsBody(msgspec.Struct):
    applications: _Applications


_APPLICATIONS = msgspec.json.Decoder(_ApplicationsBody, strict=False)
_TREE = msgspec.json.Decoder()


def hashcode(statuses: Mapping[str, int]) -> str:
    """What ``apps__hashcode`` is for that many instances of each status: ``DOWN_1_UP_3_``, "" for none."""
    return "".join(f"{status}_{count}_" for status, count in sorted(statuses.items()) if count)


def decode_applications(body: bytes) -> Applications:
    """The answer to a question for all applications, or for a delta. Instances that are none are told apart.

    Raises:
        msgspec.DecodeError: it is no such answer.
        UnicodeDecodeError: it is no text.
    """
    try:
        found = _APPLICATIONS.decode(body).applications
    except msgspec.ValidationError:  # one value is not what it should be; look which
        return _applications(_member(_TREE.decode(body), "applications"))
    if found.application is None and found.version is None and found.hashcode is None:
        raise msgspec.ValidationError("it names neither applications nor a version nor a hash code")
    applications = found.application or []
    instances: list[InstanceInfo] = []
    for application in applications if isinstance(applications, list) else [applications]:
        members = application.instance or []
        instances.extend(
            _of_app(one, application.name) for one in (members if isinstance(members, list) else [members])
        )
    return Applications(instances=tuple(instances), version=found.version, hashcode=found.hashcode)


def decode_application(body: bytes) -> Applications:
    """The answer to a question for one application.

    Raises:
        msgspec.DecodeError: it is no such answer.
        UnicodeDecodeError: it is no text.
    """
    return _applications({"application": _member(_TREE.decode(body), "application")})


def decode_instance(body: bytes) -> InstanceInfo:
    """One instance: the answer to a question for it, or a registration; wrapped in its name or not.

    Raises:
        msgspec.DecodeError: it is none.
        UnicodeDecodeError: it is no text.
    """
    tree = _TREE.decode(body)
    if isinstance(tree, dict) and isinstance(tree.get("instance"), dict):
        tree = tree["instance"]
    elif not isinstance(tree, dict) or not ({"instanceId", "hostName"} & tree.keys()):
        raise msgspec.ValidationError("it is no instance")
    return msgspec.convert(tree, InstanceInfo, strict=False)


def encode_instance(info: InstanceInfo) -> bytes:
    """An instance as a registration or an answer carries it."""
    return msgspec.json.encode({"instance": _rendered(info)})


def encode_applications(instances: Iterable[InstanceInfo], *, version: int, hashcode: str) -> bytes:
    """All applications of a server, or a delta, with the instances grouped by their ``app`` in the order they come."""
    groups: dict[str, list[dict[str, object]]] = {}
    for info in instances:
        groups.setdefault(info.app or "", []).append(_rendered(info))
    return msgspec.json.encode(
        {
            "applications": {
                "versions__delta": str(version),
                "apps__hashcode": hashcode,
                "application": [{"name": name, "instance": members} for name, members in groups.items()],
            }
        }
    )


def _of_app(info: InstanceInfo, name: str | None) -> InstanceInfo:
    """An instance that does not say of which application it is, is of the one it stands in."""
    return info if info.app else msgspec.structs.replace(info, app=name or "")


def _applications(tree: dict[str, Any]) -> Applications:
    """What stands within ``applications``, value by value."""
    if not {"application", "versions__delta", "apps__hashcode"} & tree.keys():
        raise msgspec.ValidationError("it names neither applications nor a version nor a hash code")
    instances: list[InstanceInfo] = []
    unreadable: list[Unreadable] = []
    for application in _listed(tree.get("application")):
        if not isinstance(application, dict):
            raise msgspec.ValidationError("an application is no object")
        name = application.get("name")
        for one in _listed(application.get("instance")):
            try:
                info = msgspec.convert(one, InstanceInfo, strict=False)
            except msgspec.ValidationError as error:
                unreadable.append(_unreadable(one, name, str(error)))
            else:
                instances.append(_of_app(info, str(name or "")))
    hashcode = tree.get("apps__hashcode")
    return Applications(
        instances=tuple(instances),
        unreadable=tuple(unreadable),
        version=_version(tree.get("versions__delta")),
        hashcode=hashcode if isinstance(hashcode, str) else None,
    )


def _unreadable(one: object, app: object, reason: str) -> Unreadable:
    known = one if isinstance(one, dict) else {}
    return Unreadable(
        app=str(known.get("app") or app or ""),
        id=str(known.get("instanceId") or known.get("hostName") or ""),
        status=str(known.get("status") or UNKNOWN),
        action_type=str(known.get("actionType") or ""),
        reason=reason,
    )


def _member(tree: object, name: str) -> dict[str, Any]:
    content = tree.get(name) if isinstance(tree, dict) else None
    if not isinstance(content, dict):
        raise msgspec.ValidationError(f'it has no object "{name}"')
    return content


def _listed(content: object) -> list[Any]:
    if content is None:
        return []
    return content if isinstance(content, list) else [content]


def _version(content: object) -> int | None:
    try:
        return int(str(content))
    except ValueError:
        return None


def _rendered(info: InstanceInfo) -> dict[str, object]:
    center = info.data_center_info or DataCenterInfo()
    amazon = center.name == AMAZON
    lease = info.lease_info or LeaseInfo()
    content: dict[str, object | None] = {
        "instanceId": info.instance_id,
        "hostName": info.host_name,
        "app": info.app,
        "ipAddr": info.ip_addr,
        "status": info.status or UNKNOWN,
        "overriddenStatus": info.override,
        "port": _port(info.port, default=7001, enabled=True),
        "securePort": _port(info.secure_port, default=7002, enabled=False),
        "countryId": 1 if info.country_id is None else info.country_id,
        # The class is what Java readers choose their type by, and metadata within MyOwn make them refuse everything.
        "dataCenterInfo": {
            "@class": AMAZON_CLASS if amazon else DEFAULT_DATA_CENTER_CLASS,
            "name": AMAZON if amazon else MY_OWN,
            **({"metadata": center.metadata or {}} if amazon else {}),
        },
        "leaseInfo": {
            "renewalIntervalInSecs": lease.renewal_interval or 30,
            "durationInSecs": lease.duration or 90,
            "registrationTimestamp": lease.registered_at or 0,
            "lastRenewalTimestamp": lease.renewed_at or 0,
            "evictionTimestamp": lease.evicted_at or 0,
            "serviceUpTimestamp": lease.up_at or 0,
        },
        "metadata": info.properties or EMPTY_METADATA,
        "appGroupName": info.app_group_name,
        "asgName": info.asg_name,
        "homePageUrl": info.home_page_url,
        "statusPageUrl": info.status_page_url,
        "healthCheckUrl": info.health_check_url,
        "secureHealthCheckUrl": info.secure_health_check_url,
        "vipAddress": info.vip_address,
        "secureVipAddress": info.secure_vip_address,
        "isCoordinatingDiscoveryServer": "true" if info.is_coordinating_discovery_server else "false",
        "lastUpdatedTimestamp": str(info.last_updated_timestamp or 0),
        "lastDirtyTimestamp": str(info.last_dirty_timestamp or 0),
        "actionType": info.action_type or ADDED,
    }
    return {name: value for name, value in content.items() if value is not None}


def _port(port: Port | int | None, *, default: int, enabled: bool) -> dict[str, object]:
    if port is None:
        port = Port(number=default, enabled=enabled)
    elif isinstance(port, int):
        port = Port(number=port, enabled=True)
    number = default if port.number is None else port.number
    return {"$": number, "@enabled": "true" if port.enabled else "false"}
