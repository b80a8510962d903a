"""A certificate authority of the test's own, made by the openssl program."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers.ports import LOOPBACK


class Authority:
    """Issues certificates into a folder. All of them are for loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca-key.pem"
        folder.mkdir(parents=True, exist_ok=True)
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test authority"),
            # What RFC 5280 asks of an authority, which Python looks at from 3.13 on (VERIFY_X509_STRICT).
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", str(self._key), "-out", str(self.certificate)),
        )

    def issue(self, name: str, *, days: int = 1) -> tuple[Path, Path]:
        """A certificate and its key for a server or a client of that name, at loopback or under the name.

        It is valid for so many days from now on; with a negative number it is over.
        """
        certificate, key, request = (self.folder / f"{name}{suffix}" for suffix in (".pem", "-key.pem", ".csr"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(
            f"subjectAltName=IP:{LOOPBACK},DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        self._openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(key), "-out", str(request)),
        )
        self._openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-days", str(days), "-extfile", str(extensions), "-out", str(certificate)),
        )
        return certificate, key

    def _openssl(self, *arguments: str) -> None:
        program = shutil.which("openssl")
        if program is None:
            pytest.fail("openssl is not installed; on Debian: apt-get install openssl")
        subprocess.run([program, *arguments], check=True, capture_output=True)


class CertificateFiles:
    """A certificate, its key and its authority, under names that stay while what they hold changes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.authority, self.certificate, self.key = (folder / name for name in ("ca.pem", "own.pem", "own-key.pem"))

    def hold(self, authority: Authority, certificate: tuple[Path, Path]) -> None:
        """Replace what they hold, one after the other."""
        for source, place in zip((authority.certificate, *certificate), self.paths, strict=True):
            shutil.copyfile(source, place)

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """The authority, the certificate and the key."""
        return self.authority, self.certificate, self.key

    @property
    def parameters(self) -> str:
        """As the parameters of a backend URL."""
        return f"ca_file={self.authority}&cert_file={self.certificate}&key_file={self.key}"
