"""How the server starts, and how it says that it cannot: one line, status 1, nothing damaged."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.registry.mounts import read_only
from tests.integration.server.running import PATIENCE, loaded, serve
from tests.integration.server.talking import Talk
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer
from tests.servers.process import clean_environment, wait_until

ANYWHERE = ("--http", "127.0.0.1:0")


def contents(folder: Path) -> dict[str, str]:
    """All files of a folder by their contents; the empty lock file is nobody's data."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "registry.lock"
    }


def refusal(*arguments: str) -> str:
    """The one line with which `homeport serve` does not start."""
    ended = serve(*arguments)
    assert ended.status == 1, ended
    assert ended.out == ""
    line = ended.err.removesuffix("\n")
    assert "\n" not in line, ended.err
    assert line.startswith("homeport: ")
    return line.removeprefix("homeport: ")


@pytest.fixture(scope="module")
def data_of_n1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a registry that was the node n1 in dc1, and ended in order."""
    folder = tmp_path_factory.mktemp("n1")
    server = HomeportServer(folder, arguments=["--node", "n1"])
    try:
        server.start()
        server.request("PUT", "/v1/agent/service/register", {"Name": "kept", "Port": 80})
        assert server.stop() == 0
    finally:
        server.close()
    return server.data_folder


@pytest.fixture
def data(data_of_n1: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(data_of_n1, tmp_path / "data"))


@pytest.mark.parametrize(("option", "word"), [("--node", "node"), ("--datacenter", "datacenter")])
def test_another_identity_than_the_stores(data: Path, option: str, word: str) -> None:
    before = contents(data)
    stored = {"node": "n1", "datacenter": "dc1"}[word]
    assert refusal(*ANYWHERE, "--data-dir", str(data), option, "other") == (
        f'this store belongs to the {word} "{stored}", not "other"; use {option} {stored} or another store'
    )
    # The revision moves on, since the store was opened; its records do not change.
    assert contents(data).keys() == before.keys()
    records = "SELECT key, value, created, modified FROM record ORDER BY key"
    with sqlite3.connect(data / "registry.db") as database:
        found = {key.split("/")[0] for key, *_ in database.execute(records)}
        assert b"other" not in b"".join(bytes(value) for _, value, *_ in database.execute(records))
    assert {"svc", "node", "store"} <= found
    database.close()


@pytest.mark.parametrize("damage", ["garbage", "half", "another program's"])
def test_a_broken_database(data: Path, damage: str) -> None:
    path = data / "registry.db"
    if damage == "garbage":
        path.write_bytes(b"this is not a database, and it is long enough to be looked at" * 100)
    elif damage == "half":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE letters (text)")
        database.close()
    before = contents(data)
    line = refusal(*ANYWHERE, "--data-dir", str(data))
    assert str(path) in line
    assert "nothing was changed" in line
    assert "--data-dir" in line
    assert contents(data) == before


def test_a_folder_in_use(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory()
    line = refusal(*ANYWHERE, "--data-dir", str(server.data_folder))
    assert line == (
        f"another process is using the data folder {server.data_folder}; stop it, "
        "or choose another folder with --data-dir"
    )
    assert server.request("GET", "/v1/agent/services") == {}


def test_a_folder_that_cannot_be_written(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "fixed"
    folder.mkdir()
    with read_only(folder):
        line = refusal(*ANYWHERE, "--data-dir", str(folder / "data"))
    assert line.startswith(f"{folder / 'data'} cannot be written (read-only file system); choose another folder with ")
    with read_only(data):
        assert "choose another folder with --data-dir" in refusal(*ANYWHERE, "--data-dir", str(data))


def test_a_home_that_is_not_there() -> None:
    program = (
        "import pathlib, sys\n"
        "def home(): raise RuntimeError('no home')\n"
        "pathlib.Path.home = home\n"
        "sys.argv[1:] = ['serve', '--http', '127.0.0.1:0']\n"
        "from homeport.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=clean_environment()
    )
    assert (done.returncode, done.stderr) == (
        1, "homeport: there is no home folder to keep the data in; name a folder with --data-dir\n",
    )  # fmt: skip


def test_checks_of_the_file_that_cannot_be_right_leave_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "homeport.yaml"
    file.write_text("health_checks:\n  web:\n    checks:\n      - {name: a, type: http}\n", encoding="utf-8")
    assert "url is missing" in refusal(*ANYWHERE, "--config", str(file), "--data-dir", str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_the_database_may_not_grow_beyond_its_bound(homeport_factory: HomeportFactory) -> None:
    outcomes = {}
    for bound in (256 << 10, 16 << 20):
        server = homeport_factory(config=f"server:\n  store_max_bytes: {bound}\n")
        outcomes[bound] = [register_large(server, number) for number in range(120)]
    assert set(outcomes[256 << 10]) == {200, 507}
    assert set(outcomes[16 << 20]) == {200}


def register_large(server: HomeportServer, number: int) -> int:
    body = {"Name": f"large-{number}", "Meta": {f"k{key}": "x" * 500 for key in range(8)}}
    with Talk(server.address) as talk:
        answer = talk.put("/v1/agent/service/register", json.dumps(body).encode())
    assert answer.status == 200 or answer.text.startswith("nothing was written: no space left for ")
    return answer.status


@pytest.mark.parametrize("address", ["127.0.0.1", "198.51.100.7"])
def test_the_address_that_others_are_told(homeport_factory: HomeportFactory, address: str) -> None:
    arguments = {} if address == "127.0.0.1" else {"HOMEPORT_SERVER_ADVERTISE": address}
    server = homeport_factory(dev=True, environment=arguments)
    nodes = server.request("GET", "/v1/catalog/nodes")
    assert [node["Address"] for node in nodes] == [address]


@pytest.mark.parametrize("answers_bytes", [0, 64 << 20])
def test_answers_are_the_same_whether_they_are_kept_or_not(
    homeport_factory: HomeportFactory, answers_bytes: int
) -> None:
    server = homeport_factory(dev=True, environment={"HOMEPORT_SERVER_ANSWERS_BYTES": str(answers_bytes)})
    server.request("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 1})
    for _ in range(2):
        assert len(server.request("GET", "/v1/health/service/web")) == 1


def test_uvloop_is_used_when_it_is_there_and_not_missed_when_it_is_not(
    homeport_factory: HomeportFactory, tmp_path: Path
) -> None:
    blocked = tmp_path / "without" / "uvloop"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('there is no uvloop')\n", encoding="utf-8")
    with_it = homeport_factory(dev=True)
    without = homeport_factory(dev=True, environment={"PYTHONPATH": str(blocked.parent)})
    assert loaded(with_it.pid, "uvloop")
    assert not loaded(without.pid, "uvloop")
    for server in (with_it, without):
        server.request("PUT", "/v1/agent/service/register", {"Name": "web"})
        assert len(server.request("GET", "/v1/health/service/web")) == 1
        assert server.stop() == 0


def test_the_log_is_json_elsewhere_than_on_a_terminal_and_text_when_asked(homeport_factory: HomeportFactory) -> None:
    for log_format, is_json in (("auto", True), ("json", True), ("text", False)):
        server = homeport_factory(dev=True, environment={"HOMEPORT_SERVER_LOG_FORMAT": log_format})
        line = next(line for line in lines_of(server) if "registry open" in line)
        if is_json:
            assert json.loads(line)["event"] == "registry open"
        else:
            assert not line.startswith("{")
            assert "store=memory" in line


def test_the_log_has_what_its_level_lets_through(homeport_factory: HomeportFactory) -> None:
    for level, heard in (("info", True), ("warning", False)):
        server = homeport_factory(dev=True, environment={"HOMEPORT_SERVER_LOG_LEVEL": level})
        assert any("registry open" in line for line in lines_of(server)) is heard


def test_listening_beyond_this_host_is_warned_of_once(homeport_factory: HomeportFactory) -> None:
    closed = homeport_factory(dev=True)
    assert not [line for line in lines_of(closed) if "without access control" in line]
    # All loopback addresses of IPv6 and IPv4 are this host's; only the unspecified one leads beyond it.
    open_one = homeport_factory(dev=True, http="0.0.0.0:0")
    for _ in range(3):
        assert open_one.request("GET", "/v1/agent/services") == {}
    warnings = [json.loads(line) for line in lines_of(open_one) if "without access control" in line]
    assert [(warning["level"], warning["http"]) for warning in warnings] == [("warning", open_one.address)]


def test_tokens_never_reach_the_log(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory(dev=True, environment={"HOMEPORT_SERVER_LOG_LEVEL": "debug"})
    secret = "s3cr3t-t0ken"
    server.token = secret
    for path in ("/v1/agent/self", f"/v1/catalog/nodes?token={secret}", f"/v1/nothing?token={secret}"):
        try:
            server.request("GET", path)
        except OSError:
            continue
    server.stop()
    wait_until(lambda: not server.running, timeout=5, what="the end of the server")
    assert secret not in server.log_path.read_text(encoding="utf-8")


def lines_of(server: HomeportServer) -> list[str]:
    """The lines of a server's log."""
    return server.log_path.read_text(encoding="utf-8").splitlines()
