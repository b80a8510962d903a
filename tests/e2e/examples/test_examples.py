"""The examples of the documentation, run as a reader would run them, on a real registry."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer
from tests.servers.ports import LOOPBACK, PortLease
from tests.servers.process import clean_environment, wait_until

EXAMPLES = Path(__file__).parents[3] / "examples"
TIMEOUT = 60


def run(name: str, backend: str, *arguments: str) -> str:
    """Run an example to its end; its output."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env=clean_environment({"HOMEPORT_BACKEND": backend}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def billing(homeport: HomeportServer) -> Iterator[HomeportServer]:
    """A registry with two instances of billing, at a server that answers."""
    program = "import http.server as s; h = s.ThreadingHTTPServer(('127.0.0.1', 0), s.SimpleHTTPRequestHandler);"
    program += "print(h.server_port, flush=True); h.serve_forever()"
    web = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=EXAMPLES
    )
    assert web.stdout is not None
    port = int(web.stdout.readline())
    for number in (1, 2):
        body = {
            "ID": f"billing-{number}", "Name": "billing", "Address": "127.0.0.1", "Port": port,
            "Tags": ["eu"], "Meta": {"version": f"2.{number}.0"},
        }  # fmt: skip
        homeport.request("PUT", "/v1/agent/service/register", body)
    yield homeport
    for entry in homeport.request("GET", "/v1/health/service/billing"):
        homeport.request("PUT", f"/v1/agent/service/deregister/{entry['Service']['ID']}")
    web.kill()
    web.wait()
    web.stdout.close()


def test_register(homeport: HomeportServer) -> None:
    example = (EXAMPLES / "register.py").read_text(encoding="utf-8")
    work = "await asyncio.sleep(3)"
    assert work in example
    process = subprocess.Popen(
        [sys.executable, "-c", example.replace(work, "await asyncio.to_thread(input)")],  # until it was looked at
        env=clean_environment({"HOMEPORT_BACKEND": homeport.backend_url}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("registered api")

    def passing() -> bool:
        entries = homeport.request("GET", "/v1/health/service/api?passing=1&tag=warm")
        return bool(entries) and entries[0]["Service"]["Meta"]["version"] == "2.1.0"

    wait_until(passing, timeout=TIMEOUT, what="the registration with its new tag, passing its check")
    out, _ = process.communicate("\n", timeout=TIMEOUT)
    assert process.returncode == 0
    assert out == "deregistered\n"
    assert homeport.request("GET", "/v1/health/service/api") == []


def test_find(billing: HomeportServer) -> None:
    lines = run("find.py", billing.backend_url).splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["billing-1", "billing-2"]
    assert lines[2].startswith("call http://127.0.0.1:")
    assert lines[3].startswith('refused: "nobody" has no instances')


def test_follow(billing: HomeportServer) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", str(EXAMPLES / "follow.py")],
        env=clean_environment({"HOMEPORT_BACKEND": billing.backend_url}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "2 of 2 instances pass (confirmed)\n"
    for number in (1, 2):
        billing.request("PUT", f"/v1/agent/service/deregister/billing-{number}")
    out, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert out.splitlines()[-1] == "0 of 0 instances pass (confirmed)"


def test_call_spreads_the_calls(billing: HomeportServer) -> None:
    lines = run("call.py", billing.backend_url).splitlines()
    assert sorted(lines) == ["billing-1 answered 200"] * 2 + ["billing-2 answered 200"] * 2


def test_blocking(billing: HomeportServer) -> None:
    lines = run("blocking.py", billing.backend_url).splitlines()
    assert {"2 instances of billing", f"answers: {[200] * 8}"} < set(lines)
    assert any(line.startswith("registered invoicing-") for line in lines)
    assert lines[-1] in {"billing-1 answered 200", "billing-2 answered 200"}
    assert billing.request("GET", "/v1/health/service/invoicing") == []


def test_retries_go_on_elsewhere(billing: HomeportServer) -> None:
    with socket.socket() as nobody:  # bound, but nobody listens: whoever connects is refused
        nobody.bind(("127.0.0.1", 0))
        dead = {"ID": "billing-0", "Name": "billing", "Address": "127.0.0.1", "Port": nobody.getsockname()[1]}
        billing.request("PUT", "/v1/agent/service/register", dead)
        lines = run("retries.py", billing.backend_url).splitlines()
    assert len(lines) == 6
    assert set(lines) == {"billing-1 answered 200", "billing-2 answered 200"}


def test_py_consul(homeport: HomeportServer) -> None:
    assert run("py_consul.py", homeport.backend_url) == "legacy-1 at 127.0.0.1:9000\n2 instances\n"


def test_configured(homeport: HomeportServer) -> None:
    assert run("configured.py", homeport.backend_url, str(homeport.http_port)) == (
        f"registered worker 2.1.0 at port {homeport.http_port}\n1 worker is registered, this one: True\nderegistered\n"
    )
    assert homeport.request("GET", "/v1/health/service/worker") == []


def test_the_files_of_settings_and_definitions_are_right_and_can_be_registered(homeport: HomeportServer) -> None:
    command = [sys.executable, "-m", "homeport"]
    definition = str(EXAMPLES / "services/api.yaml")
    values = {"HOMEPORT_BACKEND": homeport.backend_url, "HOMEPORT_VERSION": "2.1.0", "HOMEPORT_ENVIRONMENT": "live"}
    environment = clean_environment(values)
    for arguments in (
        ["config-check", str(EXAMPLES / "homeport.yaml"), definition],
        ["register", "--file", definition],
    ):
        done = subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (entry,) = homeport.request("GET", "/v1/health/service/api")
    assert sorted(entry["Service"]["Tags"]) == ["2.1.0", "api", "http", "live"]
    assert {"HTTP Health Check", "TCP Port Check"} <= {check["Name"] for check in entry["Checks"]}
    homeport.request("PUT", f"/v1/agent/service/deregister/{entry['Service']['ID']}")


def test_the_settings_file_is_obeyed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable, "-m", "homeport", "serve", "--config", str(EXAMPLES / "homeport.yaml"),
            "--http", "127.0.0.1:0", "--data-dir", str(tmp_path / "data"),
        ],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        assert ready.startswith("homeport ready http=127.0.0.1:"), process.communicate(timeout=TIMEOUT)[1]
        backend = f"homeport://{ready.split('http=')[1].strip()}"
        environment = clean_environment({"HOMEPORT_BACKEND": backend})
        homeport = [sys.executable, "-m", "homeport"]
        register = [*homeport, "register", "billing", "--address", "127.0.0.1", "--port", backend.rpartition(":")[2]]
        subprocess.run(register, env=environment, check=True, capture_output=True, timeout=TIMEOUT)

        def checked() -> bool:
            listing = [*homeport, "health-list", "--format", "json"]
            out = subprocess.run(listing, env=environment, check=True, capture_output=True, timeout=TIMEOUT).stdout
            passing = {check["name"] for check in json.loads(out) if check["status"] == "passing"}
            return {"Port", "Disk space"} <= passing

        wait_until(checked, timeout=TIMEOUT, what="both checks of the file, passing")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0


def test_dns_zones(homeport_factory: HomeportFactory) -> None:
    config = (EXAMPLES / "dns_zones.yaml").read_text(encoding="utf-8")
    server = homeport_factory(dev=True, dns=True, config=config.replace("examples/", f"{EXAMPLES}/"))
    server.request("PUT", "/v1/agent/service/register", {"Name": "api", "Address": "10.0.0.9", "Port": 80})
    for name, kind, wanted in (
        ("api.company.local", "A", ["10.0.0.9"]),
        ("billing.files.company.local", "A", ["10.0.0.1", "10.0.0.2"]),
        (
            "_billing._tcp.files.company.local", "SRV",
            ["1 1 8080 0a000001.addr.files.company.local.", "1 3 8080 0a000002.addr.files.company.local."],
        ),
    ):  # fmt: skip
        question = dns.message.make_query(name, kind)
        answer = dns.query.udp(question, LOOPBACK, port=server.dns_port, timeout=TIMEOUT)
        assert sorted(data.to_text() for rrset in answer.answer for data in rrset) == wanted


# The registry has a port that nobody else takes while it is away, and everybody has the time of a busy machine.
DEMO = """
import asyncio, sys
from examples.demo import processes, run

def registry(folder, address=sys.argv[1]):
    return processes.registry(folder, address)

run.registry = registry
run.PATIENCE = processes.START_TIMEOUT = processes.STOP_TIMEOUT = 60.0
sys.exit(asyncio.run(run.main()))
"""


@pytest.mark.timeout(400)
def test_the_demo_keeps_its_promises() -> None:
    with PortLease() as lease:
        done = subprocess.run(
            [sys.executable, "-c", DEMO, f"{LOOPBACK}:{lease.ports[0]}"],
            cwd=EXAMPLES.parent,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    broken = [line for line in done.stdout.splitlines() if line.rstrip().endswith("✗ broken")]
    # What is promised in seconds holds on a machine that does nothing else.
    assert [line for line in broken if "≤" not in line] == [], done.stdout + done.stderr
    assert done.returncode == (1 if broken else 0), done.stdout + done.stderr
    assert broken or "Every promise was kept." in done.stdout
