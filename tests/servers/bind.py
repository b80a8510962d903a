"""A real BIND on loopback, with zones that are changed while it runs (RFC 2136)."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.update

from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import ServerProcess

REQUEST_TIMEOUT = 60.0
SOA = "@ IN SOA ns.invalid. admin.invalid. 1 3600 600 86400 {negative_ttl}\n@ IN NS ns.invalid.\n"

CONFIG = """
options {{
    directory "{folder}";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 port {port} {{ ::1; }};
    pid-file none;
    session-keyfile "{folder}/session.key";
    recursion no;
    dnssec-validation no;
    minimal-responses {minimal};
    notify no;
}};
controls {{ }};
logging {{ category update {{ null; }}; }};
"""
ZONE = """
zone "{zone}" {{ type master; file "{zone}.zone"; allow-update {{ 127.0.0.1; }}; }};
"""


class BindServer:
    """BIND as the master of `zones`: their names with their records, one a line as in a zone file.

    Whoever looks for what is not there is told to remember that for `negative_ttl`. With `minimal` it sends no
    additional records. It answers for its zones and for no other name. All methods block.
    """

    def __init__(
        self,
        binary: Path,
        folder: Path,
        zones: Mapping[str, Iterable[str]],
        *,
        negative_ttl: int = 1,
        minimal: bool = False,
    ) -> None:
        self.folder = folder
        self._binary = binary
        self._zones = {name: list(records) for name, records in zones.items()}
        self._negative_ttl = negative_ttl
        self._minimal = minimal
        self._lease = PortLease(1)
        self._process = ServerProcess(f"named-{self.port}", folder)

    @property
    def port(self) -> int:
        """The port of DNS, by UDP and TCP."""
        return self._lease.ports[0]

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start it with the zones as they were at the first start, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = CONFIG.format(folder=self.folder, port=self.port, minimal="yes" if self._minimal else "no")
        for zone, records in self._zones.items():
            config += ZONE.format(zone=zone)
            text = "$TTL 1\n" + SOA.format(negative_ttl=self._negative_ttl) + "\n".join(records) + "\n"
            (self.folder / f"{zone}.zone").write_text(text, encoding="utf-8")
            (self.folder / f"{zone}.zone.jnl").unlink(missing_ok=True)
        config_file = self.folder / "named.conf"
        config_file.write_text(config, encoding="utf-8")
        self._process.spawn([str(self._binary), "-g", "-n", "1", "-c", str(config_file)])
        try:
            self._process.wait_ready(self._answers)
        except BaseException:
            self._process.kill()
            raise

    def stop(self) -> None:
        """End it in an orderly way (SIGTERM)."""
        self._process.stop()

    def close(self) -> None:
        """End it and let its port go."""
        self._process.kill()
        self._lease.release()

    def replace(self, zone: str, name: str, kind: str, *records: str, ttl: int = 1) -> None:
        """Put these records in the place of all of a name and type, in one step; none removes them."""
        update = dns.update.UpdateMessage(zone)
        update.delete(name, kind)
        for record in records:
            update.add(name, ttl, kind, record)
        answer = dns.query.tcp(update, LOOPBACK, timeout=REQUEST_TIMEOUT, port=self.port)
        if answer.rcode() != dns.rcode.NOERROR:
            raise RuntimeError(f"the update was answered with {dns.rcode.to_text(answer.rcode())}")

    def _answers(self) -> bool:
        try:
            question = dns.message.make_query(next(iter(self._zones)), "SOA")
            answer = dns.query.udp(question, LOOPBACK, timeout=0.2, port=self.port)
        except (OSError, dns.exception.DNSException):
            return False
        return bool(answer.answer)
