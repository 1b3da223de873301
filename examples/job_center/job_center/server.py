"""The server that keeps the jobs, and an eye on those who work on them."""

from __future__ import annotations

import anyio

from regrow import Down, GenServer, Pid, Reference, call, demonitor, monitor

from .jobs import Job, JobQueue, NumberedJob, Statistics


class JobServer(GenServer):
    """Hands out jobs, and takes back those whose worker ended.

    A restart begins as the start did: with the queue that was given, empty unless it was handed over.
    """

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue.all_waiting()  # a copy: the supervisor keeps the original for the next restart
        self.watched: dict[int, Reference] = {}  # by job, the monitor of the process that works on it

    @call
    async def add_job(self, job: Job) -> int:
        return self.queue.add(job)

    @call
    async def work_wanted(self, worker: Pid | None) -> NumberedJob | None:
        taken = self.queue.take()
        if taken is not None and worker is not None:
            number, _ = taken
            self.watched[number] = monitor(worker)
        return taken

    @call
    async def job_done(self, number: int) -> None:
        self.queue.finish(number)
        if number in self.watched:
            demonitor(self.watched.pop(number), flush=True)

    @call
    async def statistics(self) -> Statistics:
        return self.queue.statistics()

    @call
    async def hand_over(self) -> JobQueue:
        """What the next instance goes on with. This one takes no request any more: it is about to be stopped."""
        self.continue_with("handed over")
        return self.queue.all_waiting()

    async def handle_continue(self, token: object) -> None:
        # Who asks for something now gets no answer that the next instance does not know of: the call ends with
        # `ServerExited(shutdown)` when the supervisor stops this server.
        await anyio.sleep_forever()

    async def handle_info(self, message: object) -> None:
        match message:
            case Down(ref):
                self._put_back(ref)
            case _:
                await super().handle_info(message)

    def _put_back(self, ended: Reference) -> None:
        for number in [number for number, ref in self.watched.items() if ref == ended]:
            del self.watched[number]
            self.queue.put_back(number)
