"""The supervision tree: one supervisor, one server."""

from __future__ import annotations

from collections.abc import Iterable

from regrow import ChildSpec, Strategy, Supervisor, child

from .jobs import JobQueue
from .server import JobServer


class JobCenterSup(Supervisor):
    """Restarts the server once an hour. A second crash within the hour ends the application."""

    strategy = Strategy.ONE_FOR_ONE
    intensity = 1
    period = 3600.0

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue

    def init(self) -> Iterable[ChildSpec]:
        return [child(JobServer, self.queue).named("job_center_serv").with_(restart="permanent", shutdown=2.0)]
