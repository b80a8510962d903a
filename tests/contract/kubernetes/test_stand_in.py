"""The stand-in for an API server of Kubernetes beside a real one: the same requests, the same answers.

Compared up to uids, times, resourceVersions, allocated addresses, `managedFields` of plain writes, and those parts of a
Pod that nobody reads here. Without a real API server there is nothing to compare with, and the tests skip.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias
from uuid import uuid4

import pytest

from tests.servers.kubernetes import ApiServer, KubernetesStandIn
from tests.servers.kubernetes.choice import ASSETS, find_programs

GENERATED = re.compile(r"(?<=-bad)[a-z0-9]{5}")
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Numbers of revisions in messages, and what Go alone says.
REVISIONS = re.compile(r"(in record \(|resource version: |current: |\()\d+(?=\)|,| |$)")
GO_ONLY = re.compile(r"(json parse error: |not valid: |in scheme |decoding patch: |into Go value ).*$")
TIMES = {"creationTimestamp", "deletionTimestamp", "time", "expirationTimestamp"}
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"

Asked: TypeAlias = tuple[str, int, Any]


def comparable(value: Any, *, managed: bool = False) -> Any:
    """What has to be the same on both servers."""
    if isinstance(value, list):
        return [comparable(item, managed=managed) for item in value]
    if isinstance(value, str):
        return GO_ONLY.sub(r"\1…", REVISIONS.sub(r"\1N", UID.sub("UID", GENERATED.sub("…", value))))
    if not isinstance(value, dict):
        return value
    result = {}
    for key, item in value.items():
        if key == "managedFields" and not managed:
            continue
        if key in TIMES:
            result[key] = "TIME" if item else item
        elif key == "resourceVersion":
            result[key] = "N"
        elif key == "continue":
            result[key] = "MORE"
        elif key == "clusterIP" and item != "None":
            result[key] = "IP"
        elif key == "clusterIPs" and item != ["None"]:
            result[key] = ["IP"]
        elif key == "spec" and isinstance(item, dict) and "containers" in item:
            result[key] = _comparable_pod(item)
        else:
            result[key] = comparable(item, managed=managed)
    return result


def _comparable_pod(spec: Mapping[str, Any]) -> dict[str, Any]:
    containers = [(item["name"], item["image"], item.get("ports")) for item in spec["containers"] or []]
    return {"containers": containers, "nodeName": spec.get("nodeName"), "restartPolicy": spec.get("restartPolicy")}


class Conversation:
    """Requests to one server in a namespace of its own (`~` in a path), and what was answered."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server = server
        self.namespace = namespace
        self.said: list[Asked] = []
        server.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})

    def ask(
        self, method: str, path: str, body: object = None, *, kind: str = "", managed: bool = False, user: str = ""
    ) -> Any:
        """One request; the answer as it came."""
        full = path.replace("~", self.namespace)
        code, answer = self.server.exchange(method, full, body, content_type=kind, user=user)
        if isinstance(answer, str) and answer.startswith("{"):
            answer = [json.loads(line) for line in answer.splitlines()]
        told = body.decode() if isinstance(body, bytes) else json.dumps(comparable(body))
        self.note(f"{method} {path} {told}", code, comparable(answer, managed=managed))
        return answer

    def note(self, what: str, code: int, found: Any) -> None:
        """Something else that has to be the same."""
        self.said.append((what, code, found))


CORE, SLICES = "/api/v1/namespaces/~", "/apis/discovery.k8s.io/v1/namespaces/~/endpointslices"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/~/leases"


def service(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}, **more}


def endpoint_slice(name: str, *addresses: str, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]} for address in addresses],
        "ports": [{"name": "http", "port": 80}],
        **more,
    }


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "image:1", "ports": [{"containerPort": 80}]}]
    return {"metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def version_of(answer: Any) -> str:
    return str(answer["metadata"]["resourceVersion"])


def services(with_: Conversation) -> None:
    ask = with_.ask
    ask("POST", f"{CORE}/services", service("web"))
    ask("POST", f"{CORE}/services", service("web"))
    for wrong in (
        service("A_"),
        service("empty", spec={}),
        service("two", spec={"ports": [{"port": 80}, {"port": 81}]}),
        service("high", spec={"ports": [{"port": 80_000}]}),
        service("odd", spec={"type": "Odd", "ports": [{"port": 80, "protocol": "X"}]}),
        service("typed", spec={"ports": [{"port": "80"}]}),
        service("labels", metadata={"name": "labels", "labels": {"a": 1}}),
        service("away", metadata={"name": "away", "namespace": "default"}),
        {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "kind"}},
        {"kind": "Service", "apiVersion": "v2", "metadata": {"name": "version"}},
        b'{"metadata":',
    ):
        ask("POST", f"{CORE}/services", wrong)
    ask("POST", f"{CORE}/services", service("headless", spec={"clusterIP": "None", "selector": {"app": "x"}}))
    ask("POST", f"{CORE}/services", service("outside", spec={"type": "ExternalName", "externalName": "a.example"}))
    named = [{"port": 80, "name": "http", "targetPort": "web", "appProtocol": "http"}]
    ask("POST", f"{CORE}/services", service("named", spec={"ports": named}))
    unknown = service("unknown", spec={"ports": [{"port": 80}], "foo": 1})
    ask("POST", f"{CORE}/services?fieldValidation=Strict", unknown)
    ask("POST", f"{CORE}/services", unknown)
    ask("POST", f"{CORE}/services?dryRun=All", service("dry"))
    ask("GET", f"{CORE}/services/dry")
    ask("GET", f"{CORE}/services/web")
    ask("GET", f"{CORE}/services")


def updates(with_: Conversation) -> None:
    ask = with_.ask
    first = version_of(ask("POST", f"{CORE}/services", service("web")))
    same = version_of(ask("PUT", f"{CORE}/services/web", service("web")))
    with_.note("a PUT that changes nothing", 0, same == first)
    ask("PUT", f"{CORE}/services/web", service("web", metadata={"name": "web", "labels": {"a": "b"}}))
    ask("PUT", f"{CORE}/services/web", service("web", metadata={"name": "web", "resourceVersion": first}))
    ask("PUT", f"{CORE}/services/web", service("web", metadata={"name": "web", "uid": "other"}))
    ask("PUT", f"{CORE}/services/other", service("web"))
    ask("PUT", f"{CORE}/services/new", service("new"))
    ask("DELETE", f"{CORE}/services/web", {"preconditions": {"uid": "other"}})
    ask("DELETE", f"{CORE}/services/web", {"preconditions": {"resourceVersion": first}})
    ask("DELETE", f"{CORE}/services/web")
    ask("DELETE", f"{CORE}/services/web")
    ask("DELETE", f"{CORE}/services")
    ask("GET", f"{CORE}/services")


def endpoint_slices(with_: Conversation) -> None:
    ask = with_.ask
    ask("POST", SLICES, endpoint_slice("web-1", "10.1.2.3"))
    full = {
        "addresses": ["10.1.2.4"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "hostname": "h",
        "nodeName": "n",
        "zone": "z",
        "targetRef": {"kind": "Pod", "name": "p", "namespace": "q"},
    }
    ask("POST", SLICES, endpoint_slice("web-2", endpoints=[full]))
    ask("POST", SLICES, endpoint_slice("nobody", endpoints=[], ports=[]))
    ask("POST", SLICES, endpoint_slice("nobody-either", endpoints=None, ports=[{"port": 80}]))
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1"}
    ask("POST", SLICES, endpoint_slice("owned", metadata={"name": "owned", "ownerReferences": [owner]}))
    for wrong in (
        {"metadata": {"name": "nothing"}},
        {"metadata": {}, "addressType": "IPv4", "endpoints": []},
        endpoint_slice("kind", addressType="What"),
        endpoint_slice("loopback", "127.0.0.1"),
        endpoint_slice("local", "169.254.1.1", "0.0.0.0", "010.0.0.1", "x", "::1"),
        endpoint_slice("six", "10.0.0.1", "fe80::1", "::1", addressType="IPv6"),
        endpoint_slice("domain", "A_b", addressType="FQDN"),
        endpoint_slice("addresses", endpoints=[{"addresses": []}]),
        endpoint_slice("many", *["10.1.2.3"] * 1001),
        endpoint_slice("ports", ports=[{"name": "A!", "port": 1}, {"name": "a"}, {"name": "a", "protocol": "X"}]),
        endpoint_slice("names", endpoints=[{"addresses": ["10.1.2.3"], "hostname": "A_", "nodeName": "N_"}]),
        endpoint_slice("type", endpoints=[{"addresses": "10.1.2.3"}]),
        endpoint_slice("type", endpoints=[{"addresses": ["10.1.2.3"], "conditions": {"ready": "yes"}}]),
        endpoint_slice("meta", metadata={"name": "meta", "labels": {"a b": "c d"}, "annotations": {"x y": "1"}}),
        endpoint_slice("long", metadata={"name": "long", "labels": {"a": "b" * 64}}),
        endpoint_slice("owner", metadata={"name": "owner", "ownerReferences": [{"kind": "Pod", "name": "x"}]}),
        endpoint_slice("version", metadata={"name": "version", "resourceVersion": "5"}),
        endpoint_slice("prefix", metadata={"generateName": "-bad"}),
    ):
        answer = ask("POST", SLICES, wrong)
        assert answer["code"] >= 400
    changed = ask("PUT", f"{SLICES}/web-1", endpoint_slice("web-1", "10.1.2.3", "10.1.2.5"))
    ask("PUT", f"{SLICES}/web-1", endpoint_slice("web-1", "10.1.2.3", "10.1.2.5"))
    stale = {"name": "web-1", "resourceVersion": version_of(changed)}
    ask("PUT", f"{SLICES}/web-1", endpoint_slice("web-1", "10.1.2.6", metadata=stale))
    ask("PUT", f"{SLICES}/web-1", endpoint_slice("web-1", "10.1.2.7", metadata=stale))
    ask("PUT", f"{SLICES}/web-1", endpoint_slice("web-1", "1::2", addressType="IPv6"))
    ask("PUT", f"{SLICES}/none", endpoint_slice("none", "10.1.2.3"))
    generated = with_.server.request(
        "POST", SLICES.replace("~", with_.namespace), endpoint_slice("", metadata={"generateName": "web-"})
    )["metadata"]
    with_.note("generated", 0, (generated["generateName"], bool(re.fullmatch(r"web-[a-z0-9]{5}", generated["name"]))))
    with_.server.request("DELETE", f"{SLICES}/{generated['name']}".replace("~", with_.namespace))
    ask("DELETE", f"{SLICES}/web-2", {"preconditions": {"uid": "other"}})
    ask("DELETE", f"{SLICES}/web-2")
    ask("DELETE", f"{SLICES}?labelSelector=kubernetes.io/service-name%3Dweb")
    ask("GET", SLICES)


def leases(with_: Conversation) -> None:
    ask = with_.ask
    spec = {"holderIdentity": "me", "leaseDurationSeconds": 10, "renewTime": "2026-01-02T03:04:05.123456Z"}
    made = ask("POST", LEASES, {"metadata": {"name": "one"}, "spec": spec})
    ask("POST", LEASES, {"metadata": {"name": "bare"}})
    ask("POST", LEASES, {"metadata": {"name": "zero"}, "spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}})
    ask("POST", LEASES, {"metadata": {"name": "time"}, "spec": {"renewTime": "2026-01-02T03:04:05Z"}})
    ask("PUT", f"{LEASES}/one", {"metadata": {"name": "one"}, "spec": {"holderIdentity": "you"}})
    metadata = {"name": "one", "resourceVersion": version_of(made)}
    ask("PUT", f"{LEASES}/one", {"metadata": metadata, "spec": {"holderIdentity": "you"}})
    ask("PUT", f"{LEASES}/one", {"metadata": metadata, "spec": {"holderIdentity": "they"}})
    ask("PUT", f"{LEASES}/new", {"metadata": {"name": "new"}, "spec": {"holderIdentity": "you"}})
    ask("DELETE", f"{LEASES}/one", {"preconditions": {"resourceVersion": version_of(made)}})
    ask("DELETE", f"{LEASES}/one")


def pods(with_: Conversation) -> None:
    ask = with_.ask
    ask("POST", f"{CORE}/pods", {"metadata": {"name": "none"}, "spec": {"containers": []}})
    ask("POST", f"{CORE}/pods", pod("free"))
    ask("POST", f"{CORE}/pods", pod("bound", nodeName="n"))
    ask("POST", f"{CORE}/pods", pod("over", nodeName="n"))
    status = {"phase": "Running", "podIP": "10.9.8.7", "conditions": [{"type": "Ready", "status": "True"}]}
    ask("PUT", f"{CORE}/pods/bound/status", pod("bound", nodeName="n") | {"status": status})
    ask("PUT", f"{CORE}/pods/bound", pod("bound", nodeName="n") | {"status": {"phase": "Failed"}})
    ask("PATCH", f"{CORE}/pods/over/status", {"status": {"phase": "Succeeded"}})
    ask("PATCH", f"{CORE}/pods/bound", {"metadata": {"labels": {"version": "1"}, "annotations": {"a": "b"}}})
    ask("GET", f"{CORE}/pods?fieldSelector=status.podIP%3D10.9.8.7,spec.nodeName%21%3Dm")
    since = version_of(ask("GET", f"{CORE}/pods?labelSelector=version"))
    ask("DELETE", f"{CORE}/pods/free")
    ask("DELETE", f"{CORE}/pods/over")
    ask("GET", f"{CORE}/pods/free")
    ask("DELETE", f"{CORE}/pods/bound")
    ask("GET", f"{CORE}/pods/bound")
    ask("DELETE", f"{CORE}/pods/bound?gracePeriodSeconds=0")
    watched = with_.server.exchange(
        "GET", f"{CORE}/pods?watch=1&timeoutSeconds=1&resourceVersion={since}".replace("~", with_.namespace)
    )[1]
    kinds = [(event["type"], event["object"]["metadata"]["name"]) for event in map(json.loads, watched.splitlines())]
    with_.note("how a Pod ends", 0, kinds)


def namespaces(with_: Conversation) -> None:
    ask = with_.ask
    ask("GET", "/api/v1/namespaces?fieldSelector=metadata.name%3Ddefault")
    ask("POST", "/api/v1/namespaces", {"metadata": {"name": "Not_a_name"}})
    ask("PUT", "/api/v1/namespaces/nowhere", {"metadata": {"name": "nowhere"}})
    ask("POST", "/api/v1/namespaces/nowhere/services", service("web"))
    ask("GET", "/api/v1/namespaces/nowhere/services")
    ask("DELETE", "/api/v1/namespaces/~")
    ask("POST", f"{CORE}/services", service("web"))
    ask("POST", SLICES, endpoint_slice("web"))
    ask("GET", "/api/v1/namespaces/~")


def lists(with_: Conversation) -> None:
    ask = with_.ask
    for name in ("a", "b", "c"):
        ask("POST", f"{CORE}/services", service(name, metadata={"name": name, "labels": {"is": name}}))
    then = version_of(ask("GET", f"{CORE}/services"))
    more = ask("GET", f"{CORE}/services?limit=1")["metadata"]["continue"]
    ask("DELETE", f"{CORE}/services/b")
    page = with_.server.exchange("GET", f"{CORE}/services?limit=2&continue={more}".replace("~", with_.namespace))
    with_.note("page", *map(comparable, page))
    old = with_.server.exchange(
        "GET", f"{CORE}/services?resourceVersion={then}&resourceVersionMatch=Exact".replace("~", with_.namespace)
    )
    with_.note("exact", *map(comparable, old))
    for query in (
        "resourceVersion=0&limit=1",
        "resourceVersion=1",
        "resourceVersion=abc",
        "resourceVersion=99999999",
        "continue=xx",
        "limit=x",
        "watch=false",
        "labelSelector=is%3Da",
        "labelSelector=is%20in%20(a,c)",
        "labelSelector=is%20notin%20(a,b)",
        "labelSelector=is!%3Da,is",
        "labelSelector=!is",
        "labelSelector=a%20in%20x",
        "labelSelector=%3D%3D%3D",
        "fieldSelector=metadata.name%3Dc",
        "fieldSelector=metadata.name%21%3Dc",
        "fieldSelector=foo%3Dbar",
        "limit=1&labelSelector=is",
    ):
        ask("GET", f"{CORE}/services?{query}")


def watches(with_: Conversation) -> None:
    ask = with_.ask
    since = version_of(with_.server.request("GET", SLICES.replace("~", with_.namespace)))

    selected = {"kubernetes.io/service-name": "web"}
    ask("POST", SLICES, endpoint_slice("web", "10.1.2.3"))
    ask("PUT", f"{SLICES}/web", endpoint_slice("web", "10.1.2.4"))
    ask("PUT", f"{SLICES}/web", endpoint_slice("web", "10.1.2.4", metadata={"name": "web"}))
    ask("PUT", f"{SLICES}/web", endpoint_slice("web", "10.1.2.4", metadata={"name": "web", "labels": selected}))
    ask("POST", SLICES, endpoint_slice("other", "10.1.2.3", metadata={"name": "other"}))
    ask("DELETE", f"{SLICES}/web")
    initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    asked = {
        "all": f"resourceVersion={since}",
        "in and out": f"resourceVersion={since}&labelSelector=kubernetes.io/service-name%3Dweb",
        "one": f"resourceVersion={since}&fieldSelector=metadata.name%3Dother",
        "from now, without a bookmark": "",
        "from now": "allowWatchBookmarks=true",
        "from anything": "allowWatchBookmarks=true&resourceVersion=0",
        "initial events": f"allowWatchBookmarks=true&{initial}",
        "initial events since": f"allowWatchBookmarks=true&{initial}&resourceVersion={since}",
        "initial events without a match": "sendInitialEvents=true",
        "no number": "resourceVersion=abc",
    }
    paths = {what: f"{SLICES}?watch=1&timeoutSeconds=1&{query}" for what, query in asked.items()}
    future = f"{SLICES}?watch=1&timeoutSeconds=3&resourceVersion=99999999&allowWatchBookmarks=true"
    paths["a revision of the future"] = future
    for kind in ("services", "pods"):
        paths[f"bookmark of {kind}"] = f"{CORE}/{kind}?watch=true&allowWatchBookmarks=true&timeoutSeconds=1"

    def answer_to(path: str) -> tuple[int, Any]:
        code, answer = with_.server.exchange("GET", path.replace("~", with_.namespace))
        return code, [json.loads(line) for line in answer.splitlines()] if isinstance(answer, str) else answer

    with ThreadPoolExecutor() as at_once:
        for what, answer in zip(paths, at_once.map(answer_to, paths.values()), strict=True):
            with_.note(what, *map(comparable, answer))
    bookmarked = f"{SLICES}?watch=1&timeoutSeconds=3&resourceVersion={since}&allowWatchBookmarks=true"
    events = with_.server.events(bookmarked.replace("~", with_.namespace))
    told = [comparable(next(events))]
    ask("POST", SLICES, endpoint_slice("late", "10.1.2.3"))
    for event in map(comparable, events):
        # Before its end a real one sends one bookmark or two.
        if event["type"] != "BOOKMARK" or told[-1] != event:
            told.append(event)
    with_.note("bookmark before the end", 0, told)


def patches(with_: Conversation) -> None:
    ask = with_.ask
    ask("POST", SLICES, endpoint_slice("web", "10.1.2.3"))
    path = f"{SLICES}/web"
    ask("PATCH", path, {"metadata": {"labels": {"kubernetes.io/service-name": None, "z": "1"}}}, kind=MERGE)
    ask("PATCH", path, {"metadata": {"resourceVersion": "1"}, "ports": [{"port": 81}]}, kind=MERGE)
    ask("PATCH", path, {"endpoints": [{"addresses": ["127.0.0.1"]}]}, kind=MERGE)
    ask("PATCH", path, {"metadata": {"name": "other"}}, kind=MERGE)
    ask("PATCH", f"{SLICES}/none", {"metadata": {"labels": {"z": "1"}}}, kind=MERGE)
    ask("PATCH", path, {"ports": [{"port": 82}]}, kind="application/json")

    def applied(labels: Mapping[str, str], address: str) -> dict[str, Any]:
        return endpoint_slice("mine", address, metadata={"name": "mine", "labels": dict(labels)})

    mine = f"{SLICES}/mine"
    me, you = f"{mine}?fieldManager=me", f"{mine}?fieldManager=you"
    ask("PATCH", me, applied({"a": "b", "c": "d"}, "10.1.2.3"), kind=APPLY, managed=True)
    ask("PATCH", me, applied({"a": "b"}, "10.1.2.4"), kind=APPLY, managed=True)
    ask("PATCH", me, applied({"a": "b"}, "10.1.2.4"), kind=APPLY, managed=True)
    ask("PATCH", you, applied({"a": "q", "y": "y"}, "10.1.2.4"), kind=APPLY)
    ask("PATCH", you, applied({"a": "q", "y": "y"}, "10.1.2.5"), kind=APPLY)
    ask("PATCH", f"{you}&force=true", applied({"a": "q", "y": "y"}, "10.1.2.5"), kind=APPLY, managed=True)
    ask("PATCH", mine, applied({}, "10.1.2.5"), kind=APPLY)
    ask("PATCH", me, {"metadata": {"name": "mine"}, "addressType": "IPv4"}, kind=APPLY)
    ask("PATCH", me, applied({}, "10.1.2.5") | {"foo": 1}, kind=APPLY)


def access(with_: Conversation) -> None:
    ask, namespace = with_.ask, with_.namespace
    rules = [
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["one"], "verbs": ["get", "watch"]},
    ]
    token = with_.server.user("reader", rules, namespace=namespace)
    for method, path in (
        ("GET", f"{CORE}/services"),
        ("GET", f"{CORE}/services?watch=1&timeoutSeconds=1&resourceVersion=0"),
        ("POST", f"{CORE}/services"),
        ("GET", "/api/v1/namespaces/default/services"),
        ("GET", "/api/v1/services"),
        ("GET", SLICES),
        ("GET", "/apis/discovery.k8s.io/v1/endpointslices"),
        ("DELETE", f"{SLICES}/none"),
        ("GET", f"{CORE}/pods"),
        ("GET", f"{CORE}/pods/one"),
        ("GET", f"{CORE}/pods/two"),
        ("GET", f"{CORE}/pods?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Done"),
        ("PUT", f"{CORE}/pods/one/status"),
        ("GET", "/api/v1/namespaces"),
        ("GET", "/api/v1/namespaces/~"),
        ("DELETE", LEASES),
        ("GET", "/readyz"),
        ("GET", "/logs"),
    ):
        ask(method, path, {} if method in {"POST", "PUT"} else None, user=token)
    for attributes in (
        {"namespace": namespace, "verb": "list", "resource": "services"},
        {"namespace": namespace, "verb": "create", "resource": "services"},
        {"namespace": namespace, "verb": "watch", "group": "discovery.k8s.io", "resource": "endpointslices"},
        {"verb": "list", "resource": "services"},
    ):
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = with_.server.request(
            "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body, user=token
        )
        with_.note(f"may {attributes['verb']}", 0, answer["status"]["allowed"])
    ask("GET", f"{CORE}/services", user="nobody")
    with_.server.user("reader", [], namespace=namespace)
    ask("GET", f"{CORE}/services", user=token)


def paths(with_: Conversation) -> None:
    ask = with_.ask
    for method, path in (
        ("GET", f"{CORE}/nopes"),
        ("GET", "/apis/none.example/v1/things"),
        ("GET", "/nope"),
        ("GET", "/api/v1/pods/x"),
        ("POST", f"{CORE}/services/web"),
        ("PUT", f"{CORE}/services"),
        ("GET", "/readyz"),
        ("GET", "/livez"),
    ):
        ask(method, path, {} if method in {"POST", "PUT"} else None)
    version = with_.server.request("GET", "/version")
    with_.note("version", 0, (version["major"], version["minor"], version["gitVersion"].partition("-")[0]))


def forgetting(with_: Conversation) -> None:
    """Compaction, and what a start anew forgets."""
    server, namespace = with_.server, with_.namespace
    collection = SLICES.replace("~", namespace)
    server.request("POST", collection, endpoint_slice("a", "10.1.2.3"))
    server.request("POST", collection, endpoint_slice("b", "10.1.2.3"))
    page = server.request("GET", f"{collection}?limit=1")
    server.request("POST", collection, endpoint_slice("c", "10.1.2.3"))

    def look_back(what: str) -> None:
        old, more = page["metadata"]["resourceVersion"], page["metadata"]["continue"]
        for query in (
            f"watch=1&timeoutSeconds=1&resourceVersion={old}",
            f"continue={more}&limit=1",
            f"resourceVersion={old}&resourceVersionMatch=Exact",
        ):
            code, answer = server.exchange("GET", f"{collection}?{query}")
            with_.note(f"{what}: {query.partition('=')[0]}", code, comparable(answer))

    server.compact()
    look_back("after compaction")
    now = server.request("GET", collection)["metadata"]["resourceVersion"]
    server.request("DELETE", f"{collection}/a")
    code, answer = server.exchange("GET", f"{collection}?watch=1&timeoutSeconds=1&resourceVersion={now}")
    with_.note("from after the compaction", code, comparable(answer))
    server.kill()
    server.start()
    code, answer = server.exchange("GET", f"{collection}?watch=1&timeoutSeconds=1&resourceVersion={now}")
    with_.note("from before a start", code, comparable(answer))
    with_.ask("GET", SLICES)


SCENARIOS: tuple[Callable[[Conversation], None], ...] = (
    services,
    updates,
    endpoint_slices,
    leases,
    pods,
    namespaces,
    lists,
    watches,
    patches,
    access,
    paths,
    forgetting,
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApiServer, ApiServer]]:
    """A real API server and the stand-in."""
    programs = find_programs(os.environ)
    if programs is None:
        pytest.skip(
            "there is no real API server to compare the stand-in with; run: python -m tests.servers.install "
            f"kube-apiserver, or set {ASSETS} to a folder with kube-apiserver and etcd"
        )
    real = programs.server(tmp_path_factory.mktemp("kube-apiserver"))
    stand_in = KubernetesStandIn(tmp_path_factory.mktemp("stand-in"))
    try:
        real.start()
        stand_in.start()
        yield real, stand_in
    finally:
        real.close()
        stand_in.close()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_stand_in_answers_as_a_real_api_server(
    pair: tuple[ApiServer, ApiServer], scenario: Callable[[Conversation], None]
) -> None:
    namespace = f"t-{uuid4().hex[:12]}"
    real, stand_in = (Conversation(server, namespace) for server in pair)
    with ThreadPoolExecutor() as both:
        list(both.map(scenario, (real, stand_in)))
    assert len(real.said) == len(stand_in.said)
    different = [
        f"{expected[0]}\n  real:     {expected[1]} {json.dumps(expected[2], sort_keys=True)}\n"
        f"  stand-in: {found[1]} {json.dumps(found[2], sort_keys=True)}"
        for expected, found in zip(real.said, stand_in.said, strict=True)
        if expected != found
    ]
    assert not different, "\n".join(different)
