"""A job center: whoever has jobs leaves them here, whoever wants work asks for it here.

These are its four operations. They work from any process of the application's node, with `node=` from any other
node of the cluster, and in `with node.current():` from code that is no process at all, such as a web handler.
"""

from __future__ import annotations

from regrow import Name, NotAProcess, Pid, self_pid

from .jobs import Job, NumberedJob, Statistics, check_job
from .server import JobServer

__all__ = ["add_job", "job_done", "statistics", "work_wanted"]


async def add_job(job: Job, *, node: str | None = None) -> int:
    """Queue a job, and return its number.

    A job is a `@portable` function that this node can send to others, or a `functools.partial` of one with arguments
    that it can send as well. Anything else raises `NotPortable`, which says what is in the way, and nothing is queued.
    """
    check_job(job)
    return await JobServer.add_job(_server(node), job)


async def work_wanted(*, node: str | None = None) -> NumberedJob | None:
    """Take the oldest waiting job and its number; `None` if there is none.

    The job is this process's until it reports `job_done`. If it ends before that, the job is waiting again. A
    caller that is no process cannot be watched: its job stays in progress until it is reported done.
    """
    return await JobServer.work_wanted(_server(node), _worker())


async def job_done(number: int, *, node: str | None = None) -> None:
    """Report a job done. A number that is not in progress is ignored: somebody else may have been faster."""
    await JobServer.job_done(_server(node), number)


async def statistics(*, node: str | None = None) -> Statistics:
    """How many jobs are waiting, in progress, and done."""
    return await JobServer.statistics(_server(node))


def _server(node: str | None) -> Name[JobServer]:
    return Name("job_center_serv", JobServer, node)


def _worker() -> Pid | None:
    try:
        return self_pid()
    except NotAProcess:
        return None
