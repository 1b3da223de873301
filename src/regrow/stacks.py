"""Where a process is right now: the stack of a task that waits, on either event loop."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterable, Sequence
from itertools import dropwhile
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar

import anyio
import attrs

from ._pure.ids import Pid

PACKAGE = str(Path(__file__).parent)
NO_TASK = "  (no task)"

# By these methods of processes and this function the stacks of others are read.
LIFE = "run"
WAITS_FOR = {"wait_ended": "self", "start_process": "process"}


class Located(Protocol):
    """What is asked of a process here."""

    @property
    def pid(self) -> Pid: ...
    @property
    def name(self) -> str | None: ...
    @property
    def label(self) -> str: ...
    @property
    def task_id(self) -> int | None: ...


P = TypeVar("P", bound=Located)


@attrs.frozen
class Place:
    """Where a process is: its pid, its name or else what it runs, and its stack."""

    pid: Pid
    name: str
    stack: str


def stack_of(process: Located) -> str:
    """The stack of the task that runs `process`, printed; a word instead where it can't be found."""
    return stacks_of([process])[process]


def stacks_of(processes: Collection[P]) -> dict[P, str]:
    """The same of several, found in one look at all tasks."""
    return {process: printed(frames) for process, frames in _frames_of(processes).items()}


def places_of(processes: Collection[P]) -> dict[P, tuple[Place, ...]]:
    """Where these are. One that waits for the end of another, or for its start, is followed by that one, and so on.

    What counts is last: a supervisor that does not stop is stuck where its child is.
    """
    places: dict[P, list[Place]] = {process: [] for process in processes}
    ends: dict[P, Located] = {process: process for process in processes}
    while ends:
        frames = _frames_of({*ends.values()})
        following: dict[P, Located] = {}
        for first, last in ends.items():
            places[first].append(Place(last.pid, last.name or last.label, printed(frames[last])))
            waits_for = _waits_for(frames[last])
            if waits_for is not None and waits_for.pid not in [place.pid for place in places[first]]:
                following[first] = waits_for
        ends = following
    return {process: tuple(found) for process, found in places.items()}


def printed(frames: Iterable[FrameType]) -> str:
    """These frames as a traceback shows them."""
    entries = [(frame, frame.f_lineno) for frame in frames]
    return "".join(traceback.StackSummary.extract(iter(entries)).format()).rstrip() or NO_TASK


def own_frames(process: object, frames: Sequence[FrameType]) -> list[FrameType]:
    """What of the stack of a process's task is the work of what it runs: of its user's code, if there is some."""
    methods = (i for i, frame in enumerate(frames) if process is not None and _self_of(frame) is process)
    own = [*frames[max(methods, default=-1) + 1 :]] or [*frames[-1:]]
    return [*dropwhile(lambda frame: frame.f_code.co_filename.startswith(PACKAGE), own)] or own


def _frames_of(processes: Collection[P]) -> dict[P, list[FrameType]]:
    """The frames of processes: found in one look at all tasks, not one for each.

    A process that lives in somebody else's task is found by the id of that task, and shown with the whole of it.
    """
    found = {process: list[FrameType]() for process in processes}
    wanted = {id(process): process for process in processes}
    lodgers = {process.task_id: process for process in processes if process.task_id is not None}
    for task in anyio.get_running_tasks() if wanted else ():
        frames = _frames(task.coro)
        if task.id in lodgers:
            found[lodgers[task.id]] = frames
            continue
        # Others that wait for the process have frames of its methods as well; only its own task has its `run`.
        runs = (wanted.get(id(_self_of(frame))) for frame in frames if frame.f_code.co_name == LIFE)
        process = next((each for each in runs if each is not None), None)
        if process is not None:
            found[process] = own_frames(process, frames)
    return found


def _waits_for(frames: list[FrameType]) -> Any:
    """The process for which the innermost of these waits, if it is one that they tell of."""
    for frame in reversed(frames):
        if frame.f_code.co_name in WAITS_FOR:
            return frame.f_locals.get(WAITS_FOR[frame.f_code.co_name])
    return None


def _self_of(frame: FrameType) -> object:
    return frame.f_locals.get("self")


def _frames(waiting: Any) -> list[FrameType]:
    """The frames of a suspended coroutine, outermost first, down to what it finally awaits."""
    frames: list[FrameType] = []
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return frames
