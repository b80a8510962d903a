import shutil
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.integration.client.certificates import Authority
from tests.servers import eureka_build
from tests.servers.etcd import Certificates
from tests.servers.eureka import EurekaServer
from tests.servers.eureka_build import application_version
from tests.servers.factory import EurekaFactory
from tests.servers.install import NotInstalledError, install
from tests.servers.java import PASSWORD, find_java, keep_links_inside, write_trust_store
from tests.servers.process import wait_until


def refusal(server: EurekaServer, path: str, **headers: str) -> int:
    """The status of a GET that is refused."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.request("GET", path, headers=headers)
    refused.value.close()
    return refused.value.code


def last_renewal(server: EurekaServer, path: str) -> int:
    """When an instance was renewed. Lists do not tell: they are cached, and a heartbeat changes nothing there."""
    return int(server.request("GET", path)["instance"]["leaseInfo"]["lastRenewalTimestamp"])


def changes(server: EurekaServer, app: str) -> list[tuple[str, str, str]]:
    """What the delta says of an application: id, status and kind of change."""
    delta: Any = server.request("GET", "/apps/delta")["applications"]["application"]
    return [
        (instance["instanceId"], instance["status"], instance["actionType"])
        for found in delta
        if found["name"] == app
        for instance in found["instance"]
    ]


def test_what_is_written_is_seen_at_once(eureka: EurekaServer, name: str) -> None:
    eureka.register(name, "o-1", host="192.0.2.7", port=8080, metadata={"zone": "north"}, duration=1700)
    instance = eureka.apps()[name.upper()]["o-1"]
    assert instance["hostName"] == instance["ipAddr"] == "192.0.2.7"
    assert instance["port"] == {"$": 8080, "@enabled": "true"}
    assert instance["leaseInfo"]["durationInSecs"] == 1700
    assert instance["metadata"] == {"zone": "north"}
    assert changes(eureka, name.upper()) == [("o-1", "UP", "ADDED")]
    eureka.set_status(name, "o-1", "OUT_OF_SERVICE")
    assert eureka.apps()[name.upper()]["o-1"]["status"] == "OUT_OF_SERVICE"
    assert changes(eureka, name.upper()) == [("o-1", "OUT_OF_SERVICE", "MODIFIED")]
    eureka.clear_status(name, "o-1", "UP")
    assert eureka.apps()[name.upper()]["o-1"]["overriddenStatus"] == "UNKNOWN"
    eureka.cancel(name, "o-1")
    assert name.upper() not in eureka.apps()
    assert changes(eureka, name.upper()) == [("o-1", "UP", "DELETED")]


def test_further_fields_of_an_instance_reach_the_server(eureka: EurekaServer, name: str) -> None:
    eureka.register(name, "f-1", vipAddress="a,b", homePageUrl="http://192.0.2.7/")
    instance = eureka.apps()[name.upper()]["f-1"]
    assert (instance["vipAddress"], instance["homePageUrl"]) == ("a,b", "http://192.0.2.7/")


def test_a_heartbeat_is_asked_for_an_instance_that_is_there(eureka: EurekaServer, name: str) -> None:
    eureka.register(name, "b-1")
    renewed = last_renewal(eureka, f"/apps/{name}/b-1")
    eureka.heartbeat(name, "b-1")
    assert last_renewal(eureka, f"/apps/{name}/b-1") > renewed
    with pytest.raises(urllib.error.HTTPError) as refused:
        eureka.heartbeat(name, "absent")
    refused.value.close()
    assert refused.value.code == 404


def test_a_kill_wipes_and_leaves_no_folder(eureka_factory: EurekaFactory) -> None:
    server = eureka_factory()
    address = server.address
    server.register("web", "w-1")
    server.kill()
    assert not server.running
    server.start()
    assert (server.apps(), server.address) == ({}, address)
    server.close()
    assert not list(Path(tempfile.gettempdir()).glob(f"tomcat*.{address.rpartition(':')[2]}.*"))


def test_leases_expire_unless_the_server_preserves_itself(
    eureka: EurekaServer, eureka_factory: EurekaFactory, name: str
) -> None:
    preserving = eureka_factory(self_preservation=True)
    preserving.register(name, "e-1", duration=1)
    eureka.register(name, "e-1", duration=3)
    wait_until(lambda: name.upper() not in eureka.apps(), timeout=60, what="the end of the lease")
    assert name.upper() in preserving.apps()


def test_a_user_is_asked_for_and_deltas_can_be_off(eureka_factory: EurekaFactory) -> None:
    server = eureka_factory(user="ann", password="p:w", delta=False)
    server.register("web", "w-1")
    assert list(server.apps()) == ["WEB"]
    assert refusal(server, "/apps", Authorization="Basic bm9ib2R5Og==") == 401
    assert refusal(server, "/apps/delta") == 403


def test_tls_asks_for_certificates_of_clients_if_told_to(eureka_factory: EurekaFactory, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("eureka")
    certificates = Certificates(certificate=certificate, key=key, authority=authority.certificate)
    strict = eureka_factory(certificates=certificates, client_certificates=True)
    lenient = eureka_factory(certificates=certificates)
    assert strict.url.startswith("https://")
    assert strict.apps() == lenient.apps() == {}
    without_certificate = ssl.create_default_context(cafile=str(authority.certificate))
    with urllib.request.urlopen(f"{lenient.url}/apps", context=without_certificate) as answer:
        assert answer.status == 200
    with pytest.raises(OSError, match=r"(?i)certificate|closed|reset|pipe"):
        urllib.request.urlopen(f"{strict.url}/apps", context=without_certificate)


def test_further_settings_reach_the_server(eureka_factory: EurekaFactory) -> None:
    server = eureka_factory(
        settings={
            "eureka.server.use-read-only-response-cache": "true",
            # Whenever so much more of the wall's clock has passed, that cache is written anew.
            "eureka.server.response-cache-update-interval-ms": str(10**12),
        }
    )
    assert server.apps() == {}
    server.register("web", "w-1")
    assert server.apps() == {}


def test_peers_replicate(eureka_factory: EurekaFactory) -> None:
    first, second = eureka_factory.peers(2)
    first.register("web", "w-1")
    wait_until(lambda: "WEB" in second.apps(), timeout=60, what="the replication of a registration")
    second.set_status("web", "w-1", "DOWN")
    wait_until(lambda: first.apps()["WEB"]["w-1"]["status"] == "DOWN", timeout=60, what="the replication of a status")
    second.cancel("web", "w-1")
    wait_until(lambda: "WEB" not in first.apps(), timeout=60, what="the replication of a cancellation")


def tools(folder: Path, **scripts: str) -> str:
    """A folder with these programs alone; for a PATH."""
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o700)
    return str(folder)


def test_a_build_that_fails_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = "echo 'openjdk version \"17.0.1\"' >&2"
    path = tools(tmp_path / "tools", java=version, javac=version, mvn="echo '[ERROR] no such artifact'; exit 1")
    monkeypatch.setenv("PATH", path)
    with pytest.raises(
        NotInstalledError,
        match=r"^eureka cannot be installed: Maven failed: \[ERROR\] no such artifact\. "
        r"Install eureka yourself and set HOMEPORT_TEST_EUREKA to its program\.$",
    ):
        install("eureka", {"XDG_CACHE_HOME": str(tmp_path)})
    assert [path.name for path in (tmp_path / "homeport-tests").iterdir()] == ["lock"]


def test_the_machine_s_java_is_used_if_it_is_whole_and_new_enough(tmp_path: Path) -> None:
    def told(version: str) -> str:
        return f"echo 'openjdk version \"{version}\"' >&2"

    whole = tools(tmp_path / "whole", java=told("21"), javac="", mvn="")
    found = find_java({"PATH": whole})
    assert found is not None
    assert found.maven == (f"{whole}/mvn",)
    assert find_java({"PATH": tools(tmp_path / "old", java=told("11.0.2"), javac="", mvn="")}) is None
    assert find_java({"PATH": tools(tmp_path / "runtime", java=told("17"), mvn="")}) is None
    assert find_java({"PATH": tools(tmp_path / "no-maven", java=told("17"), javac="")}) is None


def test_another_application_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = application_version()
    copy = tmp_path / "application"
    shutil.copytree(eureka_build.APPLICATION, copy)
    monkeypatch.setattr(eureka_build, "APPLICATION", copy)
    assert application_version() == before
    (copy / "pom.xml").write_text("<project/>")
    assert application_version() != before


def test_links_of_an_unpacked_system_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "etc/java").mkdir(parents=True)
    (tmp_path / "etc/java/security").write_text("here")
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr/security").symlink_to("/etc/java/security")
    (tmp_path / "usr/passwd").symlink_to("/etc/passwd")
    keep_links_inside(tmp_path)
    assert (tmp_path / "usr/security").read_text() == "here"
    assert (tmp_path / "usr/passwd").readlink() == Path("/etc/passwd")


def test_java_reads_the_store_of_trusted_authorities(tmp_path: Path) -> None:
    keytool = shutil.which("keytool")
    if keytool is None:
        pytest.skip("keytool is not on the PATH; on Debian: apt-get install openjdk-17-jre-headless")
    authority = Authority(tmp_path / "authority")
    encoded = ["openssl", "x509", "-in", str(authority.certificate), "-outform", "DER"]
    write_trust_store([subprocess.run(encoded, check=True, capture_output=True).stdout], tmp_path / "trust.jks")
    listing = [keytool, "-list", "-v", "-keystore", str(tmp_path / "trust.jks"), "-storepass", PASSWORD]
    told = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    assert "CN=test authority" in told
    assert "trustedCertEntry" in told
