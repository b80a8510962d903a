"""What makes an object invalid, in the words of the API server."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.servers.kubernetes.simulation.statuses import Cause, invalid_value, required, unsupported_value

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
NO_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
NO_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
NO_QUALIFIED_NAME = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
NO_LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
NO_PORT = "must be between 1 and 65535, inclusive"
PROTOCOLS = ("SCTP", "TCP", "UDP")
MOST_ENDPOINTS = 1000
LONGEST_LABEL, LONGEST_SUBDOMAIN = 63, 253


def label_causes(value: str, field: str) -> Iterator[Cause]:
    """What keeps a value from being a DNS-1123 label."""
    if len(value) > LONGEST_LABEL:
        yield invalid_value(field, value, f"must be no more than {LONGEST_LABEL} bytes")
    if not LABEL.fullmatch(value):
        yield invalid_value(field, value, NO_LABEL)


def subdomain_causes(value: str, field: str) -> Iterator[Cause]:
    """What keeps a value from being a DNS-1123 subdomain."""
    if len(value) > LONGEST_SUBDOMAIN:
        yield invalid_value(field, value, f"must be no more than {LONGEST_SUBDOMAIN} bytes")
    if not SUBDOMAIN.fullmatch(value):
        yield invalid_value(field, value, NO_SUBDOMAIN)


def metadata_causes(metadata: Mapping[str, Any], *, label_names: bool) -> Iterator[Cause]:
    """What is wrong with the metadata of any kind."""
    causes = label_causes if label_names else subdomain_causes
    prefix, name = metadata.get("generateName", ""), metadata.get("name", "")
    if prefix:
        # One character that may stand at the end stands for what will be appended.
        for cause in causes(
            prefix.removesuffix("-") + "a" if prefix.endswith("-") else prefix, "metadata.generateName"
        ):
            yield invalid_value(cause.field, prefix, cause.message.partition(": ")[2].partition(": ")[2])
    if name:
        yield from causes(name, "metadata.name")
    else:
        yield required("metadata.name", "name or generateName is required")
    for key, value in (metadata.get("labels") or {}).items():
        yield from _key_causes(key, "metadata.labels")
        if len(value) > LONGEST_LABEL:
            yield invalid_value("metadata.labels", value, f"must be no more than {LONGEST_LABEL} bytes")
        if value and not QUALIFIED.fullmatch(value):
            yield invalid_value("metadata.labels", value, NO_LABEL_VALUE)
    for key in metadata.get("annotations") or {}:
        yield from _key_causes(key.lower(), "metadata.annotations")
    for owner in metadata.get("ownerReferences") or []:
        for key, why in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "")):
            if not owner.get(key):
                yield invalid_value(f"metadata.ownerReferences.{key}", "", f"{why} must not be empty".strip())


def _key_causes(key: str, field: str) -> Iterator[Cause]:
    prefix, slash, name = key.rpartition("/")
    if slash and not SUBDOMAIN.fullmatch(prefix):
        yield invalid_value(field, key, f"prefix part {NO_SUBDOMAIN}")
    if len(name) > LONGEST_LABEL:
        yield invalid_value(field, key, f"name part must be no more than {LONGEST_LABEL} bytes")
    if not QUALIFIED.fullmatch(name):
        yield invalid_value(field, key, NO_QUALIFIED_NAME)


def endpoint_slice_causes(found: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[Cause]:
    """What is wrong with an EndpointSlice."""
    kind = found.get("addressType", "")
    if before is not None and kind != before["addressType"]:
        yield invalid_value("addressType", kind, "field is immutable")
        return
    if not kind:
        yield required("addressType")
        return
    if kind not in {"FQDN", "IPv4", "IPv6"}:
        yield unsupported_value("addressType", kind, ("FQDN", "IPv4", "IPv6"))
        return
    names: set[str] = set()
    for number, port in enumerate(found.get("ports") or []):
        name = port.get("name", "")
        if name in names:
            yield Cause(f"ports[{number}].name", "FieldValueDuplicate", f'Duplicate value: "{name}"')
        names.add(name)
        if name:
            yield from label_causes(name, f"ports[{number}].name")
        if port["protocol"] not in PROTOCOLS:
            yield unsupported_value(f"ports[{number}].protocol", port["protocol"], PROTOCOLS)
    endpoints = found.get("endpoints") or []
    if len(endpoints) > MOST_ENDPOINTS:
        why = f"Too many: {len(endpoints)}: must have at most {MOST_ENDPOINTS} items"
        yield Cause("endpoints", "FieldValueTooMany", why)
        return
    for number, endpoint in enumerate(endpoints):
        field = f"endpoints[{number}]"
        addresses = endpoint.get("addresses") or []
        if not addresses:
            yield required(f"{field}.addresses", "must contain at least 1 address")
        for position, address in enumerate(addresses):
            yield from _address_causes(address, kind, field, position)
        if endpoint.get("nodeName"):
            yield from subdomain_causes(endpoint["nodeName"], f"{field}.nodeName")
        if endpoint.get("hostname"):
            yield from label_causes(endpoint["hostname"], f"{field}.hostname")


def _address_causes(address: str, kind: str, endpoint: str, position: int) -> Iterator[Cause]:
    field = f"{endpoint}.addresses[{position}]"
    if kind == "FQDN":
        yield from subdomain_causes(address, field)
        return
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        zeros = re.fullmatch(r"[\d.]+", address) and any(
            len(part) > 1 and part[0] == "0" for part in address.split(".")
        )
        why = "must not have leading 0s" if zeros else "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        yield invalid_value(field, address, why)
        return
    if parsed.version != int(kind[-1]):
        yield invalid_value(f"{endpoint}.addresses", address, f"must be an {kind} address")
    if parsed.is_unspecified:
        yield invalid_value(field, address, f"may not be unspecified ({address})")
    if parsed.is_loopback:
        yield invalid_value(field, address, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if parsed.is_link_local:
        yield invalid_value(field, address, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")


def service_causes(found: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[Cause]:
    """What is wrong with a Service."""
    spec = found.get("spec") or {}
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    for number, port in enumerate(ports):
        field = f"spec.ports[{number}]"
        if len(ports) > 1 and not port.get("name"):
            yield required(f"{field}.name")
        elif port.get("name"):
            yield from label_causes(port["name"], f"{field}.name")
        if not 1 <= port.get("port", 0) <= 65535:
            yield invalid_value(f"{field}.port", port.get("port", 0), NO_PORT)
        if port["protocol"] not in PROTOCOLS:
            yield unsupported_value(f"{field}.protocol", port["protocol"], PROTOCOLS)
        if isinstance(port["targetPort"], int) and not 1 <= port["targetPort"] <= 65535:
            yield invalid_value(f"{field}.targetPort", port["targetPort"], NO_PORT)
    types = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec["type"] not in types:
        yield unsupported_value("spec.type", spec["type"], types)


def lease_causes(found: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[Cause]:
    """What is wrong with a Lease."""
    spec = found.get("spec") or {}
    if spec.get("leaseDurationSeconds", 1) <= 0:
        yield invalid_value("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
    if spec.get("leaseTransitions", 0) < 0:
        why = "must be greater than or equal to 0"
        yield invalid_value("spec.leaseTransitions", spec["leaseTransitions"], why)


def pod_causes(found: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[Cause]:
    """What is wrong with a Pod, as far as it is looked at."""
    if not (found.get("spec") or {}).get("containers"):
        yield required("spec.containers")
