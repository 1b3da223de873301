"""Jobs as data: what one is, the queue of them, and a few to try. No processes here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from heapq import heappop, heappush
from types import FunctionType
from typing import TypeAlias

import attrs

from regrow import NotPortable, check_portable, portable

Job: TypeAlias = Callable[[], object]
NumberedJob: TypeAlias = tuple[int, Job]


def check_job(job: object) -> None:
    """Raise `NotPortable` unless this is a portable function, or a `functools.partial` with portable arguments."""
    function: object = job.func if isinstance(job, functools.partial) else job
    if not isinstance(function, FunctionType):
        raise NotPortable(f"a job is a function, or functools.partial of one with its arguments: not {job!r}")
    check_portable(job)  # now: when the job center moves to another node, nobody could be told any more


@portable
@attrs.frozen
class Statistics:
    """How many jobs there are of each kind."""

    waiting: int
    in_progress: int
    done: int


@portable
@attrs.define
class JobQueue:
    """Jobs waiting for work, oldest first, and jobs in progress. Numbered from 1 in the order they came."""

    waiting: list[NumberedJob] = attrs.Factory(list[NumberedJob])
    """A heap: no two numbers are the same, so that jobs themselves are never compared."""
    in_progress: dict[int, Job] = attrs.Factory(dict[int, Job])
    added: int = 0
    done: int = 0

    def add(self, job: Job) -> int:
        """Let a job wait, behind all others. Returns its number."""
        self.added += 1
        heappush(self.waiting, (self.added, job))
        return self.added

    def take(self) -> NumberedJob | None:
        """The oldest waiting job, which is now in progress; `None` if no job waits."""
        if not self.waiting:
            return None
        number, job = heappop(self.waiting)
        self.in_progress[number] = job
        return number, job

    def put_back(self, number: int) -> None:
        """Let a job that is in progress wait again, before all that are younger."""
        heappush(self.waiting, (number, self.in_progress.pop(number)))

    def finish(self, number: int) -> None:
        """Count a job that is in progress as done."""
        if self.in_progress.pop(number, None) is not None:
            self.done += 1

    def statistics(self) -> Statistics:
        return Statistics(len(self.waiting), len(self.in_progress), self.done)

    def all_waiting(self) -> JobQueue:
        """A copy in which the jobs in progress are waiting again."""
        return JobQueue(
            sorted([*self.waiting, *self.in_progress.items()], key=lambda job: job[0]), {}, self.added, self.done
        )


# Some jobs to try: job_center.add_job(functools.partial(jobs.multiply, 6, 7))


@portable
def greet(name: str) -> str:
    return f"hello, {name}"


@portable
def multiply(x: int, y: int) -> int:
    return x * y
