"""The samples of the pages for people who come from other libraries, beside what those write."""

import json
import subprocess
import sys
from pathlib import Path

from homeport import Service
from tests.contract.kubernetes.harness import remove_slices, write_slice
from tests.servers.etcd import EtcdServer
from tests.servers.factory import EtcdFactory
from tests.servers.kubernetes import ApiServer
from tests.servers.process import clean_environment

ROOT = Path(__file__).parents[3]
TIMEOUT = 60


def start(example: str, **environment: str) -> "subprocess.Popen[str]":
    """An example as a program."""
    return subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "examples" / example)],
        env=clean_environment(environment),
        stdout=subprocess.PIPE,
        text=True,
    )


def lines_of(program: "subprocess.Popen[str]") -> list[str]:
    """All that it prints until it ends by itself."""
    printed, _ = program.communicate(timeout=TIMEOUT)
    assert program.returncode == 0
    return printed.splitlines()


def test_python_etcd3(etcd_factory: EtcdFactory) -> None:
    etcd: EtcdServer = etcd_factory()
    # What a program on python-etcd3 registers: a key with a JSON value.
    etcd.put("/services/billing/legacy", json.dumps({"address": "10.0.0.2", "port": 8080}))
    lines = lines_of(start("from_etcd3.py", ETCD_ENDPOINTS=etcd.address))
    assert lines[-3:] == [
        "billing-1 10.0.0.1:8080, legacy 10.0.0.2:8080", "somebody else was faster", "config/color=green",
    ]  # fmt: skip
    assert list(etcd.get("/services/")) == ["/services/billing/legacy"]
    assert etcd.get("config/") == {"config/color": "green"}


def test_kubernetes_asyncio(kubernetes: ApiServer) -> None:
    first, second = (
        Service(name="billing", id=f"billing-{number}", address=f"10.0.0.{number}", port=8080) for number in (1, 2)
    )
    write_slice(kubernetes, first)
    try:
        kubeconfig = kubernetes.kubeconfig_for(kubernetes.address)
        program = start(
            "from_kubernetes_asyncio.py", HOMEPORT_BACKEND=f"kubernetes://test/default?kubeconfig={kubeconfig}"
        )
        assert program.stdout is not None
        assert program.stdout.readline() == "10.0.0.1:8080 on ?\n"
        write_slice(kubernetes, second)
        assert lines_of(program) == ["10.0.0.1:8080 on ?, 10.0.0.2:8080 on ?", "call 8080"]
    finally:
        for service in (first, second):
            remove_slices(kubernetes, service)


def test_the_pages_show_these_programs() -> None:
    for page, example in (
        ("coming-from-python-etcd3.md", "from_etcd3.py"),
        ("coming-from-kubernetes-asyncio.md", "from_kubernetes_asyncio.py"),
    ):
        assert f'--8<-- "examples/{example}"' in (ROOT / "docs" / page).read_text(encoding="utf-8")
