"""Where a process is right now: the stack of a task that waits, on either event loop."""

from __future__ import annotations

import traceback
from types import FrameType
from typing import Any

import anyio


def stack_of(process: object, task_id: int | None = None) -> str:
    """The stack of the task that runs `process`, printed; a word instead where it can't be found.

    A process that lives in somebody else's task is found by the id of that task, and shown with the whole of it.
    """
    for task in anyio.get_running_tasks():
        frames = _frames(task.coro)
        if task.id == task_id:
            return _printed(frames)
        mine = [i for i, frame in enumerate(frames) if frame.f_locals.get("self") is process]
        # Others that wait for the process have frames of its methods as well; only its own task has its `run`.
        if any(frames[i].f_code.co_name == "run" for i in mine):
            return _printed(frames[mine[-1] + 1 :] or frames[-1:])
    return "  (no task)"


def _printed(frames: list[FrameType]) -> str:
    entries = [(frame, frame.f_lineno) for frame in frames]
    return "".join(traceback.StackSummary.extract(iter(entries)).format()).rstrip()


def _frames(waiting: Any) -> list[FrameType]:
    """The frames of a suspended coroutine, outermost first, down to what it finally awaits."""
    frames: list[FrameType] = []
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return frames
