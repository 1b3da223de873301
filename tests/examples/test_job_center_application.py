"""The job center as an application: how it heals, how it ends, how it starts, and what it hands over."""

from __future__ import annotations

from pathlib import Path

import anyio
import job_center
import pytest
from anyio import wait_all_tasks_blocked
from job_center.app import JobCenter
from job_center.jobs import JobQueue, Statistics
from job_center.server import JobServer

from regrow import (
    Crash,
    Down,
    Failover,
    Name,
    Node,
    NormalStart,
    ProcessExited,
    Reason,
    ServerExited,
    Shutdown,
    StartType,
    Supervisor,
    Takeover,
    application,
    monitor,
    receive,
    send_exit,
    spawn_monitor,
    stop,
    whereis,
)
from regrow.application_master import MasterRunner
from regrow.testing import ManualClock
from tests.examples.job_center_kit import (
    BOOM,
    EXAMPLE,
    SERVER,
    add_jobs,
    crash_server,
    end,
    multiply,
    open_job_center,
    process,
    take,
    worker_with,
)

# -- the server crashes


async def test_a_server_that_crashed_is_back_under_its_name_and_empty() -> None:
    """A restart is a new object in a known state: it begins as the first one did."""
    async with open_job_center() as node:
        await add_jobs(3)
        before = whereis("job_center_serv")
        await crash_server()
        assert whereis("job_center_serv") not in (None, before)
        assert await job_center.statistics() == Statistics(waiting=0, in_progress=0, done=0)
        assert await job_center.add_job(multiply) == 1
        assert [report.child for report in node.runtime.reports.restarts] == ["job_center_serv"]


async def test_the_caller_that_the_server_crashed_on_learns_why() -> None:
    """At once, and with the exception."""
    async with open_job_center():
        await job_center.add_job(multiply)
        with pytest.raises(ServerExited) as caught:
            await JobServer.work_wanted(SERVER, 42)  # type: ignore[arg-type]
        assert isinstance(caught.value.reason, Crash)
        await Supervisor.which_children(Name("job_center_sup", Supervisor))
        assert await job_center.work_wanted() is None


async def test_workers_survive_a_crash_of_the_server() -> None:
    """They are watched, not linked; what they report of the old server's jobs is ignored."""
    async with open_job_center():
        await add_jobs(1)
        worker = await worker_with(1)
        await crash_server()
        await job_center.job_done(1)
        assert await job_center.statistics() == Statistics(waiting=0, in_progress=0, done=0)
        await end(worker, BOOM)
        assert await job_center.statistics() == Statistics(waiting=0, in_progress=0, done=0)


async def test_a_second_crash_within_the_hour_ends_the_application(caplog: pytest.LogCaptureFixture) -> None:
    """The restart budget is one an hour. A temporary application ends alone, and the reason is kept."""
    clock = ManualClock()
    async with open_job_center(clock=clock) as node:
        loaded = node.applications.loaded["job_center"]
        assert loaded.master is not None
        ended = monitor(loaded.master.pid)
        await crash_server()
        clock.advance(3599.0)
        await end(process("job_center_serv"), BOOM)
        down = await receive(lambda message: isinstance(message, Down) and message.ref == ended, timeout=5.0)
        assert isinstance(down, Down)
        assert isinstance(down.reason, Shutdown)
        assert loaded.reason == down.reason
        assert application.which_applications() == []
        assert whereis("job_center_sup") is None
        assert "job_center_sup" in caplog.text
        assert "job_center_serv ended (boom), and more than 1 restarts within 3600 s are too many" in caplog.text
        assert await application.ensure_all_started("job_center") == ["job_center"]
        assert await job_center.add_job(multiply) == 1


async def test_a_second_crash_after_the_hour_is_healed() -> None:
    """Old crashes are forgiven."""
    clock = ManualClock()
    async with open_job_center(clock=clock):
        await crash_server()
        clock.advance(3601.0)
        await crash_server()
        assert application.which_applications() == ["job_center"]
        assert await job_center.add_job(multiply) == 1


async def test_as_a_permanent_application_it_takes_its_node_along() -> None:
    """Who says that the node is of no use without it gets what he said, with the reason."""

    async def crash_twice() -> None:
        async with Node(path=[EXAMPLE]):
            await application.ensure_all_started("job_center", "permanent")
            await crash_server()
            send_exit("job_center_serv", BOOM)
            await anyio.sleep_forever()

    with pytest.raises(ProcessExited, match="job_center: shutdown"):
        await crash_twice()


# -- how it starts, and what it hands over


async def start_application(start_type: StartType) -> JobCenter:
    instance = JobCenter()
    await instance.start(start_type, ())
    return instance


@pytest.mark.parametrize("start_type", [NormalStart(), Failover("jc1@localhost"), Takeover("jc1@localhost")])
async def test_a_start_without_a_handoff_begins_empty(start_type: StartType) -> None:
    """A node that went down has handed over nothing, and neither has an instance that could not."""
    async with Node(path=[EXAMPLE]):
        await start_application(start_type)
        assert await job_center.statistics() == Statistics(waiting=0, in_progress=0, done=0)


async def test_a_takeover_goes_on_with_the_jobs_that_were_handed_over() -> None:
    """Waiting and in progress, under their numbers; new ones get new numbers."""
    async with Node(path=[EXAMPLE]):
        instance = await start_application(NormalStart())
        await add_jobs(4)
        await worker_with(1)
        assert await take(1) == [2]
        await job_center.job_done(2)
        handed_over = await instance.handoff()
        await stop("job_center_sup")
        await start_application(Takeover("jc2@localhost", handed_over))
        assert await job_center.statistics() == Statistics(waiting=3, in_progress=0, done=1)
        assert await job_center.add_job(multiply) == 5
        assert await take(5) == [1, 3, 4, 5, None]


async def test_nothing_is_accepted_that_would_not_be_handed_over() -> None:
    """Between the handoff and the stop callers wait, and then learn that they must ask again."""
    async with Node(path=[EXAMPLE]):
        instance = await start_application(NormalStart())
        await instance.handoff()
        outcome: list[Reason] = []

        async def late() -> None:
            try:
                await job_center.add_job(multiply)
            except ServerExited as error:
                outcome.append(error.reason)

        _, ref = spawn_monitor(late)
        await wait_all_tasks_blocked()
        assert outcome == []
        await stop("job_center_sup")
        assert (await receive(Down, timeout=5.0)).ref == ref
        assert outcome == [Shutdown()]


async def test_after_a_takeover_a_restart_begins_with_what_was_handed_over() -> None:
    """That is its known state; what happened since is not in it."""
    async with Node(path=[EXAMPLE]):
        queue = JobQueue()
        queue.add(multiply)
        await start_application(Takeover("jc2@localhost", queue))
        assert await job_center.work_wanted() == (1, multiply)
        assert await job_center.add_job(multiply) == 2
        await crash_server()
        assert await job_center.statistics() == Statistics(waiting=1, in_progress=0, done=0)
        assert await job_center.work_wanted() == (1, multiply)


async def test_the_application_controller_can_ask_for_the_handoff() -> None:
    """The way a takeover does it: asked in the master's process, then stopped in order."""
    async with open_job_center() as node:
        await add_jobs(2)
        loaded = node.applications.loaded["job_center"]
        assert loaded.master is not None
        runner, ended = loaded.master.runner, monitor(loaded.master.pid)
        node.applications.stop_here("job_center", ask_handoff=True)
        assert (await receive(Down, timeout=5.0)).ref == ended
        assert isinstance(runner, MasterRunner)
        assert isinstance(runner.handed_over, JobQueue)
        assert runner.handed_over.statistics() == Statistics(waiting=2, in_progress=0, done=0)


# -- its environment


@pytest.mark.parametrize(("config", "greeting"), [(None, "hello"), (EXAMPLE / "config" / "sys.toml", "bonjour")])
async def test_it_greets_as_its_environment_says(
    config: Path | None, greeting: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As its manifest does, unless the node's configuration knows better."""
    caplog.set_level("INFO", logger="job_center")
    async with open_job_center(config=config):
        assert application.get_env("job_center", "greeting") == greeting
    assert [record.message for record in caplog.records if record.name == "job_center"] == [
        f"{greeting}, the job center is open"
    ]
