"""A Java development kit and Maven: those of the machine, else Debian's, unpacked into a folder without root."""

import hashlib
import os
import re
import shutil
import ssl
import struct
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.apt import PrivateApt, library_folders

OLDEST = 17
DEBIAN_PACKAGES = ("default-jdk-headless", "maven")
# Where Debian keeps what the machine trusts.
DEBIAN_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
PASSWORD = "changeit"
RUN_TIMEOUT = 30.0


@dataclass(frozen=True, kw_only=True)
class Java:
    """How Java and Maven are started; `environment` is added to that of the process."""

    java: Path
    maven: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def find_java(environ: Mapping[str, str]) -> Java | None:
    """What is on the PATH, if that is a whole kit of at least Java 17 and Maven."""
    found = {name: shutil.which(name, path=environ.get("PATH")) for name in ("java", "javac", "mvn")}
    java, maven = found["java"], found["mvn"]
    if java is None or maven is None or found["javac"] is None or major_version(java) < OLDEST:
        return None
    return Java(java=Path(java), maven=(maven,))


def major_version(java: str) -> int:
    """The version that a Java tells of itself (`openjdk version "17.0.15" …`); 0 if it tells none."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=RUN_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(\d+)', told.stderr)
    return int(match[1]) if match else 0


def unpack_java(apt: PrivateApt, root: Path) -> Java:
    """Debian's Java and Maven with all that they need, unpacked into a folder; `AptUnavailableError` if that fails."""
    apt.update()
    for package in DEBIAN_PACKAGES:
        apt.unpack(apt.fetch(package, with_dependencies=True), root)
    keep_links_inside(root)
    home = next((root / "usr/lib/jvm").glob("java-*-openjdk-*"))
    trust = root / "trust.jks"
    write_trust_store(trusted_authorities(), trust)
    environment = {
        "JAVA_HOME": str(home),
        "MAVEN_OPTS": f"-Djavax.net.ssl.trustStore={trust} -Djavax.net.ssl.trustStorePassword={PASSWORD}",
        "LD_LIBRARY_PATH": ":".join(str(folder) for folder in library_folders(root)),
    }
    java = home / "bin" / "java"
    # Debian does so when it installs the package; archives of applications build upon this one.
    subprocess.run([java, "-Xshare:dump"], env={**os.environ, **environment}, check=False, capture_output=True)
    return Java(java=java, maven=("sh", str(root / "usr/share/maven/bin/mvn")), environment=environment)


def trusted_authorities() -> list[bytes]:
    """The certificates (DER) of the authorities that this machine trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ssl.get_default_verify_paths().cafile or DEBIAN_AUTHORITIES)
    return context.get_ca_certs(binary_form=True)


def keep_links_inside(root: Path) -> None:
    """Let the absolute links of an unpacked system lead to what was unpacked."""
    for path in root.rglob("*"):
        if not path.is_symlink():
            continue
        target = path.readlink()
        inside = root / target.relative_to("/") if target.is_absolute() else None
        if inside is not None and inside.exists():
            path.unlink()
            path.symlink_to(os.path.relpath(inside, path.parent))


def write_trust_store(certificates: Iterable[bytes], path: Path) -> None:
    """Write certificates (DER) of trusted authorities into a file as Java reads it (format JKS, version 2)."""
    entries = [
        struct.pack(">I", 2) + _text(f"authority-{number}") + struct.pack(">Q", 0) + _text("X.509")
        + struct.pack(">I", len(certificate)) + certificate
        for number, certificate in enumerate(certificates)
    ]  # fmt: skip
    content = struct.pack(">III", 0xFEEDFEED, 2, len(entries)) + b"".join(entries)
    # The words are the format's own.
    seal = hashlib.sha1(PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + content, usedforsecurity=False).digest()
    path.write_bytes(content + seal)


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
