from pathlib import Path

import pytest

from tests.servers.apt import (
    AptUnavailableError,
    PrivateApt,
    configured_sources,
    debian_archive,
    os_release,
    parse_deb822,
    parse_one_line,
)

BOOKWORM = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
UBUNTU = {"ID": "ubuntu", "VERSION_CODENAME": "noble"}

DEB822 = """\
Types: deb
# a comment between the fields
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
WITH_KEY = """\
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_deb822_gives_the_archive_for_another_suite() -> None:
    archive = debian_archive(list(parse_deb822(DEB822)), os_release=BOOKWORM)
    assert archive is not None
    assert archive.stanza("bullseye") == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bullseye\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian.gpg\n"
    )


def test_a_key_inside_the_file_is_kept() -> None:
    (source,) = parse_deb822(WITH_KEY)
    assert source.stanza("bullseye").endswith(
        "Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )


@pytest.mark.parametrize("line", ["Enabled: no", "Enabled: false"])
def test_a_source_that_is_switched_off_does_not_count(line: str) -> None:
    assert list(parse_deb822(WITH_KEY + line + "\n")) == []


def test_sources_of_source_code_do_not_count() -> None:
    assert list(parse_deb822(WITH_KEY.replace("deb deb-src", "deb-src"))) == []
    assert list(parse_one_line("deb-src http://mirror.example/debian bookworm main")) == []


def test_one_line_gives_the_archive_with_its_trust() -> None:
    text = """
    # deb http://old.example/debian bookworm main
    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # ours
    deb http://mirror.example/debian-security bookworm-security main
    """
    archive = debian_archive(list(parse_one_line(text)), os_release=BOOKWORM)
    assert archive is not None
    assert archive.stanza("bullseye") == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bullseye\nComponents: main\nSigned-By: /k.gpg\n"
    )


def test_a_mirror_under_another_name_counts_on_debian_only() -> None:
    sources = list(parse_one_line("deb http://mirror.example/os bookworm main"))
    archive = debian_archive(sources, os_release=BOOKWORM)
    assert archive is not None
    assert archive.uris == ("http://mirror.example/os",)
    assert debian_archive(sources, os_release=UBUNTU) is None


@pytest.mark.parametrize(
    "line",
    [
        "deb http://mirror.example/debian-security bookworm-security main",
        "deb http://mirror.example/debian bookworm-updates main",
        "deb http://mirror.example/debian bookworm contrib",
        "deb http://mirror.example/ubuntu noble main universe",
        "deb http://mirror.example/tool stable-tool main",
    ],
)
def test_other_archives_are_not_taken_for_debian(line: str) -> None:
    assert debian_archive(list(parse_one_line(line)), os_release=UBUNTU) is None


def test_every_file_of_the_configuration_is_read(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/debian one main\n")
    (parts / "b.list").write_text("deb http://b.example/debian two main\n")
    (parts / "c.sources").write_text(WITH_KEY)
    (parts / "d.sources.disabled").write_text(WITH_KEY)
    assert [source.suites for source in configured_sources(tmp_path)] == [("one",), ("two",), ("trixie",)]


def test_the_release_is_read(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text('ID=debian\nVERSION_CODENAME="bookworm"\n\n')
    assert os_release(path) == BOOKWORM
    assert os_release(tmp_path / "absent") == {}


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AptUnavailableError, match="this machine has no apt-get and no dpkg-deb"):
        PrivateApt(tmp_path / "apt")


def test_a_machine_without_a_debian_archive_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AptUnavailableError, match="not set up with a Debian archive"):
        PrivateApt(tmp_path / "apt", etc=tmp_path / "etc")
