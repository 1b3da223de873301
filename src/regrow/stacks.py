"""Where a process is right now: the stack of a task that waits, on either event loop."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Sequence
from types import FrameType
from typing import Any, TypeVar

import anyio

P = TypeVar("P")

NO_TASK = "  (no task)"
PLACES_SHOWN = 10  # of those that are in the way at the same time


def stack_of(process: object, task_id: int | None = None) -> str:
    """The stack of the task that runs `process`, printed; a word instead where it can't be found.

    A process that lives in somebody else's task is found by the id of that task, and shown with the whole of it.
    """
    for task in anyio.get_running_tasks():
        if task.id == task_id:
            return _printed(_frames(task.coro))
    return stacks_of([process])[process]


def stacks_of(processes: Collection[P]) -> dict[P, str]:
    """The same of many processes, each with a task of its own: found in one look at all tasks, not one for each."""
    stacks = dict.fromkeys(processes, NO_TASK)
    wanted = {id(process): process for process in processes}
    for task in anyio.get_running_tasks() if wanted else ():
        frames = _frames(task.coro)
        # Others that wait for the process have frames of its methods as well; only its own task has its `run`.
        runs = (wanted.get(id(_self_of(frame))) for frame in frames if frame.f_code.co_name == "run")
        process = next((found for found in runs if found is not None), None)
        if process is not None:
            last = max(i for i, frame in enumerate(frames) if _self_of(frame) is process)
            stacks[process] = _printed(frames[last + 1 :] or frames[-1:])
    return stacks


def places_of(processes: Sequence[object]) -> str:
    """Where these are, for the end of a line in the log: a paragraph for each of the first ten."""
    stacks = stacks_of(processes[:PLACES_SHOWN])
    return "".join(f"\n{process!r} is at\n{stack}" for process, stack in stacks.items())


def _self_of(frame: FrameType) -> object:
    return frame.f_locals.get("self")


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
