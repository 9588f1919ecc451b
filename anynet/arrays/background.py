"""Run tasks such as compilation one after another in a background thread.

The thread ends when no task is left. The process waits for it at exit.

>>> done = []
>>> submit(lambda: done.append(1))
>>> wait()
>>> done
[1]
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from threading import Lock, Thread

_lock = Lock()
_tasks: deque[Callable[[], object]] = deque()
_thread: Thread | None = None
_is_usable = True
"""False in a process forked while the thread ran: it may have held locks that nothing releases."""


def submit(task: Callable[[], object]) -> None:
    """Run a task, which must not raise, after those submitted before."""
    global _thread
    with _lock:
        _tasks.append(task)
        if _thread is None and _is_usable:
            _thread = Thread(target=_run, name="anynet-background")
            _thread.start()


def wait() -> None:
    """Wait until all tasks have ended."""
    thread = _thread
    if thread is not None:
        thread.join()


def _run() -> None:
    global _thread
    while True:
        with _lock:
            if not _tasks:
                _thread = None
                return
            task = _tasks.popleft()
        task()


def _forget_thread() -> None:
    global _lock, _thread, _is_usable
    _lock, _is_usable, _thread = Lock(), _is_usable and _thread is None, None
    _tasks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_thread)
