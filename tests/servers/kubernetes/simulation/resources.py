"""Create, read, update, apply and delete, on the storage."""

import copy
import ipaddress
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from tests.servers.kubernetes.simulation import apply as patches
from tests.servers.kubernetes.simulation.kinds import Kind, Object
from tests.servers.kubernetes.simulation.schemas import DecodingError, decode, unknown_fields
from tests.servers.kubernetes.simulation.statuses import (
    Refusal,
    bad_request,
    conflict,
    details_of,
    invalid,
    invalid_value,
    not_found,
    qualified,
)
from tests.servers.kubernetes.simulation.storage import Storage
from tests.servers.kubernetes.simulation.validation import metadata_causes

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
OTHER_NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"
# Letters of generated names: no vowels, so that no words come out.
SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
ADDRESSES = ipaddress.ip_network("10.0.0.0/16")


def now(*, ahead: float = 0.0) -> str:
    """The time as the API writes it."""
    return (datetime.now(UTC) + timedelta(seconds=ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Resources:
    """The operations on objects; each is atomic, since nothing else runs in between."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def read(self, kind: Kind, namespace: str, name: str) -> Object:
        """The object; 404 without it."""
        found = self._storage.get(kind.plural, (namespace, name))
        if found is None:
            raise not_found(kind.plural, kind.group, name)
        return found

    def decode(self, kind: Kind, body: Any, *, strict: bool = False) -> Object:
        """The object of a request's body; 400 if it is another kind, or a field has another type."""
        version, name = body.get("apiVersion", ""), body.get("kind", "")
        if (version and version != kind.api_version) or (name and name != kind.name):
            if name in {"", kind.name}:
                why = f'no kind "{kind.name}" is registered for version "{version}" in scheme "stand-in"'
            else:
                why = f"converting ({version}.{name}) to (core.{kind.name}): unknown conversion"
            raise bad_request(
                f'{name or kind.name} in version "{version.rpartition("/")[2]}" cannot be handled as a '
                f"{kind.name}: {why}"
            )
        try:
            decoded: Object = decode(body, kind.schema, where=kind.name, strict=strict)
        except DecodingError as error:
            raise bad_request(f'{kind.name} in version "v1" cannot be handled as a {kind.name}: {error}') from None
        for key in ("renewTime", "acquireTime"):
            moment = (decoded.get("spec") or {}).get(key)
            if kind.name == "Lease" and moment is not None and "." not in moment:
                raise bad_request(
                    f'Lease in version "v1" cannot be handled as a Lease: parsing time "{moment}" as '
                    f'"2006-01-02T15:04:05.000000Z07:00": cannot parse "{moment[19:]}" as ".000000"'
                )
        return {"metadata": {}, **decoded, "kind": kind.name, "apiVersion": kind.api_version}

    def create(self, kind: Kind, namespace: str, found: Object, *, dry_run: bool = False) -> Object:
        """Write an object that is not there; 409 if it is, 404 or 403 if its namespace is not or ends."""
        metadata = found["metadata"]
        self._check_namespace(kind, namespace, metadata)
        if metadata.get("resourceVersion"):
            raise Refusal(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            suffix = "".join(random.choices(SUFFIX_LETTERS, k=SUFFIX_LENGTH))
            metadata["name"] = metadata["generateName"] + suffix
        name = metadata.get("name", "")
        if namespace:
            self._check_open(kind, namespace, name)
            metadata["namespace"] = namespace
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            metadata.pop(key, None)
        metadata |= {"uid": str(uuid4()), "creationTimestamp": now()}
        if kind.counted:
            metadata["generation"] = 1
        else:
            metadata.pop("generation", None)
        if kind.name == "Pod":
            found.pop("status", None)
        self._complete(kind, found, None)
        if self._storage.get(kind.plural, (namespace, name)) is not None:
            message = f'{qualified(kind.plural, kind.group)} "{name}" already exists'
            raise Refusal(409, "AlreadyExists", message, details=details_of(kind.plural, kind.group, name))
        if dry_run:
            return found
        return self._storage.commit(kind.plural, (namespace, name), found)

    def update(
        self, kind: Kind, namespace: str, name: str, found: Object, *, subresource: str = "", dry_run: bool = False
    ) -> tuple[Object, bool]:
        """Replace an object, or only its status; what is there now, and whether it was created.

        409 if it is another object, or not the version that the request names.
        """
        metadata = found["metadata"]
        if metadata.get("name") != name:
            raise bad_request(
                f"the name of the object ({metadata.get('name', '')}) does not match the name on the URL ({name})"
            )
        self._check_namespace(kind, namespace, metadata)
        before = self._storage.get(kind.plural, (namespace, name))
        if before is None:
            if not kind.created_by_update or metadata.get("resourceVersion"):
                raise not_found(kind.plural, kind.group, name)
            return self.create(kind, namespace, found, dry_run=dry_run), True
        return self._replace(kind, (namespace, name), before, found, subresource=subresource, dry_run=dry_run), False

    def merge(
        self, kind: Kind, namespace: str, name: str, patch: Any, *, subresource: str = "", dry_run: bool = False
    ) -> Object:
        """Apply a merge patch."""
        before = self.read(kind, namespace, name)
        if not isinstance(patch, dict):
            raise bad_request("json: cannot unmarshal array into Go value of type map[string]interface {}")
        found = self.decode(kind, patches.merge(before, patch))
        if found["metadata"].get("name") != name:
            changed = found["metadata"].get("name", "")
            raise bad_request(f"the name of the object ({changed}) does not match the name on the URL ({name})")
        if "resourceVersion" not in (patch.get("metadata") or {}):
            found["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
        return self._replace(kind, (namespace, name), before, found, subresource=subresource, dry_run=dry_run)

    def apply(
        self, kind: Kind, namespace: str, name: str, applied: Object, *, manager: str, force: bool, dry_run: bool
    ) -> tuple[Object, bool]:
        """Server-side apply; what is there now, and whether it was created."""
        if not applied.get("apiVersion") or not applied.get("kind"):
            raise bad_request(f"invalid object type: /, Kind={applied.get('kind', '')}")
        unknown = unknown_fields(applied, kind.schema, where=kind.name)
        if unknown:
            metadata = applied.get("metadata") or {}
            which = f"{metadata.get('namespace', '')}/{name}; {kind.api_version}, Kind={kind.name}"
            why = f".{unknown[0]}: field not declared in schema"
            raise Refusal(500, "", f"failed to create typed patch object ({which}): {why}")
        before = self._storage.get(kind.plural, (namespace, name))
        found = self.decode(kind, patches.apply(before, applied, manager=manager, force=force))
        found["metadata"]["name"] = name
        if before is None:
            return self.create(kind, namespace, found, dry_run=dry_run), True
        asked = (applied.get("metadata") or {}).get("resourceVersion")
        found["metadata"]["resourceVersion"] = asked or before["metadata"]["resourceVersion"]
        return self._replace(kind, (namespace, name), before, found, dry_run=dry_run), False

    def delete(self, kind: Kind, namespace: str, name: str, options: Mapping[str, Any]) -> Object:
        """Remove an object; the object as it was, or a Status, as the kind has it. 409 if a precondition fails."""
        before = self.read(kind, namespace, name)
        metadata = before["metadata"]
        preconditions = options.get("preconditions") or {}
        uid, version = preconditions.get("uid"), preconditions.get("resourceVersion")
        if uid is not None and uid != metadata["uid"]:
            why = f"the UID in the precondition ({uid}) does not match the UID in record ({metadata['uid']}). "
            why += "The object might have been deleted and then recreated"
            raise conflict(kind.name, kind.group, name, why)
        if version is not None and version != metadata["resourceVersion"]:
            why = f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
            why += f"({metadata['resourceVersion']}). The object might have been modified"
            raise conflict(kind.name, kind.group, name, why)
        after = self._remove(kind, (namespace, name), before, options)
        if kind.returned_when_deleted:
            return after
        details = {**details_of(kind.plural, kind.group, name), "uid": metadata["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _remove(self, kind: Kind, key: tuple[str, str], before: Object, options: Mapping[str, Any]) -> Object:
        if kind.name == "Namespace":
            # Without a controller that removes its content it stays like this.
            ending = copy.deepcopy(before)
            ending["metadata"].setdefault("deletionTimestamp", now())
            ending["status"]["phase"] = "Terminating"
            return self._storage.commit(kind.plural, key, ending)
        if kind.name == "Pod":
            spec = before["spec"]
            grace = options.get("gracePeriodSeconds")
            if not spec.get("nodeName") or before["status"]["phase"] in {"Succeeded", "Failed"}:
                grace = 0
            elif grace is None:
                grace = spec["terminationGracePeriodSeconds"]
            ending = copy.deepcopy(before)
            if "deletionTimestamp" not in ending["metadata"]:
                ending["metadata"]["generation"] += 1
            ending["metadata"] |= {"deletionTimestamp": now(ahead=grace), "deletionGracePeriodSeconds": grace}
            marked = self._storage.commit(kind.plural, key, ending)
            if grace > 0:
                return marked
        return self._storage.commit(kind.plural, key, None)

    def _replace(
        self,
        kind: Kind,
        key: tuple[str, str],
        before: Object,
        found: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        old, new = before["metadata"], found["metadata"]
        name = key[1]
        version = new.get("resourceVersion", "")
        if not version and not kind.blind_update:
            cause = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(kind.plural, kind.group, name, [cause])
        if new.get("uid") and new["uid"] != old["uid"]:
            path = f"/registry/{kind.storage_path}/{'/'.join(filter(None, key))}"
            raise conflict(
                kind.plural,
                kind.group,
                name,
                f"StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: "
                f"Precondition failed: UID in precondition: {new['uid']}, UID in object meta: {old['uid']}",
            )
        if version and version != old["resourceVersion"]:
            raise conflict(kind.plural, kind.group, name, MODIFIED)
        for field in ("uid", "creationTimestamp", "resourceVersion", "generation", "generateName", "namespace"):
            if field in old:
                new[field] = old[field]
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            new.pop(field, None)
            if field in old:
                new[field] = old[field]
        new.setdefault("managedFields", old.get("managedFields"))
        if new["managedFields"] is None:
            del new["managedFields"]
        if subresource == "status":
            found = {**before, "metadata": new, "status": found.get("status", {})}
        elif "status" in kind.subresources and "status" in before:
            found["status"] = before["status"]
        found = copy.deepcopy(found)
        self._complete(kind, found, before)
        if any(found.get(field) != before.get(field) for field in kind.counted) or (
            kind.name == "EndpointSlice" and (new.get("labels") or {}) != (old.get("labels") or {})
        ):
            found["metadata"]["generation"] = old["generation"] + 1
        if _content(found) == _content(before) or dry_run:
            return before if not dry_run else found
        return self._storage.commit(kind.plural, key, found)

    def _complete(self, kind: Kind, found: Object, before: Object | None) -> None:
        """Fill in the defaults, and refuse what is not valid."""
        if kind.name == "Service" and before is not None:
            for field in ("clusterIP", "clusterIPs"):
                if before["spec"].get(field) and not found.get("spec", {}).get(field):
                    found.setdefault("spec", {})[field] = before["spec"][field]
        kind.default(found)
        if kind.name == "Service":
            self._allocate(found)
        for field, value in kind.empty.items():
            found.setdefault(field, copy.deepcopy(value))
        causes = [*metadata_causes(found["metadata"], label_names=kind.label_names), *kind.causes(found, before)]
        if causes:
            raise invalid(kind.name, kind.group, found["metadata"].get("name", ""), causes)

    def _allocate(self, service: Object) -> None:
        spec = service["spec"]
        if spec["type"] == "ExternalName":
            return
        if not spec.get("clusterIP"):
            taken = {other["spec"].get("clusterIP") for other in self._storage.all("services").values()}
            free = (str(ADDRESSES[number]) for number in range(2, ADDRESSES.num_addresses - 1))
            spec["clusterIP"] = next(address for address in free if address not in taken)
        spec.setdefault("clusterIPs", [spec["clusterIP"]])

    def _check_namespace(self, kind: Kind, namespace: str, metadata: Mapping[str, Any]) -> None:
        if kind.namespaced and metadata.get("namespace") not in {None, "", namespace}:
            raise bad_request(OTHER_NAMESPACE)

    def _check_open(self, kind: Kind, namespace: str, name: str) -> None:
        """404 if there is no such namespace, 403 if it is being terminated."""
        found = self._storage.get("namespaces", ("", namespace))
        if found is None:
            raise not_found("namespaces", "", namespace)
        if found["status"]["phase"] == "Terminating":
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise Refusal(
                403,
                "Forbidden",
                f'{qualified(kind.plural, kind.group)} "{name}" is forbidden: unable to create new content in '
                f"namespace {namespace} because it is being terminated",
                details={**details_of(kind.plural, kind.group, name), "causes": [cause]},
            )


def _content(found: Mapping[str, Any]) -> dict[str, Any]:
    """What makes one version of an object differ from another."""
    owners = [(entry["manager"], entry["fieldsV1"]) for entry in found["metadata"].get("managedFields") or []]
    metadata = {
        key: value for key, value in found["metadata"].items() if key not in {"resourceVersion", "managedFields"}
    }
    return {**found, "metadata": {**metadata, "owners": owners}}
