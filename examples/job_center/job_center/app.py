"""The application: how the job center starts, and what it hands over when it moves to another node."""

from __future__ import annotations

import logging

from regrow import (
    Application,
    Failover,
    Name,
    NormalStart,
    ServerRef,
    StartType,
    Supervisor,
    Takeover,
    application,
    child,
    start_link,
)

from .jobs import JobQueue
from .server import JobServer
from .sup import JobCenterSup

LOG = logging.getLogger("job_center")


class JobCenter(Application):
    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Supervisor]:
        greeting = application.get_env("job_center", "greeting")
        queue = JobQueue()
        match start_type:
            case NormalStart():
                LOG.info("%s, the job center is open", greeting)
            case Failover(node):
                LOG.info("%s, the job center is open again, without the jobs that were lost with %s", greeting, node)
            case Takeover(node, handoff):
                if isinstance(handoff, JobQueue):
                    queue = handoff
                LOG.info("%s, the job center moved here from %s: %s", greeting, node, queue.statistics())
        return await start_link(child(JobCenterSup, queue).named("job_center_sup"))

    async def handoff(self) -> JobQueue:
        return await JobServer.hand_over(Name("job_center_serv", JobServer))
