"""A certificate authority of the test's own, made by the openssl program."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers.ports import LOOPBACK


class Authority:
    """Issues certificates into a folder. All of them are for loopback, and valid for a day."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca-key.pem"
        folder.mkdir(parents=True, exist_ok=True)
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test authority"),
            *("-keyout", str(self._key), "-out", str(self.certificate)),
        )

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate and its key for a server or a client of that name, at loopback or under the name."""
        certificate, key, request = (self.folder / f"{name}{suffix}" for suffix in (".pem", "-key.pem", ".csr"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=IP:{LOOPBACK},DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n")
        self._openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(key), "-out", str(request)),
        )
        self._openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-days", "1", "-extfile", str(extensions), "-out", str(certificate)),
        )
        return certificate, key

    def _openssl(self, *arguments: str) -> None:
        program = shutil.which("openssl")
        if program is None:
            pytest.fail("openssl is not installed; on Debian: apt-get install openssl")
        subprocess.run([program, *arguments], check=True, capture_output=True)
