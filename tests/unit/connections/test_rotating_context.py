"""The certificates of a connection that change on disk."""

import shutil
import ssl
from pathlib import Path

import pytest

from homeport.connections.rotating_context import RotatingContext
from homeport.connections.tls import TLS
from homeport.errors import SettingsError
from tests.integration.client.certificates import Authority, CertificateFiles


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("second"))


@pytest.fixture
def files(tmp_path: Path, first: Authority) -> CertificateFiles:
    made = CertificateFiles(tmp_path / "own")
    made.hold(first, first.issue("client"))
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rotating(files: CertificateFiles, clock: Clock) -> RotatingContext:
    authority, certificate, key = map(str, files.paths)
    return RotatingContext(TLS(ca_file=authority, cert_file=certificate, key_file=key), backend="x://", clock=clock)


def trusts(context: ssl.SSLContext, authority: Authority) -> bool:
    der = ssl.PEM_cert_to_DER_cert(authority.certificate.read_text())
    return context.get_ca_certs(binary_form=True) == [der]


async def test_it_is_made_anew_when_a_file_changed(
    rotating: RotatingContext, files: CertificateFiles, clock: Clock, first: Authority, second: Authority
) -> None:
    before = await rotating.current()
    assert trusts(before, first)
    clock.now = 5.0
    assert await rotating.current() is before
    files.hold(second, second.issue("client"))
    assert await rotating.current() is before  # looked at less than a second ago
    clock.now = 6.0
    after = await rotating.current()
    assert trusts(after, second)
    assert await rotating.current() is after


async def test_after_a_refusal_it_is_looked_at_at_once(
    rotating: RotatingContext, files: CertificateFiles, second: Authority
) -> None:
    before = await rotating.current()
    assert await rotating.reread() is before
    files.hold(second, second.issue("client"))
    after = await rotating.reread()
    assert trusts(after, second)
    assert await rotating.current() is after


async def test_half_a_rotation_changes_nothing(
    rotating: RotatingContext, files: CertificateFiles, second: Authority
) -> None:
    before = await rotating.current()
    certificate, key = second.issue("client")
    shutil.copyfile(certificate, files.certificate)
    assert await rotating.reread() is before  # the key is still that of the certificate before
    files.key.unlink()
    assert await rotating.reread() is before
    shutil.copyfile(key, files.key)
    assert await rotating.reread() is not before


async def test_files_that_could_never_be_used_are_named_until_they_can(
    rotating: RotatingContext, files: CertificateFiles, first: Authority
) -> None:
    files.certificate.unlink()
    for _ in range(2):
        with pytest.raises(SettingsError, match=f"the client certificate in {files.certificate}"):
            await rotating.current()
    files.hold(first, first.issue("client"))
    assert trusts(await rotating.current(), first)


async def test_without_files_it_stays(clock: Clock) -> None:
    rotating = RotatingContext(TLS(), backend="x://", clock=clock)
    context = await rotating.current()
    clock.now = 10.0
    assert await rotating.current() is context
    assert await rotating.reread() is context
