"""What the real API server and the stand-in have in common for a test."""

import json
import secrets
import ssl
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from tests.integration.client.certificates import Authority
from tests.servers.ports import LOOPBACK
from tests.servers.process import wait_until

REQUEST_TIMEOUT = 60.0
# A real API server remembers for ten seconds that a token was good.
REVOKE_TIMEOUT = 60.0
TOKEN_SECONDS = 3600
RBAC = "/apis/rbac.authorization.k8s.io/v1"
MERGE_PATCH = "application/merge-patch+json"

# A rule of RBAC: `{"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]}`.
Rule: TypeAlias = Mapping[str, Sequence[str]]


class ApiError(Exception):
    """The API server refused; `status` is the body of its answer, usually a Status object."""

    def __init__(self, code: int, status: Any) -> None:
        message = status.get("message", "") if isinstance(status, dict) else str(status)
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = status


class ApiServer(ABC):
    """One API server with TLS and RBAC, whose address and data outlive `stop` and `kill`.

    All methods block; a test that has work on its event loop calls them by `asyncio.to_thread`.
    """

    real: ClassVar[bool]

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.version = ""
        self.admin_token = f"admin-{secrets.token_hex(16)}"
        self.authority = Authority(folder / "certificates")
        self.certificate, self.key = self.authority.issue("localhost")
        tls = ssl.create_default_context(cafile=str(self.authority.certificate))
        # Never through a proxy that the environment names.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
        )
        self._revocable: dict[str, tuple[str, str]] = {}
        self._kubeconfigs = 0
        self.kubeconfig = self.kubeconfig_for(self.address)

    @property
    def address(self) -> str:
        """HOST:PORT of the API."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """The address as a URL, without a slash at its end."""
        return f"https://{self.address}"

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether the server's process is there."""

    @property
    @abstractmethod
    def log_path(self) -> Path:
        """The log of the API server, over all its starts."""

    @abstractmethod
    def start(self) -> None:
        """Start, and wait until it is ready."""

    @abstractmethod
    def stop(self) -> None:
        """End it in an orderly way (SIGTERM)."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once (SIGKILL)."""

    @abstractmethod
    def wipe(self) -> None:
        """Remove the data of a stopped server, identities made by `user` included; it starts as a new one."""

    @abstractmethod
    def compact(self) -> None:
        """Forget what was before now: a watch from an older resourceVersion is answered with 410 Gone."""

    @abstractmethod
    def close(self) -> None:
        """End it and let its ports go."""

    def kubeconfig_for(self, address: str, *, user: str = "", namespace: str = "default") -> Path:
        """A kubeconfig that reaches this server at another address of loopback, as that of a proxy.

        `user` is a token of `user()`; empty, it is the administrator's.
        """
        self._kubeconfigs += 1
        path = self.folder / f"kubeconfig-{self._kubeconfigs}.yaml"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [
                {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}},
            ],
            "clusters": [
                {
                    "name": "test",
                    "cluster": {
                        "server": f"https://{address}",
                        "certificate-authority": str(self.authority.certificate),
                    },
                }
            ],
            "users": [{"name": "test", "user": {"token": user or self.admin_token}}],
        }
        path.write_text(json.dumps(config, indent=2), encoding="utf-8")
        return path

    def request(
        self, method: str, path: str, body: object = None, *, user: str = "", content_type: str = ""
    ) -> dict[str, Any]:
        """One call as administrator, or with a token of `user()`; `ApiError` for an answer that is no success.

        A PATCH is a merge patch unless `content_type` says otherwise.
        """
        code, answer = self.exchange(method, path, body, user=user, content_type=content_type)
        if code >= 300 or not isinstance(answer, dict):
            raise ApiError(code, answer)
        return answer

    def exchange(
        self, method: str, path: str, body: object = None, *, user: str = "", content_type: str = ""
    ) -> tuple[int, Any]:
        """One call, with the code and the body of whatever the answer is; a body that is no JSON is text."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = self._request(method, path, data, user=user)
        if data is not None:
            default = MERGE_PATCH if method == "PATCH" else "application/json"
            request.add_header("Content-Type", content_type or default)
        try:
            with self._opener.open(request, timeout=REQUEST_TIMEOUT) as response:
                code, text = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                code, text = error.code, error.read().decode()
        try:
            return code, json.loads(text)
        except ValueError:
            return code, text

    def events(self, path: str, *, user: str = "") -> Generator[dict[str, Any]]:
        """The events of a watch, as they come."""
        with self._opener.open(self._request("GET", path, None, user=user), timeout=REQUEST_TIMEOUT) as response:
            for line in response:
                yield json.loads(line)

    def _request(self, method: str, path: str, data: bytes | None, *, user: str) -> urllib.request.Request:
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method)
        request.add_header("Authorization", f"Bearer {user or self.admin_token}")
        return request

    def user(self, name: str, rules: Sequence[Rule], *, namespace: str = "default") -> str:
        """A token of the ServiceAccount `name` in the namespace, which may do there what the rules say, and only that.

        Called again it gives another token, and the new rules hold for all tokens of that name.
        """
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        roles = f"{RBAC}/namespaces/{namespace}"
        self._ensure(account, {"metadata": {"name": name}})
        self._ensure(f"{roles}/roles", {"metadata": {"name": name}, "rules": list(rules)})
        self._ensure(
            f"{roles}/rolebindings",
            {
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            },
        )
        # A token that is bound to an object is good for as long as that object is there.
        anchor = self.request(
            "POST", f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"generateName": f"{name}-token-"}}
        )["metadata"]["name"]
        token: str = self.request(
            "POST",
            f"{account}/{name}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {
                    "expirationSeconds": TOKEN_SECONDS,
                    "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": anchor},
                },
            },
        )["status"]["token"]
        self._revocable[token] = (namespace, anchor)
        return token

    def revoke(self, token: str) -> None:
        """Make a token of `user()` worthless, and wait until it is: on a real API server that takes ten seconds."""
        namespace, anchor = self._revocable.pop(token)
        self.request("DELETE", f"/api/v1/namespaces/{namespace}/secrets/{anchor}")
        wait_until(
            lambda: self.exchange("GET", "/version", user=token)[0] == 401,
            timeout=REVOKE_TIMEOUT,
            what="the refusal of a revoked token",
        )

    def _ensure(self, collection: str, body: Mapping[str, Any]) -> None:
        """Create an object, or replace it."""
        try:
            self.request("POST", collection, body)
        except ApiError as error:
            if error.code != 409:
                raise
            self.request("PUT", f"{collection}/{body['metadata']['name']}", body)

    def _is_ready(self) -> bool:
        """Whether it serves, and has made what a new one makes in the background."""
        try:
            return (
                self.exchange("GET", "/readyz")[0] == 200
                and self.exchange("GET", "/api/v1/namespaces/default/services/kubernetes")[0] == 200
            )
        except OSError:
            return False
