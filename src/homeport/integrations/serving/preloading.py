"""Whether this process serves what it loads, or only forks those that will."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType, ModuleType


def in_each_worker(begin: Callable[[], None]) -> None:
    """Call ``begin`` here, or in each worker to come if this process only loads the application for them.

    That does gunicorn's master with ``--preload``, and uWSGI before its workers exist unless it has ``lazy-apps``.
    """
    uwsgi = sys.modules.get("uwsgi")
    if isinstance(uwsgi, ModuleType) and hasattr(uwsgi, "worker_id"):  # a project may have a uwsgi.py of its own
        if uwsgi.worker_id() == 0:
            _when_uwsgi_forks(uwsgi, begin)
            return
    elif _in_gunicorn_master():
        os.register_at_fork(after_in_child=begin)
        return
    begin()


def _in_gunicorn_master() -> bool:
    """Whether gunicorn's master loads the application, to fork workers that have it.

    A worker that loads it by itself does so within the master's `spawn_worker`, in which it was forked.
    """
    frame: FrameType | None = sys._getframe()
    calls: set[str] = set()
    while frame is not None:
        if frame.f_globals.get("__name__") == "gunicorn.arbiter":
            calls.add(frame.f_code.co_name)
        frame = frame.f_back
    return bool(calls) and "spawn_worker" not in calls


def _when_uwsgi_forks(uwsgi: ModuleType, begin: Callable[[], None]) -> None:
    """Its hook, for by default it does not tell Python of a fork; a process that is its only worker calls that too.

    There is one hook, to which its own decorators put a chain. They are loaded first, so that they do not replace this.
    """
    if uwsgi.masterpid():
        with contextlib.suppress(ImportError):
            import_module("uwsgidecorators")
    before = getattr(uwsgi, "post_fork_hook", None)

    def forked() -> None:
        if before is not None:
            before()
        if uwsgi.worker_id() > 0:  # a spooler and a mule are forked too, and serve nothing
            begin()

    vars(uwsgi)["post_fork_hook"] = forked
