"""`debug network`: ports that are open, and ports that are not."""

import socket
from collections.abc import Callable
from pathlib import Path

from tests.e2e.cli.in_process import InProcess
from tests.servers.homeport import HomeportServer


def test_open_and_refused(here: InProcess, homeport: HomeportServer, free_port: Callable[[], int]) -> None:
    port = int(homeport.address.rpartition(":")[2])
    outcome = here("debug", "network", "127.0.0.1", "--test-ports", str(port), "--format", "json")
    (row,) = outcome.json
    assert outcome.code == 0
    assert (row["address"], row["port"], row["result"]) == ("127.0.0.1", port, "open")
    closed = free_port()
    both = here("debug", "network", "localhost", "--test-ports", f"{port},{closed}")
    assert both.code == 1
    cells = [line.split()[2:4] for line in both.out.splitlines()[1:] if "127.0.0.1" in line]
    assert cells == [[str(port), "open"], [str(closed), "refused"]]
    assert "nothing listens there" in both.out


def test_a_range_and_what_usually_lives_there(here: InProcess) -> None:
    rows = here("debug", "network", "127.0.0.1", "--test-ports", "8300-8302", "--format", "ndjson").ndjson
    assert [row["port"] for row in rows] == [8300, 8301, 8302]
    assert rows[0]["usually"] == "Consul, RPC of servers"


def test_the_hosts_and_ports_of_the_backend(
    here: InProcess, homeport: HomeportServer, free_port: Callable[[], int], tmp_path: Path
) -> None:
    closed = free_port()
    backend = f"consul://{homeport.address},127.0.0.1:{closed}"
    rows = here("debug", "network", "--backend", backend, "--format", "json").json
    assert [(str(row["port"]), row["result"]) for row in rows] == [
        (homeport.address.rpartition(":")[2], "open"), (str(closed), "refused"),
    ]  # fmt: skip
    on_host = here("debug", "network", "--backend", backend, "--test-ports", str(closed), "--format", "json").json
    assert [row["port"] for row in on_host] == [closed]
    nowhere = here("debug", "network", "--backend", f"static://{tmp_path}/services.yaml")
    assert (nowhere.code, nowhere.out) == (2, "")
    assert "names no host; give a HOST" in nowhere.err


def test_nothing_answers_in_time(here: InProcess) -> None:
    """A listener whose queue is full answers no connection, as a firewall that drops everything."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        first.connect(address)
        second.setblocking(False)
        second.connect_ex(address)
        outcome = here(
            "debug", "network", "127.0.0.1", "--test-ports", str(address[1]), "--timeout", "300ms", "--format", "json"
        )
    (row,) = outcome.json
    assert (outcome.code, row["result"], row["reason"]) == (1, "filtered", "no answer within 0.3 s")


def test_what_cannot_be_right(here: InProcess) -> None:
    for arguments, code, text in (
        (("127.0.0.1",), 2, "--test-ports says which ports of a HOST are tried"),
        (("127.0.0.1:80", "--test-ports", "80"), 2, 'HOST is "127.0.0.1:80"; give its port by --test-ports 80'),
        (("127.0.0.1", "--test-ports", "80", "--timeout", "0s"), 2, "it must be above 0"),
        (("no-such-host.invalid", "--test-ports", "80"), 3, 'the name "no-such-host.invalid" cannot be resolved'),
    ):
        outcome = here("debug", "network", *arguments)
        assert (outcome.code, outcome.out) == (code, "")
        assert text in outcome.err
