"""Why certificates cannot be used: the same words wherever they come from."""

import subprocess
from pathlib import Path

import pytest

from homeport.connections.kubernetes_config import PEM, ClusterTLS
from homeport.connections.tls import TLS
from homeport.errors import SettingsError
from tests.integration.client.certificates import Authority

ENCRYPTED = "the key is encrypted with a password, which is not supported"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def text_of(tls: TLS) -> str:
    with pytest.raises(SettingsError) as caught:
        tls.context()
    return str(caught.value)


def reasons(certificate: Path, key: Path) -> tuple[str, str]:
    """What is said of a client certificate in files, and of the same one in a kubeconfig."""
    in_files = text_of(TLS(cert_file=str(certificate), key_file=str(key)))
    pem = PEM(certificate=certificate.read_text(), key=key.read_text())
    in_config = text_of(ClusterTLS(pem=pem))
    return (
        in_files.removeprefix(f"the client certificate in {certificate} and {key} cannot be used: "),
        in_config.removeprefix("the client certificate and key of the kubeconfig cannot be used: ").removesuffix(
            "; get a new kubeconfig"
        ),
    )


def test_a_key_of_another_certificate(authority: Authority) -> None:
    certificate, _ = authority.issue("one")
    _, key = authority.issue("two")
    assert reasons(certificate, key) == ("key values mismatch", "key values mismatch")


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("three")
    encrypted = tmp_path / "encrypted.pem"
    subprocess.run(
        ["openssl", "rsa", "-in", key, "-aes256", "-passout", "pass:secret", "-out", encrypted],
        check=True, capture_output=True,
    )  # fmt: skip
    assert reasons(certificate, encrypted) == (ENCRYPTED, ENCRYPTED)


def test_what_is_no_pem(authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("what")
    in_files, in_config = reasons(other, other)
    assert in_files == in_config
    assert in_files


def test_authorities_that_are_none(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("what")
    assert text_of(TLS(ca_file=str(other))).startswith(f"the CA certificates in {other} cannot be used: ")
    assert text_of(ClusterTLS(pem=PEM(authority="what"))).startswith("the CA certificate of the cluster cannot be used")
