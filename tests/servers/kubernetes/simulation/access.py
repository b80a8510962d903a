"""Who asks, and whether they may: bearer tokens, and RBAC by Roles and RoleBindings of a namespace."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.servers.kubernetes.simulation.statuses import Refusal, details_of, qualified
from tests.servers.kubernetes.simulation.storage import Storage

# Tokens are kept among the objects, so that they outlive the process; no path leads to them.
TOKENS = "(tokens)"
ANYBODY = {"/version", "/readyz", "/livez", "/healthz"}


@dataclass(frozen=True)
class User:
    """Who asks."""

    name: str
    administrator: bool = False


ANONYMOUS = User("system:anonymous")


@dataclass(frozen=True)
class Attributes:
    """What is asked for, as authorization sees it."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class Access:
    """Authentication and authorization over what the storage holds."""

    def __init__(self, storage: Storage, *, admin_token: str) -> None:
        self._storage = storage
        self._admin_token = admin_token

    def issue(self, namespace: str, account: str, *, secret: str) -> str:
        """A token of a ServiceAccount, good for as long as that account and the secret are there."""
        token = f"stand-in.{secrets.token_urlsafe(32)}"
        uids = {plural: self._uid(plural, namespace, name) for plural, name in self._anchors(account, secret).items()}
        record = {"metadata": {"name": token}, "namespace": namespace, "account": account, "secret": secret}
        self._storage.commit(TOKENS, ("", token), {**record, "uids": uids})
        return token

    def authenticate(self, header: str | None) -> User:
        """The user of an Authorization header; 401 for a token that is not good."""
        if header is None:
            return ANONYMOUS
        token = header.partition(" ")[2].strip()
        if token == self._admin_token:
            return User("admin", administrator=True)
        record = self._storage.get(TOKENS, ("", token))
        if record is not None:
            namespace, account = record["namespace"], record["account"]
            now = {
                plural: self._uid(plural, namespace, name)
                for plural, name in self._anchors(account, record["secret"]).items()
            }
            if now == record["uids"]:
                return User(f"system:serviceaccount:{namespace}:{account}")
        raise Refusal(401, "Unauthorized", "Unauthorized")

    def authorize(self, user: User, asked: Attributes) -> None:
        """403 unless a rule allows it."""
        if self.allows(user, asked):
            return
        resource = asked.resource + (f"/{asked.subresource}" if asked.subresource else "")
        named = f' "{asked.name}"' if asked.name else ""
        place = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
        raise Refusal(
            403,
            "Forbidden",
            f'{qualified(asked.resource, asked.group)}{named} is forbidden: User "{user.name}" cannot {asked.verb} '
            f'resource "{resource}" in API group "{asked.group}" {place}',
            details=details_of(asked.resource, asked.group, asked.name),
        )

    def authorize_path(self, user: User, verb: str, path: str) -> None:
        """403 for a path that is no resource, unless everybody may have it or the user is known."""
        if path in ANYBODY or user.administrator or (user != ANONYMOUS and path.startswith(("/api", "/apis"))):
            return
        message = f'forbidden: User "{user.name}" cannot {verb} path "{path}"'
        raise Refusal(403, "Forbidden", message, details={})

    def allows(self, user: User, asked: Attributes) -> bool:
        """Whether a rule allows it."""
        if user.administrator or (user != ANONYMOUS and asked.resource == "selfsubjectaccessreviews"):
            return True
        for (namespace, _), binding in self._storage.all("rolebindings").items():
            if namespace != asked.namespace or not any(
                f"system:serviceaccount:{subject.get('namespace', '')}:{subject['name']}" == user.name
                for subject in binding.get("subjects") or []
            ):
                continue
            role = self._storage.get("roles", (namespace, binding["roleRef"]["name"]))
            if role is not None and any(matches(rule, asked) for rule in role.get("rules") or []):
                return True
        return False

    def _anchors(self, account: str, secret: str) -> Mapping[str, str]:
        return {"serviceaccounts": account} | ({"secrets": secret} if secret else {})

    def _uid(self, plural: str, namespace: str, name: str) -> str:
        found = self._storage.get(plural, (namespace, name))
        return found["metadata"]["uid"] if found is not None else ""


def matches(rule: Mapping[str, Any], asked: Attributes) -> bool:
    """Whether a rule of RBAC covers what is asked for."""
    resource = asked.resource + (f"/{asked.subresource}" if asked.subresource else "")
    names = rule.get("resourceNames") or []
    return (
        not {asked.verb, "*"}.isdisjoint(rule.get("verbs") or [])
        and not {asked.group, "*"}.isdisjoint(rule.get("apiGroups") or [])
        and not {resource, "*"}.isdisjoint(rule.get("resources") or [])
        and (not names or asked.name in names)
    )
