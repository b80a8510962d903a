"""A real dnsmasq on loopback."""

from collections.abc import Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import ServerProcess


class DnsmasqServer:
    """Dnsmasq with the options of `options`, one a line as in its configuration file, without the system's own.

    All methods block.
    """

    def __init__(self, binary: Path, folder: Path, options: Sequence[str]) -> None:
        self.folder = folder
        self.options = list(options)
        self._binary = binary
        self._lease = PortLease(1)
        self._process = ServerProcess(f"dnsmasq-{self.port}", folder)

    @property
    def port(self) -> int:
        """The port of DNS, by UDP and TCP."""
        return self._lease.ports[0]

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start it with the `options` as they are now, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config_file = self.folder / "dnsmasq.conf"
        own = [f"port={self.port}", f"listen-address={LOOPBACK}", "bind-interfaces", "no-resolv", "no-hosts", "user="]
        config_file.write_text("\n".join([*own, *self.options]) + "\n", encoding="utf-8")
        self._process.spawn(
            [str(self._binary), "--keep-in-foreground", "--log-facility=-", "--pid-file=", f"--conf-file={config_file}"]
        )
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

    def _answers(self) -> bool:
        try:
            dns.query.udp(dns.message.make_query("ready.invalid", "A"), LOOPBACK, timeout=0.2, port=self.port)
        except (OSError, dns.exception.DNSException):
            return False
        return True
