"""Which process begins when an application is loaded before its workers exist; gunicorn's is run in `test_flask`.

uWSGI and gevent are no part of the tools of this project: stand-ins have what is asked of them.
"""

import os
import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest

from homeport.integrations.serving.departure import Departure
from homeport.integrations.serving.preloading import in_each_worker

DECORATORS = """
import uwsgi
chain = []
def call_chain():
    for one in chain:
        one()
uwsgi.post_fork_hook = call_chain
"""


class StandInForUWSGI(ModuleType):
    """The module that uWSGI puts into its processes."""

    def __init__(self, *, worker: int, master: int) -> None:
        super().__init__("uwsgi")
        self._worker = worker
        self._master = master

    def worker_id(self) -> int:
        return self._worker

    def masterpid(self) -> int:
        return self._master

    def fork(self, worker: int) -> None:
        """What happens in a process that was forked; the number of a worker is above 0."""
        self._worker = worker
        hook = getattr(self, "post_fork_hook", None)
        if hook is not None:
            hook()


@pytest.fixture
def begun() -> list[str]:
    return []


def loaded(begun: list[str]) -> None:
    in_each_worker(lambda: begun.append("begun"))


def test_elsewhere_it_begins_at_once(begun: list[str]) -> None:
    loaded(begun)
    assert begun == ["begun"]


def test_a_module_of_the_project_that_is_called_uwsgi_is_none(
    begun: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", ModuleType("uwsgi"))
    loaded(begun)
    assert begun == ["begun"]


def test_in_a_worker_of_a_uwsgi_stand_in_it_begins_at_once(begun: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", StandInForUWSGI(worker=1, master=1))
    loaded(begun)
    assert begun == ["begun"]


def test_before_the_workers_of_a_uwsgi_stand_in_it_begins_in_each(
    begun: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uwsgi = StandInForUWSGI(worker=0, master=0)
    vars(uwsgi)["post_fork_hook"] = lambda: begun.append("another's")
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    loaded(begun)
    assert begun == []
    uwsgi.fork(worker=0)  # a spooler or a mule
    assert begun == ["another's"]
    uwsgi.fork(worker=2)
    assert begun == ["another's", "another's", "begun"]


def test_the_decorators_of_uwsgi_do_not_replace_its_hook(
    begun: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "uwsgidecorators.py").write_text(DECORATORS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    uwsgi = StandInForUWSGI(worker=0, master=os.getpid())
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    monkeypatch.delitem(sys.modules, "uwsgidecorators", raising=False)
    try:
        loaded(begun)
        decorators = __import__("uwsgidecorators")  # as an application may do later
        decorators.chain.append(lambda: begun.append("decorated"))
        uwsgi.fork(worker=1)
    finally:
        sys.modules.pop("uwsgidecorators", None)
    assert begun == ["decorated", "begun"]


@pytest.mark.parametrize("patched", [True, False])
def test_under_a_gevent_stand_in_signals_are_left_alone(monkeypatch: pytest.MonkeyPatch, *, patched: bool) -> None:
    monkey = ModuleType("gevent.monkey")
    vars(monkey)["is_module_patched"] = lambda name: patched and name == "threading"
    monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    departure = Departure(lambda: None, leave_timeout=1.0)
    try:
        departure.install()
        assert (signal.getsignal(signal.SIGTERM) is departure) is not patched
        departure.uninstall()
    finally:
        signal.signal(signal.SIGTERM, before)
