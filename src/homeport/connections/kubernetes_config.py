"""Reads how to reach a cluster: from the files of a kubeconfig, or from what the kubelet gives to a pod.

What would change who asks, or whom, and is not supported is refused.
"""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from homeport.errors import SettingsError

from .backend_url import HostPort
from .kubeconfig import Cluster, User, read_kubeconfig, words_of
from .kubernetes_access import IN_CLUSTER, KubernetesAccess
from .kubernetes_exec import VERSIONS, ExecCommand, ExecToken
from .near_miss import did_you_mean
from .tls import TLS, reason_of, refuse_password
from .token import FileToken, FixedToken, Token


class PEM(msgspec.Struct, frozen=True):
    """Certificates and a key as text, read when the configuration was, so that both are of the same moment."""

    authority: str = ""
    certificate: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return "PEM(…)"


class ClusterTLS(TLS, frozen=True, kw_only=True):
    """TLS towards an API server, with certificates that stand in a kubeconfig itself or in files that may change."""

    pem: PEM = PEM()

    def context(self) -> ssl.SSLContext:
        """An SSL context after these settings. Writes a file: call it outside the event loop.

        Raises:
            SettingsError: a certificate or a key is not what it should be.
        """
        context = TLS(verify=self.verify).context() if not self.pem.authority else self._trusting()
        if self.pem.certificate:
            # OpenSSL takes a client's certificate from a file only; this one is readable by this user alone.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(f"{self.pem.certificate}\n{self.pem.key}\n")
                file.flush()
                try:
                    context.load_cert_chain(file.name, password=refuse_password)
                except (OSError, ValueError) as error:
                    raise SettingsError(
                        "the client certificate and key of the kubeconfig cannot be used: "
                        f"{reason_of(error)}; get a new kubeconfig"
                    ) from error
        return context

    def _trusting(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cadata=self.pem.authority)
        except (OSError, ValueError) as error:
            raise SettingsError(f"the CA certificate of the cluster cannot be used: {reason_of(error)}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where a cluster is, who asks, and the namespace that is meant when none is named.

    Requests are authorized by ``scheme`` and ``token``; an empty ``scheme`` is for those that are not, or by their
    certificate.
    """

    name: str
    address: HostPort
    path: str
    tls: ClusterTLS | None
    namespace: str
    scheme: str
    token: Token

    def __repr__(self) -> str:
        return f"ClusterConfig({self.name!r})"


def read_cluster_config(access: KubernetesAccess) -> ClusterConfig:
    """What ``access`` names, read from files now; call it outside the event loop.

    Raises:
        SettingsError: a file, the context or a part of it is missing or cannot be right.
    """
    return _of_pod(access) if access.in_cluster else _of_context(access)


def _of_pod(access: KubernetesAccess) -> ClusterConfig:
    folder = Path(access.service_account_dir)
    try:
        namespace = (folder / "namespace").read_text(encoding="utf-8").strip()
        authority = (folder / "ca.crt").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"the service account of the pod cannot be read from {folder}: {words_of(error)}; let the pod mount it "
            "(automountServiceAccountToken), or name a context of a kubeconfig"
        ) from error
    address, path, _ = _server(access.api_server, "the pod")
    return ClusterConfig(
        name=IN_CLUSTER,
        address=address,
        path=path,
        tls=ClusterTLS(pem=PEM(authority=authority)),
        namespace=namespace or "default",
        scheme="Bearer",
        token=FileToken(folder / "token"),  # the kubelet replaces it long before it runs out
    )


def _of_context(access: KubernetesAccess) -> ClusterConfig:
    config = read_kubeconfig(access.kubeconfig)
    places = config.places
    name = access.context or config.current_context
    if not name:
        raise SettingsError(f"the kubeconfig {places} has no current context; name one, as in kubernetes://CONTEXT")
    context = config.contexts.get(name)
    if context is None:
        there = ", ".join(sorted(config.contexts)) or "none"
        raise SettingsError(
            f'the kubeconfig {places} has no context "{name}"; it has {there}{did_you_mean(name, config.contexts)}'
        )
    cluster = config.clusters.get(context.cluster)
    if cluster is None:
        raise SettingsError(f'the context "{name}" of the kubeconfig {places} names a cluster that is not there')
    user = config.users.get(context.user) if context.user else User()
    if user is None:
        raise SettingsError(f'the context "{name}" of the kubeconfig {places} names a user that is not there')
    _refuse("cluster", context.cluster, cluster.unsupported, places)
    _refuse("user", context.user or "", user.unsupported, places)
    address, path, secure = _server(cluster.server, f"the kubeconfig {places}")
    pem = PEM(
        authority=_text(cluster.certificate_authority_data, cluster.certificate_authority),
        certificate=_text(user.client_certificate_data, user.client_certificate),
        key=_text(user.client_key_data, user.client_key),
    )
    if pem.authority and cluster.insecure_skip_tls_verify:
        raise SettingsError(
            f"the kubeconfig {places} gives a CA certificate and insecure-skip-tls-verify for one cluster; remove one"
        )
    verify = not cluster.insecure_skip_tls_verify
    tls = ClusterTLS(verify=verify, server_name=cluster.tls_server_name or "", pem=pem)
    scheme, token = _token(user, cluster, pem, places)
    return ClusterConfig(
        name=name,
        address=address,
        path=path,
        tls=tls if secure else None,
        namespace=context.namespace or "default",
        scheme=scheme,
        token=token,
    )


def _refuse(kind: str, name: str, key: str, places: str) -> None:
    if key:
        raise SettingsError(f'the {kind} "{name}" of the kubeconfig {places} has {key}, which is not supported')


def _token(user: User, cluster: Cluster, pem: PEM, places: str) -> tuple[str, Token]:
    """The scheme and the source of what authorizes requests; a token comes before a command, as in kubectl."""
    if user.token_file:
        return "Bearer", FileToken(Path(user.token_file))
    if user.token:
        return "Bearer", FixedToken(user.token)
    if user.username:
        pair = f"{user.username}:{user.password or ''}".encode()
        return "Basic", FixedToken(base64.b64encode(pair).decode())
    if user.exec is None:
        return "", FixedToken()
    if user.exec.api_version not in VERSIONS:
        raise SettingsError(
            f"the kubeconfig {places} has a command of the version {user.exec.api_version}; "
            f"{' and '.join(VERSIONS)} are supported: update the program and the kubeconfig"
        )
    command = ExecCommand(
        api_version=user.exec.api_version,
        command=(user.exec.command, *(user.exec.args or ())),
        env={one.name: one.value for one in user.exec.env or ()},
        install_hint=user.exec.install_hint or "",
        cluster=_told(cluster, pem) if user.exec.provide_cluster_info else None,
    )
    return "Bearer", ExecToken(command)


def _told(cluster: Cluster, pem: PEM) -> dict[str, object]:
    """What a command is told of the cluster, if it wants to know."""
    told = {
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": base64.b64encode(pem.authority.encode()).decode(),
    }
    return {key: value for key, value in told.items() if value}


def _server(url: str, place: str) -> tuple[HostPort, str, bool]:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError(f'{place} names the server "{url}", which is no http or https address')
    secure = parts.scheme == "https"
    return HostPort(host, port or (443 if secure else 80)), parts.path.rstrip("/"), secure


def _text(data: str | None, path: str | None) -> str:
    """What is given as base64 or as a file."""
    if data:
        try:
            return base64.b64decode(data, validate=True).decode()
        except (binascii.Error, ValueError):
            raise SettingsError("the kubeconfig holds certificate data that are not base64") from None
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the file {path} that the kubeconfig names cannot be read: {words_of(error)}") from error
