"""The examples for web frameworks, run under the servers that their first lines name."""

import json
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.servers.factory import HomeportFactory
from tests.servers.ports import PortLease
from tests.servers.process import ServerProcess, wait_until

EXAMPLES = Path(__file__).parents[3] / "examples"
TIMEOUT = 60
SERVERS = {
    "fastapi_app.py": ["uvicorn", "fastapi_app:app", "--port", "PORT"],
    "flask_app.py": ["gunicorn", "flask_app:app", "--bind", "127.0.0.1:PORT", "--no-control-socket"],
    "django_app.py": ["gunicorn", "django_app:application", "--bind", "127.0.0.1:PORT", "--no-control-socket"],
}


@pytest.mark.parametrize("example", SERVERS)
def test_it_is_registered_while_it_serves_and_finds_others(
    example: str, homeport_factory: HomeportFactory, tmp_path: Path
) -> None:
    registry = homeport_factory(dev=True)
    billing = {"ID": "billing-1", "Name": "billing", "Address": "10.0.0.9", "Port": 9000}
    registry.request("PUT", "/v1/agent/service/register", billing)
    environment = {"HOMEPORT_BACKEND": registry.backend_url, "PYTHONPATH": str(EXAMPLES)}
    with PortLease() as lease:
        (port,) = lease.ports
        server = ServerProcess(example, tmp_path / "web", environment=environment)
        server.spawn([sys.executable, "-m", *(part.replace("PORT", str(port)) for part in SERVERS[example])])
        try:

            def ports() -> list[int]:
                entries = registry.request("GET", "/v1/health/service/web?passing=1&tag=production")
                return [entry["Service"]["Port"] for entry in entries]

            wait_until(lambda: ports() == [port], timeout=TIMEOUT, what="the registration of the example")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=TIMEOUT) as answer:
                assert json.load(answer) == {"invoices": "http://10.0.0.9:9000/v1/invoices"}
            server.send(signal.SIGTERM)
            server.wait()
            assert ports() == []
        finally:
            server.kill()
