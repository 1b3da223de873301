"""What a test may leave behind: nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from regrow.runtime import Runtime

DESCRIPTORS = "/proc/self/fd"
THREAD_GRACE_S = 2.0  # a worker thread that was told to go may take this long
KEPT_BY_TRIO = "Trio thread"  # idle workers, which trio keeps for the next loop


class Watch:
    """Knows what there was before a test, and names what is there beside it afterwards."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._runtimes: list[Runtime] = []
        self._descriptors = descriptors()
        self._threads = set(threading.enumerate())
        made = Runtime.__init__

        def remember(runtime: Runtime, *args: Any, **kwargs: Any) -> None:
            self._runtimes.append(runtime)
            made(runtime, *args, **kwargs)

        monkeypatch.setattr(Runtime, "__init__", remember)

    def left(self) -> list[str]:
        """In words, what was not there before. To be asked when nodes have stopped and the loop is closed."""
        return [
            *(f"{what} on node {runtime.node_name}" for runtime in self._runtimes for what in runtime.leftovers()),
            *(f"descriptor {fd}: {what}" for fd, what in descriptors().items() if self._descriptors.get(fd) != what),
            *(f"thread {thread.name}" for thread in threading.enumerate() if self._stays(thread)),
        ]

    def _stays(self, thread: threading.Thread) -> bool:
        if thread in self._threads or thread.name.startswith(KEPT_BY_TRIO):
            return False
        thread.join(THREAD_GRACE_S)
        return thread.is_alive()


def descriptors() -> dict[int, str]:
    """The open file descriptors of this process, sockets among them; none where the system does not tell."""
    found: dict[int, str] = {}
    if not os.path.isdir(DESCRIPTORS):
        return found
    for name in os.listdir(DESCRIPTORS):
        try:
            found[int(name)] = os.readlink(f"{DESCRIPTORS}/{name}")
        except FileNotFoundError:
            continue  # the one that listed the others
    return found


def tasks(loop: str) -> set[Any]:
    """The tasks of the running loop, asyncio or trio, that have not ended."""
    if loop == "asyncio":
        import asyncio

        return {task for task in asyncio.all_tasks() if not _drives_tests(task)}
    import trio

    root = trio.lowlevel.current_root_task()
    return set() if root is None else {*_descendants(root)}


def _drives_tests(task: Any) -> bool:
    """Whether it is a task of anyio's test runner, which makes one for each step of a test."""
    return task.get_coro().__qualname__.startswith("TestRunner.")


def _descendants(task: Any) -> Iterator[Any]:
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _descendants(child)


def name_of(task: Any) -> str:
    """What a task of either loop calls itself."""
    return task.get_name() if hasattr(task, "get_name") else task.name
