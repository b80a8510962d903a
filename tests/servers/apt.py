"""Debian packages without root: taken by the machine's own apt from the machine's own archive, into a private folder.

Nothing here names an archive. The source entry is derived from what the machine's apt is set up with, so that its
mirror, keyring, proxy and credentials hold; apt's lists and caches are private, and the system's are not touched.
"""

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

APT_TIMEOUT = 300.0
ETC = Path("/etc/apt")
NOT_MAIN = re.compile(r"(-|/)(security|updates|proposed|backports|debug)\b")


class AptUnavailableError(Exception):
    """Packages cannot be had by apt on this machine; the text says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One archive that apt is set up with; `fields` are its further options under their deb822 names."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    fields: Mapping[str, str] = field(default_factory=dict)

    def stanza(self, suite: str) -> str:
        """This source in deb822 form (sources.list(5)), for one suite's `main`."""
        lines = ["Types: deb", f"URIs: {' '.join(self.uris)}", f"Suites: {suite}", "Components: main"]
        return "\n".join([*lines, *(f"{name}: {value}" for name, value in self.fields.items())]) + "\n"


ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)$")
# The options that matter for trust and reach, by their one-line name (sources.list(5)).
KEPT_OPTIONS = {"signed-by": "Signed-By", "trusted": "Trusted", "check-valid-until": "Check-Valid-Until"}


def parse_one_line(text: str) -> Iterator[Source]:
    """The binary sources of a file in one-line style."""
    for raw in text.splitlines():
        match = ONE_LINE.match(raw.partition("#")[0].strip())
        if match is None:
            continue
        options = dict(option.split("=", 1) for option in (match["options"] or "").split() if "=" in option)
        kept = {KEPT_OPTIONS[name.lower()]: value for name, value in options.items() if name.lower() in KEPT_OPTIONS}
        yield Source(
            uris=(match["uri"],),
            suites=(match["suite"],),
            components=tuple(match["components"].split()),
            fields=kept,
        )


def parse_deb822(text: str) -> Iterator[Source]:
    """The enabled binary sources of a file in deb822 style; a key given inside the file is kept as it is."""
    without_comments = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", without_comments):
        values: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace() and name:
                values[name] += f"\n{line}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                values[name] = value.strip()
        if "deb" not in values.get("types", "").split() or values.get("enabled", "yes").lower() in {"no", "false", "0"}:
            continue
        yield Source(
            uris=tuple(values.get("uris", "").split()),
            suites=tuple(values.get("suites", "").split()),
            components=tuple(values.get("components", "").split()),
            fields={kept: values[option] for option, kept in KEPT_OPTIONS.items() if option in values},
        )


def configured_sources(etc: Path) -> list[Source]:
    """Every binary source of an apt configuration folder (usually `/etc/apt`)."""
    found: list[Source] = []
    one_line = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]
    for path in one_line:
        if path.is_file():
            found += parse_one_line(path.read_text(encoding="utf-8", errors="replace"))
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        found += parse_deb822(path.read_text(encoding="utf-8", errors="replace"))
    return found


def debian_archive(sources: Sequence[Source], *, os_release: Mapping[str, str]) -> Source | None:
    """The source of Debian's main archive, if this machine has one.

    On Debian that is the source of its own release; elsewhere, one whose address ends in `debian`.
    """
    candidates = [
        source
        for source in sources
        if source.uris
        and "main" in source.components
        and any(not NOT_MAIN.search(suite) for suite in source.suites)
        and not any(NOT_MAIN.search(uri) for uri in source.uris)
    ]
    own_suites = {os_release.get("VERSION_CODENAME", ""), "stable", "testing", "unstable", "sid"} - {""}
    if os_release.get("ID") == "debian":
        for source in candidates:
            if own_suites & set(source.suites):
                return source
    for source in candidates:
        if any("debian" in uri.rstrip("/").split("/") for uri in source.uris):
            return source
    return None


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """What the system says that it is (os-release(5)); empty if it does not say."""
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


class PrivateApt:
    """The machine's apt, with one suite of Debian's archive and state of its own in `folder`."""

    def __init__(self, folder: Path, *, suite: str | None = None, etc: Path | None = None) -> None:
        missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
        if missing:
            raise AptUnavailableError(f"this machine has no {' and no '.join(missing)}")
        release = os_release()
        source = debian_archive(configured_sources(etc or ETC), os_release=release)
        if source is None:
            raise AptUnavailableError("apt on this machine is not set up with a Debian archive")
        own = next((name for name in source.suites if not NOT_MAIN.search(name)), "stable")
        self.folder = folder
        self.downloads = folder / "archives"
        parts = folder / "sources"
        for path in (parts, self.downloads / "partial", folder / "lists" / "partial"):
            path.mkdir(parents=True, exist_ok=True)
        (parts / "debian.sources").write_text(source.stanza(suite or own), encoding="utf-8")
        self._options = [
            "-o", "Dir::Etc::SourceList=/dev/null",
            "-o", f"Dir::Etc::SourceParts={parts}",
            "-o", f"Dir::State::Lists={folder / 'lists'}",
            "-o", f"Dir::Cache={folder}",
            "-o", f"Dir::Cache::Archives={self.downloads}",
            # The private folder need not be readable for apt's own user, and nothing is installed into the system.
            "-o", "APT::Sandbox::User=root",
            "-o", "Debug::NoLocking=1",
            "-o", "Acquire::Languages=none",
            "-o", "Acquire::Retries=2",
            "-o", "Dir::Log=/dev/null",
        ]  # fmt: skip

    def update(self) -> None:
        """Fetch the list of the suite's packages."""
        self._run("update")

    def fetch(self, package: str, *, with_dependencies: bool = False) -> list[Path]:
        """Download a package, and what it needs that the system does not have; the files."""
        before = set(self.downloads.glob("*.deb"))
        if with_dependencies:
            self._run("install", "--download-only", "--no-install-recommends", "--yes", package)
        found = set(self.downloads.glob("*.deb")) - before
        if not found:
            self._run("download", package)
            found = set(self.downloads.glob("*.deb")) - before
        return sorted(found)

    def unpack(self, files: Sequence[Path], into: Path) -> None:
        """Extract packages without installing them."""
        into.mkdir(parents=True, exist_ok=True)
        for file in files:
            self._call(["dpkg-deb", "--extract", str(file), str(into)])

    def _run(self, *arguments: str) -> None:
        self._call(["apt-get", "--quiet", *self._options, *arguments])

    def _call(self, command: list[str]) -> None:
        try:
            subprocess.run(command, cwd=self.downloads, check=True, capture_output=True, text=True, timeout=APT_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AptUnavailableError(f"{command[0]} did not finish within {APT_TIMEOUT:g} s") from None
        except subprocess.CalledProcessError as error:
            lines = [line for line in f"{error.stdout}\n{error.stderr}".splitlines() if line.startswith(("E:", "Err:"))]
            reason = " ".join(lines[:3]) or str(error.stderr).strip()[-300:]
            raise AptUnavailableError(f"{command[0]} {command[-1]} failed: {reason}") from None


def library_folders(root: Path) -> list[Path]:
    """Where the shared libraries of unpacked packages are."""
    triplet = f"{platform.machine()}-linux-gnu"
    return [path for path in (root / "usr/lib" / triplet, root / "lib" / triplet, root / "usr/lib") if path.is_dir()]
