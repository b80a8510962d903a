"""The command line in this process, as far as it comes without a registry: usage, help, broken files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from homeport import __version__
from homeport.cli import main
from homeport.cli.app import COMMANDS
from homeport.registry.health.settings import FileDefaults
from homeport.server.settings import ServerSettings

Line = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def nobodys_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wide terminal, no settings, no registry."""
    for variable in (
        "HOMEPORT_BACKEND", "HOMEPORT_CONFIG", "DISCOVERY_PROVIDER", "DISCOVERY_SERVICE_NAME", "CONSUL_HTTP_ADDR",
        "HOMEPORT_DEBUG",
    ):  # fmt: skip
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that should have been refused fail a test instead of starting a server in it."""

    def start(*_arguments: object, **_options: object) -> int:
        raise AssertionError("the server was started")

    monkeypatch.setattr("homeport.server.app.run", start)


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Line:
    """Runs an unsuccessful command line; its exit code, and its one line."""

    def run(*arguments: str) -> tuple[int, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("homeport: ")
        assert captured.err.count("\n") == 1
        return code, captured.err.removeprefix("homeport: ").rstrip("\n")

    return run


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("lst", "no such command 'lst'. Did you mean 'list'? See \"homeport --help\"."),
        ("gateway", "no such command 'gateway'. See \"homeport --help\"."),
        ("debug", 'missing command. See "homeport debug --help".'),
        ("debug registr api", "no such command 'registr'. Did you mean 'register'? See \"homeport debug --help\"."),
        ("list --formt json", 'no such option: --formt (Possible options: --format). See "homeport list --help".'),
        ("find a b", 'got unexpected extra argument(s) (b). See "homeport find --help".'),
        ("describe", "missing argument 'NAME'. See \"homeport describe --help\"."),
        ("list --backend", "option '--backend' requires an argument. See \"homeport list --help\"."),
        (
            "deregister x --backend homeport://a --backend homeport://b",
            "several backends are a fallback chain, which this command cannot use; name one --backend",
        ),
        ("list --backend=", "--backend is empty; name a backend, or leave it out"),
        ("register x --port 1 --backend homeport:// --backend=", "--backend is empty; name a backend, or leave it out"),
        (
            "register x --port 70000",
            "invalid value for '--port': it must be less than or equal to 65535. See \"homeport register --help\".",
        ),
        (
            "list --backend consul://h?timeout=soon",
            '--backend: consul://h:8500: timeout is "soon"; give a number of seconds above 0',
        ),
        (
            "list --backend consul://h?tokn=secret",
            "--backend: consul://h:8500: tokn is not a parameter of a consul backend; did you mean token?",
        ),
    ],
)
def test_misuse_is_one_line_and_exit_2(line: Line, arguments: str, text: str) -> None:
    assert line(*arguments.split()) == (2, text)


def test_the_choices_are_named(line: Line) -> None:
    code, text = line("list", "--format", "yaml")
    assert code == 2
    assert text.startswith("invalid value for '--format': 'yaml' is not one of 'table', 'json', 'ndjson'.")
    code, text = line("health-update", "x")
    assert code == 2
    assert text.startswith("missing option '--status'. Choose from: passing, warning, critical.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("servr: {}\n", "servr is not a setting; did you mean server?"),
        ("acl_policies: {}\n", "acl_policies is known but not available in this version; take it out"),
        ("client: [\n", "line 2, column 1: expected the node content, but found '<stream end>'"),
    ],
)
@pytest.mark.parametrize("command", ["list", "watch x", "register x --port 1", "serve"])
def test_a_broken_file_is_one_line_and_exit_1(line: Line, tmp_path: Path, command: str, text: str, reason: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text, encoding="utf-8")
    assert line(*command.split(), "--config", str(file)) == (1, f"{file}: {reason}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("server:\n  htp: x\n", "server.htp is not a setting; did you mean server.http?"),
        ("server:\n  limits:\n    body_bytes: big\n", 'server.limits.body_bytes is "big"; give a whole number'),
        ("server: 5\n", "server is 5; give its keys below it"),
        ("server:\n\thttp: x\n", "line 2, column 1: found character '\\t' that cannot start any token"),
    ],
)
def test_a_server_does_not_start_with_settings_that_cannot_be_right(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    own = tmp_path / ".config/homeport/homeport.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(text, encoding="utf-8")
    assert line("serve") == (1, f"{own}: {reason}")
    named = tmp_path / "named.yaml"
    named.write_text(text, encoding="utf-8")
    monkeypatch.setenv("HOMEPORT_CONFIG", str(named))
    assert line("serve") == (1, f"{named}: {reason}")


def test_a_server_does_not_start_with_a_variable_that_cannot_be_right(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEPORT_SERVER_LOG_LEVEL", "loud")
    assert line("serve") == (1, 'HOMEPORT_SERVER_LOG_LEVEL is "loud"; give debug, error, info or warning')


def test_a_list_of_backends_in_the_file(line: Line, tmp_path: Path) -> None:
    file = tmp_path / "h.yaml"
    file.write_text("backend: [homeport://a, homeport://b]\n", encoding="utf-8")
    assert line("deregister", "x", "--config", str(file)) == (
        2, "several backends are a fallback chain, which this command cannot use; name one --backend",
    )  # fmt: skip


@pytest.mark.parametrize("command", ["list", "watch x", "register x --port 1"])
def test_a_key_of_the_documents_that_cannot_be_obeyed_is_refused_by_name(
    line: Line, tmp_path: Path, command: str
) -> None:
    file = tmp_path / "consul.yaml"
    file.write_text("consul:\n  connect:\n    enabled: true\n    sidecar_proxy: true\n", encoding="utf-8")
    code, text = line(*command.split(), "--config", str(file))
    assert code == 1
    assert text.startswith(f"{file}: consul.connect.sidecar_proxy asks for Consul's service mesh")


def test_the_address_of_a_server_is_read_before_anything_else(line: Line) -> None:
    assert line("serve", "--http", "nonsense") == (
        2, '--http is "nonsense"; write HOST:PORT, for example 127.0.0.1:8500',
    )  # fmt: skip


def test_defaults_of_checks_of_the_documents_reach_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the section health_checks takes them; what the section server says itself comes first."""
    seen: list[ServerSettings] = []

    def note(settings: ServerSettings, **_: object) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr("homeport.server.app.run", note)
    file = tmp_path / "h.yaml"
    file.write_text(
        "high_availability:\n  health_checks:\n"
        "    check_intervals: {critical_services: 2s, standard_services: 4s}\n"
        "    timeout_configuration: {http_checks: 1s, tcp_checks: 2s, script_checks: 3s}\n"
        "server: {health: {file: {tcp_timeout: 9s}}}\n",
        encoding="utf-8",
    )
    assert main(["serve", "--config", str(file)]) == 0
    assert seen[0].health.file == FileDefaults(
        critical_interval=2.0, standard_interval=4.0, http_timeout=1.0, tcp_timeout=9.0, script_timeout=3.0
    )


def test_no_command_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "Usage: homeport" in captured.out
    assert captured.err == ""


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_names_every_command_in_its_group(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    assert main([flag]) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert command in out.split()
    for group in ("Registry", "Registration", "Discovery", "Health", "Connection"):
        assert f"─ {group} ─" in out
    assert "$ homeport register web --port 8000 -- python -m http.server 8000" in out


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--help"]) == 0
    assert f"$ homeport {command}" in capsys.readouterr().out


def test_brackets_of_a_help_text_stay(capsys: pytest.CaptureFixture[str]) -> None:
    main(["register", "--help"])
    out = capsys.readouterr().out
    assert "grpc://HOST:PORT[/SERVICE]" in out
    assert "[-- COMMAND [ARGUMENTS]...]" in out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"homeport {__version__}\n"


def test_a_defect_is_one_line_too(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_argument: object, _environ: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("homeport.cli.choosing.settings_file", broken)
    assert line("list") == (
        1, "unexpected ZeroDivisionError: by zero. HOMEPORT_DEBUG=1 shows where; please report it.",
    )  # fmt: skip


def test_a_help_text_is_wrapped_to_the_reader_not_to_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    assert (
        "CONSUL_HTTP_ADDR, else that of the settings file, else the registry on this host." in capsys.readouterr().out
    )
    main(["debug", "register", "--help"])
    assert "the address to announce, the permission; then a real registration" in capsys.readouterr().out
    main(["register", "--help"])
    assert "deregisters when it is told to end or ends, and exits with its exit code." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("find", "find needs a NAME, or a --tag, --version, --environment or --meta;"),
        ("find x --version ?", '"?" is not a version range; write for example'),
        ("find x --meta team", '--meta is "team"; write KEY=VALUE'),
        ("watch x --meta k", '--meta is "k"; write KEY=VALUE'),
        ("watch x --follow --format json", "--follow never ends, and a JSON document has to; use --format ndjson."),
        ("health-history x --since yesterday", '--since: "yesterday" is not a duration'),
        ("health-update x --status failing", "invalid value for '--status': 'failing' is not one of"),
        ("health-update x --status maintenance", "invalid value for '--status': 'maintenance' is not one of"),
        ("register x --port 1 --health-check soon", '--health-check is "soon"; give http://'),
        (
            "register x --port 0 --health-check tcp",
            '--health-check is "tcp", which means the port of the service; give --port too',
        ),
        ("register x --check-interval often", '--check-interval: "often" is not a duration'),
        ("register x --ttl long", '--ttl: "long" is not a duration'),
        ("register x --meta k", '--meta is "k"; write KEY=VALUE'),
        (
            "register x --start-timeout 1s",
            "--start-timeout is how long a COMMAND may take to start, and there is none.",
        ),
        (
            "register x --check-name n --health-check tcp://h:1 --health-check tcp://h:2",
            "--check-name names one check, and there are several --health-check.",
        ),
        ("register x --port 70000", "invalid value for '--port'"),
        ("register x --", 'there is no COMMAND after "--".'),
        ("register x --keep -- true", "--keep is for a registration without COMMAND"),
        ("register x surplus", "got unexpected extra argument"),
        ("register x --check-interval 0s", '--check-interval is "0s"; it must be above 0'),
        ("register x --check-timeout 0", '--check-timeout is "0"; it must be above 0'),
        ("register", "register needs a NAME, or DISCOVERY_SERVICE_NAME, or a --file."),
        ("register x", 'register needs --port, since others call "x" there; --port 0 is for what is not called.'),
        ("register x --keep", "register needs --port,"),
        ("register x -- true", "register needs --port,"),
        ("register x --set a=b", "--set gives values for the places of a definition, and there is no --file."),
        ("register --file f --set a", '--set is "a"; write KEY=VALUE'),
        ("register --file f --port 1", "--port is not taken beside --file, which says what is registered; use --set."),
        ("register x --file f --tag t", "--tag is not taken beside --file, which says what is registered; use --set."),
        ("agent", "agent needs --config: a folder or a file of service definitions."),
        ("agent --config x --format json", "agent never ends, and a JSON document has to; use --format ndjson."),
    ],
)
def test_misuse_is_told_before_anybody_is_asked(line: Line, arguments: str, text: str) -> None:
    """Nobody listens at that address: exit code 3 would mean that the registry was asked."""
    command, *rest = arguments.split()
    code, said = line(command, "--backend", "homeport://127.0.0.1:1", *rest)
    assert (code, said[: len(text)]) == (2, text)
