"""The paths of the API, as an aiohttp application."""

import base64
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.servers.kubernetes.simulation.access import Access, Attributes, User
from tests.servers.kubernetes.simulation.kinds import KINDS, Kind, Object
from tests.servers.kubernetes.simulation.resources import Resources, now
from tests.servers.kubernetes.simulation.selectors import field_selector, label_selector
from tests.servers.kubernetes.simulation.statuses import (
    TOO_OLD_TO_CONTINUE,
    Cause,
    Refusal,
    bad_request,
    expired,
    invalid,
    required,
)
from tests.servers.kubernetes.simulation.storage import Storage
from tests.servers.kubernetes.simulation.watching import Watched, events, until_fresh

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get", "DELETE": "delete"}
TRUE = {"1", "true", "True", "TRUE", "t", "T"}
FALSE = {"", "0", "false", "False", "FALSE", "f", "F"}
NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "default")
VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.3-stand-in",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "stand-in",
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a path names."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse_path(path: str) -> Target | None:
    """The resource of a path; None if the group or the resource is not served."""
    parts = [part for part in path.split("/") if part]
    if parts[:2] == ["api", "v1"]:
        group, rest = "", parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 2 and parts[2] == "v1":
        group, rest = parts[1], parts[3:]
    else:
        return None
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and not (group == "" and rest[2] in {"status", "finalize"}):
        namespace, rest = rest[1], rest[2:]
    if not rest or len(rest) > 3:
        return None
    kind = KINDS.get((group, rest[0]))
    if kind is None or (namespace and not kind.namespaced):
        return None
    name, subresource = ([*rest[1:], "", ""])[:2]
    if (kind.namespaced and name and not namespace) or (subresource and subresource not in kind.subresources):
        return None
    return Target(kind=kind, namespace=namespace, name=name, subresource=subresource)


class Api:
    """The API of one server."""

    def __init__(self, storage: Storage, access: Access, *, port: int) -> None:
        self._storage = storage
        self._access = access
        self._resources = Resources(storage)
        self._refuses_old = False
        self._overloaded_for = 0
        self._begin(port)

    def _begin(self, port: int) -> None:
        """What an API server makes by itself where it is missing."""
        namespaces, services = KINDS["", "namespaces"], KINDS["", "services"]
        for name in NAMESPACES:
            if self._storage.get("namespaces", ("", name)) is None:
                found = self._resources.decode(namespaces, {"metadata": {"name": name}})
                self._resources.create(namespaces, "", found)
        own = {
            "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": "https", "port": 443, "targetPort": port}]},
        }
        if self._storage.get("services", ("default", "kubernetes")) is None:
            self._resources.create(services, "default", self._resources.decode(services, own))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; a refusal is told as a Status."""
        if self._overloaded_for and not request.path.startswith("/stand-in/"):
            self._overloaded_for -= 1
            text = "Too many requests, please try again later.\n"
            return web.Response(status=429, text=text, headers={"Retry-After": "1"})
        try:
            user = self._access.authenticate(request.headers.get("Authorization"))
            target = parse_path(request.path)
            if target is None:
                return await self._other(request, user)
            return await self._resource(request, user, target)
        except Refusal as refusal:
            seconds = refusal.status.get("details", {}).get("retryAfterSeconds")
            headers = {"Retry-After": str(seconds)} if seconds else {}
            return web.json_response(refusal.status, status=refusal.code, headers=headers)

    async def _other(self, request: web.Request, user: User) -> web.StreamResponse:
        path = request.path
        if path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" and request.method == "POST":
            return await self._review(request, user)
        self._access.authorize_path(user, VERBS.get(request.method, request.method).lower(), path)
        if path == "/stand-in/compact" and request.method == "POST":
            self._storage.compact()
            self._refuses_old = bool((await self._body(request)).get("asStatus"))
            return web.json_response({})
        if path == "/stand-in/overload" and request.method == "POST":
            self._overloaded_for = (await self._body(request))["requests"]
            return web.json_response({})
        if path == "/version":
            return web.json_response(VERSION)
        if path in {"/readyz", "/livez", "/healthz"}:
            return web.Response(text="ok")
        if path.rstrip("/") in {"/api", "/apis"}:
            return web.json_response(
                _groups() if path.startswith("/apis") else {"kind": "APIVersions", "versions": ["v1"]}
            )
        if path.startswith("/api/v1/") or any(path.startswith(f"/apis/{group}/v1/") for group, _ in KINDS if group):
            message = "the server could not find the requested resource"
            raise Refusal(404, "NotFound", message, details={})
        return web.Response(status=404, text="404 page not found\n")

    async def _review(self, request: web.Request, user: User) -> web.Response:
        body = await self._body(request)
        asked = (body.get("spec") or {}).get("resourceAttributes") or {}
        self._access.authorize(user, Attributes("create", "authorization.k8s.io", "selfsubjectaccessreviews"))
        allowed = self._access.allows(
            user,
            Attributes(
                asked.get("verb", ""),
                asked.get("group", ""),
                asked.get("resource", ""),
                namespace=asked.get("namespace", ""),
                name=asked.get("name", ""),
                subresource=asked.get("subresource", ""),
            ),
        )
        answer = {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": body.get("spec"),
            "status": {"allowed": allowed},
        }
        return web.json_response(answer, status=201)

    async def _resource(self, request: web.Request, user: User, target: Target) -> web.StreamResponse:
        kind, query = target.kind, request.query
        fields, selected_name = field_selector(query.get("fieldSelector", ""), fields=kind.fields)
        verb = VERBS.get(request.method, "")
        if not target.name:
            # A watch is what says so with any value that is not plainly false.
            watches = "watch" in query and query["watch"] not in FALSE
            verb = {"get": "watch" if watches else "list", "delete": "deletecollection"}.get(verb, verb)
        asked = Attributes(
            verb,
            kind.group,
            kind.plural,
            namespace=target.name if kind.plural == "namespaces" else target.namespace,
            name=target.name or selected_name,
            subresource=target.subresource,
        )
        self._access.authorize(user, asked)
        if target.subresource == "token":
            return await self._token(request, target)
        collection = {"list", "watch", "create", "deletecollection"}
        if (verb in collection) == bool(target.name) or (verb == "create" and kind.namespaced and not target.namespace):
            message = "the server does not allow this method on the requested resource"
            raise Refusal(405, "MethodNotAllowed", message, details={})
        labels = label_selector(query.get("labelSelector", ""))

        def selects(found: Mapping[str, Any]) -> bool:
            inside = not target.namespace or found["metadata"].get("namespace") == target.namespace
            return inside and labels(found) and fields(found)

        if verb == "list":
            return web.json_response(await self._list(query, kind, selects))
        if verb == "watch":
            return await self._watch(request, kind, selects)
        if verb == "get":
            return web.json_response(self._resources.read(kind, target.namespace, target.name))
        if verb == "deletecollection":
            answer = await self._list({}, kind, selects)
            for found in answer["items"]:
                metadata = found["metadata"]
                self._resources.delete(kind, metadata.get("namespace", ""), metadata["name"], {})
            return web.json_response(answer)
        return await self._write(request, target, verb)

    async def _write(self, request: web.Request, target: Target, verb: str) -> web.Response:
        kind, query, resources = target.kind, request.query, self._resources
        body = await self._body(request, of=kind.name)
        dry_run = query.get("dryRun") == "All"
        created = verb == "create"
        if verb == "delete":
            options = dict(body)
            if "gracePeriodSeconds" in query:
                options["gracePeriodSeconds"] = int(query["gracePeriodSeconds"])
            return web.json_response(resources.delete(kind, target.namespace, target.name, options))
        strict = query.get("fieldValidation") == "Strict"
        if verb == "create":
            found = resources.create(
                kind, target.namespace, resources.decode(kind, body, strict=strict), dry_run=dry_run
            )
        elif verb == "update":
            found, created = resources.update(
                kind,
                target.namespace,
                target.name,
                resources.decode(kind, body, strict=strict),
                subresource=target.subresource,
                dry_run=dry_run,
            )
        elif request.content_type == MERGE_PATCH:
            found = resources.merge(
                kind, target.namespace, target.name, body, subresource=target.subresource, dry_run=dry_run
            )
        elif request.content_type == APPLY_PATCH:
            manager = query.get("fieldManager", "")
            if not manager:
                cause = required("fieldManager", "is required for apply patch")
                raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
            force = query.get("force", "") in TRUE
            found, created = resources.apply(
                kind, target.namespace, target.name, body, manager=manager, force=force, dry_run=dry_run
            )
        else:
            raise Refusal(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
        return web.json_response(found, status=201 if created else 200)

    async def _list(self, query: Mapping[str, str], kind: Kind, selects: Any) -> dict[str, Any]:
        storage = self._storage
        limit = _number(query.get("limit", ""))
        version = query.get("resourceVersion", "")
        after: tuple[str, str] | None = None
        if query.get("continue"):
            revision, after = _read_continue(query["continue"])
        elif version:
            revision = _revision(version)
            await until_fresh(storage, revision)
            if query.get("resourceVersionMatch") != "Exact":
                revision = storage.revision
                if version == "0":
                    # What comes from the memory of an API server is not given out in pieces.
                    limit = 0
        else:
            revision = storage.revision
        if revision == -1:
            revision = storage.revision
        if revision < storage.oldest:
            if after is not None:
                token = _write_continue(-1, after)
                raise expired(TOO_OLD_TO_CONTINUE, **{"continue": token})
            raise expired("The resourceVersion for the provided list is too old.")
        then = storage.at(kind.plural, revision)
        keys = [key for key in sorted(then) if after is None or key > after]
        found = [(key, then[key]) for key in keys if selects(then[key])]
        metadata: dict[str, Any] = {"resourceVersion": str(revision)}
        if limit and len(found) > limit:
            metadata["continue"] = _write_continue(revision, found[limit - 1][0])
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        items = [{key: value for key, value in item.items() if key not in {"kind", "apiVersion"}} for _, item in found]
        return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata, "items": items}

    async def _watch(self, request: web.Request, kind: Kind, selects: Any) -> web.StreamResponse:
        query = request.query
        version = query.get("resourceVersion", "")
        if version and not version.isdigit():
            why = f'strconv.ParseUint: parsing "{version}": invalid syntax'
            raise Refusal(500, "", f'resourceVersion: Invalid value: "{version}": {why}')
        initial = query.get("sendInitialEvents", "") in TRUE
        if initial and query.get("resourceVersionMatch") != "NotOlderThan":
            why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            cause = Cause("resourceVersionMatch", "FieldValueForbidden", f"Forbidden: {why}")
            raise invalid("ListOptions", "meta.k8s.io", "", [cause])
        if self._refuses_old and 0 < int(version or 0) < self._storage.oldest:
            raise expired(f"too old resource version: {version} ({self._storage.oldest})")
        watched = Watched(
            kind=kind,
            selects=selects,
            resource_version=version,
            bookmarks=query.get("allowWatchBookmarks", "") in TRUE,
            send_initial_events=initial,
            timeout=_number(query.get("timeoutSeconds", "")),
        )
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        await response.prepare(request)
        # Whoever watched may have gone.
        with contextlib.suppress(ConnectionError):
            async with contextlib.aclosing(events(self._storage, watched)) as lines:
                async for line in lines:
                    await response.write(line)
            await response.write_eof()
        return response

    async def _token(self, request: web.Request, target: Target) -> web.Response:
        body = await self._body(request)
        account = self._resources.read(target.kind, target.namespace, target.name)
        bound = (body.get("spec") or {}).get("boundObjectRef") or {}
        secret = bound.get("name", "")
        if secret:
            self._resources.read(KINDS["", "secrets"], target.namespace, secret)
        token = self._access.issue(target.namespace, target.name, secret=secret)
        seconds = (body.get("spec") or {}).get("expirationSeconds", 3600)
        answer = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": account["metadata"]["name"],
                "namespace": target.namespace,
                "creationTimestamp": now(),
            },
            "spec": body.get("spec"),
            "status": {"token": token, "expirationTimestamp": now(ahead=seconds)},
        }
        return web.json_response(answer, status=201)

    async def _body(self, request: web.Request, *, of: str = "") -> Any:
        text = await request.text()
        if not text.strip() and request.method == "DELETE":
            return {}
        try:
            body = json.loads(text)
        except ValueError as error:
            body = error
        if request.method == "PATCH" or isinstance(body, dict):
            if isinstance(body, ValueError):
                raise bad_request(f"error decoding patch: {body}")
            return body
        raise bad_request(
            f"the object provided is unrecognized (must be of type {of}): couldn't get version/kind; "
            f"json parse error: {body if isinstance(body, ValueError) else 'json: cannot unmarshal into a struct'}"
        )


def _groups() -> Object:
    groups = [
        {
            "name": group,
            "versions": [{"groupVersion": f"{group}/v1", "version": "v1"}],
            "preferredVersion": {"groupVersion": f"{group}/v1", "version": "v1"},
        }
        for group in sorted({group for group, _ in KINDS if group})
    ]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _number(text: str) -> int:
    try:
        return int(text or 0)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _revision(text: str) -> int:
    if not text.isdigit():
        why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise bad_request(f'invalid resource version: resourceVersion: Invalid value: "{text}": {why}')
    return int(text)


def _write_continue(revision: int, after: tuple[str, str]) -> str:
    token = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": list(after)}).encode()
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _read_continue(token: str) -> tuple[int, tuple[str, str]]:
    try:
        read = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = read["start"]
        return int(read["rv"]), (namespace, name)
    except (ValueError, KeyError, TypeError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from None
