"""A real Eureka server on loopback: Spring Cloud's, as `tests/servers/eureka_application` makes it."""

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers.etcd import Certificates
from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import ServerProcess, wait_until

REQUEST_TIMEOUT = 60.0
RENEWAL_TIMEOUT = 60.0
JSON = "application/json"


class EurekaServer:
    """A Eureka server, which keeps everything in memory: `stop` and `kill` wipe it.

    Changes are visible at once (after a second, if just then somebody asked), and expired leases are looked for twice a
    second; a lease that was renewed lives for twice its duration. With `self_preservation` none expires while too few
    heartbeats arrive; without `delta` it has no deltas to offer. `user` and `password` are asked for by HTTP basic
    authentication, if given. `certificates` puts TLS on; with `client_certificates` a client must show one, too.
    `settings` are further Spring properties, as `{"eureka.server.renewal-percent-threshold": "0.5"}`. `form_peers`
    makes servers replicate.
    All methods block; a test that has work on its event loop calls them by `asyncio.to_thread`.
    """

    def __init__(
        self,
        launcher: Path,
        folder: Path,
        *,
        self_preservation: bool = False,
        delta: bool = True,
        user: str = "",
        password: str = "",
        certificates: Certificates | None = None,
        client_certificates: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._launcher = launcher
        self._self_preservation = self_preservation
        self._delta = delta
        self._user = user
        self._password = password
        self._certificates = certificates
        self._client_certificates = client_certificates
        self._settings = dict(settings or {})
        self._lease = PortLease(1)
        # It makes temporary folders, which stay when it is killed.
        self._process = ServerProcess(f"eureka-{self._lease.ports[0]}", folder, environment={"TMPDIR": str(folder)})
        self._opener = self._make_opener()
        self.peers: Sequence[str] = ()

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{LOOPBACK}:{self._lease.ports[0]}"

    @property
    def url(self) -> str:
        """The address of the REST API as a URL, without a slash at its end."""
        return f"{'https' if self._certificates else 'http'}://{self.address}/eureka"

    @property
    def log_path(self) -> Path:
        """The log, over all starts."""
        return self._process.log_path

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.running

    @property
    def pid(self) -> int:
        """The id of the running process."""
        return self._process.pid

    def spawn(self) -> None:
        """Start the process, and wait for nothing."""
        self._opener = self._make_opener()  # the certificates may be others than before
        self._process.spawn(self._command())

    def wait_ready(self) -> None:
        """Wait until it answers questions about its registry."""
        try:
            self._process.wait_ready(self._answers)
        except BaseException:
            self._process.kill()
            raise

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.spawn()
        self.wait_ready()

    def stop(self) -> None:
        """End it in an orderly way (SIGTERM)."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()

    def close(self) -> None:
        """End it and let its port go."""
        self.kill()
        self._lease.release()

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """One call of the REST API (`path` is below `url`); the JSON it answers with, None for an empty answer.

        Bytes are sent as they are, anything else as JSON. `urllib.error.HTTPError` for an answer that is no success.
        """
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method)
        request.add_header("Accept", JSON)
        request.add_header("Content-Type", JSON)
        if self._user:
            request.add_header("Authorization", f"Basic {_encoded(f'{self._user}:{self._password}')}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        with self._opener.open(request, timeout=REQUEST_TIMEOUT) as response:
            text = response.read()
        return json.loads(text) if text.strip() else None

    def register(
        self,
        app: str,
        instance_id: str,
        *,
        host: str = LOOPBACK,
        port: int = 80,
        status: str = "UP",
        metadata: Mapping[str, str] | None = None,
        renewal_interval: int = 30,
        duration: int = 90,
        **fields: object,
    ) -> None:
        """Register an instance under a lease of `duration` seconds; `fields` are further fields of the instance."""
        instance: dict[str, object] = {
            "instanceId": instance_id,
            "app": app.upper(),
            "hostName": host,
            "ipAddr": host,
            "vipAddress": app.lower(),
            "status": status,
            "port": {"$": port, "@enabled": "true"},
            "securePort": {"$": 443, "@enabled": "false"},
            "dataCenterInfo": {
                "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
                "name": "MyOwn",
            },
            "leaseInfo": {"renewalIntervalInSecs": renewal_interval, "durationInSecs": duration},
            "metadata": dict(metadata or {}),
        }
        self.request("POST", f"/apps/{app.upper()}", {"instance": instance | fields})

    def heartbeat(self, app: str, instance_id: str) -> None:
        """Renew the lease of an instance."""
        self.request("PUT", f"/apps/{app.upper()}/{instance_id}")

    def set_status(self, app: str, instance_id: str, status: str) -> None:
        """Override the status of an instance, as an operator does."""
        self.request("PUT", f"/apps/{app.upper()}/{instance_id}/status?value={status}")

    def clear_status(self, app: str, instance_id: str, status: str) -> None:
        """Take an override back; until the instance registers again, this is its status."""
        self.request("DELETE", f"/apps/{app.upper()}/{instance_id}/status?value={status}")

    def cancel(self, app: str, instance_id: str) -> None:
        """Remove an instance."""
        self.request("DELETE", f"/apps/{app.upper()}/{instance_id}")

    def lease(self, app: str, instance_id: str) -> dict[str, int]:
        """The lease of an instance as it is now, on the wire: durations in seconds, times in Unix milliseconds."""
        lease: dict[str, int] = self.request("GET", f"/apps/{app.upper()}/{instance_id}")["instance"]["leaseInfo"]
        return lease

    def wait_renewed(self, app: str, instance_id: str) -> None:
        """Wait until the lease of an instance is renewed once from now on; it may not come anew meanwhile."""
        before = self.lease(app, instance_id)

        def renewed() -> bool:
            now = self.lease(app, instance_id)
            assert now["registrationTimestamp"] == before["registrationTimestamp"], f"{instance_id} came anew"
            return now["lastRenewalTimestamp"] > before["lastRenewalTimestamp"]

        wait_until(renewed, timeout=RENEWAL_TIMEOUT, what=f"a renewal of {instance_id}")

    def apps(self) -> dict[str, dict[str, Any]]:
        """Every instance as it is on the wire, by application (upper case) and id."""
        return {
            app["name"]: {instance["instanceId"]: instance for instance in app["instance"]}
            for app in self.request("GET", "/apps")["applications"]["application"]
        }

    def _command(self) -> list[str]:
        properties = {
            "server.port": str(self._lease.ports[0]),
            "eureka.server.enable-self-preservation": str(self._self_preservation).lower(),
            "eureka.server.disable-delta": str(not self._delta).lower(),
            # An answer made ready while a change arrives is kept without it until the next change, or that long.
            "eureka.server.response-cache-auto-expiration-in-seconds": "1",
            # It is its own first peer, and knows that by its own URL; else it would look for one at the default port.
            "eureka.server.my-url": f"{self.url}/",
            "eureka.client.service-url.defaultZone": ",".join(f"{url}/" for url in (self.url, *self.peers)),
        }
        if self._user:
            properties["spring.security.user.name"] = self._user
            properties["spring.security.user.password"] = self._password
        if self._certificates is not None:
            properties["server.ssl.certificate"] = f"file:{self._certificates.certificate}"
            properties["server.ssl.certificate-private-key"] = f"file:{self._certificates.key}"
            properties["server.ssl.trust-certificate"] = f"file:{self._certificates.authority}"
            properties["server.ssl.client-auth"] = "need" if self._client_certificates else "none"
        return [str(self._launcher), *(f"--{name}={value}" for name, value in (properties | self._settings).items())]

    def _make_opener(self) -> urllib.request.OpenerDirector:
        # Never through a proxy that the environment names.
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self._certificates is not None:
            context = ssl.create_default_context(cafile=str(self._certificates.authority))
            context.load_cert_chain(self._certificates.certificate, self._certificates.key)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        return urllib.request.build_opener(*handlers)

    def _answers(self) -> bool:
        try:
            self.request("GET", "/apps")
        except (urllib.error.URLError, OSError, TimeoutError):
            return False
        return True


def form_peers(servers: Sequence[EurekaServer]) -> None:
    """Let servers that do not run yet replicate to each other, and start them."""
    for server in servers:
        server.peers = [other.url for other in servers if other is not server]
        server.spawn()
    for server in servers:
        server.wait_ready()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
