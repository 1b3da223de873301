"""What the tests of the job center share: one that is open, workers, and crashes."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import job_center
from job_center import jobs
from job_center.server import JobServer

from regrow import (
    Custom,
    Down,
    Name,
    Node,
    Pid,
    Reason,
    Supervisor,
    application,
    monitor,
    receive,
    self_pid,
    send,
    send_exit,
    spawn,
    whereis,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "job_center"
SERVER = Name("job_center_serv", JobServer)
BOOM = Custom("boom")

multiply = functools.partial(jobs.multiply, 6, 7)


@asynccontextmanager
async def open_job_center(**changes: Any) -> AsyncGenerator[Node]:
    async with Node(path=[EXAMPLE], **changes) as node:
        assert await application.ensure_all_started("job_center") == ["job_center"]
        yield node


async def add_jobs(count: int) -> list[int]:
    return [await job_center.add_job(functools.partial(jobs.multiply, n, 1)) for n in range(1, count + 1)]


async def take(count: int) -> list[int | None]:
    """The numbers of the jobs that this process gets when it asks that often."""
    return [work and work[0] for work in [await job_center.work_wanted() for _ in range(count)]]


async def work_on_one(boss: Pid) -> None:
    """A worker that takes one job, tells its number, and does not come to an end with it."""
    [number] = await take(1)
    send(boss, number)
    await anyio.sleep_forever()


async def worker_with(number: int) -> Pid:
    """A worker that has taken the job of this number."""
    pid = spawn(work_on_one, self_pid())
    assert await receive(int, timeout=5.0) == number
    return pid


async def end(pid: Pid, reason: Reason) -> None:
    """End a process from outside, and wait until that is known to everybody who watches it."""
    ref = monitor(pid)
    send_exit(pid, reason)
    await receive(lambda message: isinstance(message, Down) and message.ref == ref, timeout=5.0)


def process(name: str) -> Pid:
    pid = whereis(name)
    assert pid is not None
    return pid


async def crash_server() -> None:
    """Crash the server, and return when it has been started again."""
    await end(process("job_center_serv"), BOOM)
    await Supervisor.which_children(Name("job_center_sup", Supervisor))  # answered when the restart is done
