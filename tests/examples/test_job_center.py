"""The job center as its users see it: its four operations, and workers that crash."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import anyio
import job_center
import pytest
from job_center import jobs
from job_center.jobs import JobQueue, Statistics
from job_center.server import JobServer

from regrow import (
    Down,
    Name,
    Node,
    NoProcess,
    NotPortable,
    ServerExited,
    Supervisor,
    application,
    portable,
    receive,
    spawn_monitor,
    whereis,
)
from tests.examples.job_center_kit import (
    BOOM,
    EXAMPLE,
    add_jobs,
    end,
    multiply,
    open_job_center,
    process,
    take,
    worker_with,
)

# -- the four operations


async def test_it_starts_with_its_processes_under_their_names_and_stops_without_a_trace() -> None:
    """What the supervisor has is what callers find."""
    async with open_job_center():
        assert application.which_applications() == ["job_center"]
        tree = await Supervisor.which_children(Name("job_center_sup", Supervisor))
        assert [child.pid for child in tree] == [whereis("job_center_serv")]
        await application.stop("job_center")
        assert application.which_applications() == []
        assert whereis("job_center_sup") is None
        assert whereis("job_center_serv") is None


async def test_there_is_nothing_to_do_at_first() -> None:
    """An empty center says so, rather than letting the worker wait."""
    async with open_job_center():
        assert await job_center.work_wanted() is None
        assert await job_center.statistics() == Statistics(waiting=0, in_progress=0, done=0)


async def test_jobs_are_numbered_from_one_and_handed_out_in_the_order_they_came() -> None:
    """With the very function and arguments that were added; then there is nothing again, until another comes."""
    async with open_job_center():
        assert await add_jobs(3) == [1, 2, 3]
        taken = [await job_center.work_wanted() for _ in range(4)]
        assert [work and (work[0], work[1]()) for work in taken] == [(1, 1), (2, 2), (3, 3), None]
        assert await job_center.add_job(multiply) == 4
        assert await job_center.work_wanted() == (4, multiply)


async def test_a_plain_function_of_a_module_is_a_job() -> None:
    """One without arguments needs no partial; its module is one that the node names as portable."""
    async with open_job_center(portable=[__name__]):
        await job_center.add_job(a_job)
        assert await job_center.work_wanted() == (1, a_job)


@portable
def a_job() -> None:
    """Does nothing."""


def unmarked() -> None:
    """Does nothing."""


class Something:
    def __call__(self) -> None:
        """Does nothing."""

    def method(self) -> None:
        """Does nothing."""


def made_inside() -> Callable[[], None]:
    @portable
    def inner() -> None:
        """Does nothing."""

    return inner


@pytest.mark.parametrize(
    ("job", "why"),
    [
        pytest.param(None, "a job is a function", id="None"),
        pytest.param(42, "a job is a function", id="number"),
        pytest.param("job_center.jobs.multiply", "a job is a function", id="name"),
        pytest.param(print, "a job is a function", id="builtin"),
        pytest.param(Something, "a job is a function", id="class"),
        pytest.param(Something(), "a job is a function", id="callable_object"),
        pytest.param(Something().method, "a job is a function", id="method"),
        pytest.param(functools.partial(Something().method), "a job is a function", id="partial_of_method"),
        pytest.param(lambda: 42, "<lambda> can't leave this node", id="lambda"),
        pytest.param(functools.partial(lambda: 42), "<lambda> can't leave this node", id="partial_of_lambda"),
        pytest.param(unmarked, "unmarked can't leave this node: it is not @portable", id="unmarked"),
        pytest.param(made_inside(), "inner can't leave this node", id="function_in_a_function"),
        pytest.param(
            functools.partial(jobs.multiply, 6, object()),
            r"builtins.object can't leave this node.*\(at args\[1\]\)",
            id="argument",
        ),
        pytest.param(
            functools.partial(jobs.multiply, x=6, y={"deep": (1, a_job)}),
            r"a_job can't leave this node.*\(at keywords\['y'\]\['deep'\]\[1\]\)",
            id="keyword",
        ),
        pytest.param(functools.partial(jobs.greet, "a" * 2**20), "larger than a frame may be", id="too_large"),
    ],
)
async def test_what_could_not_cross_nodes_is_refused_and_nothing_is_queued(job: Any, why: str) -> None:
    """The one who adds it learns it and why, not a server or a worker that can do nothing about it."""
    async with open_job_center():
        with pytest.raises(NotPortable, match=why):
            await job_center.add_job(job)
        assert await job_center.statistics() == Statistics(waiting=0, in_progress=0, done=0)
        assert await job_center.add_job(multiply) == 1


async def test_statistics_follow_jobs_from_waiting_over_in_progress_to_done() -> None:
    """15 added, 10 handed out, 5 done."""
    async with open_job_center():
        await add_jobs(15)
        await take(10)
        for number in range(1, 6):
            await job_center.job_done(number)
        assert await job_center.statistics() == Statistics(waiting=5, in_progress=5, done=5)


async def test_done_counts_only_for_a_job_in_progress() -> None:
    """Neither for one that nobody has taken, nor for one there never was, nor twice."""
    async with open_job_center():
        await add_jobs(2)
        await job_center.job_done(1)
        await job_center.job_done(3)
        assert await job_center.statistics() == Statistics(waiting=2, in_progress=0, done=0)
        await take(1)
        await job_center.job_done(1)
        await job_center.job_done(1)
        assert await job_center.statistics() == Statistics(waiting=1, in_progress=0, done=1)


async def test_its_node_can_be_named() -> None:
    """As callers on other nodes do; a node that is not there is known at once."""
    async with open_job_center(name="jc1@localhost") as node:
        assert await job_center.add_job(multiply, node=node.name) == 1
        assert await job_center.work_wanted(node=node.name) == (1, multiply)
        await job_center.job_done(1, node=node.name)
        assert await job_center.statistics(node=node.name) == Statistics(waiting=0, in_progress=0, done=1)
        with pytest.raises(ServerExited, match="noconnection"):
            await job_center.statistics(node="jc2@localhost")


async def test_code_that_is_no_process_may_work_too() -> None:
    """Such as a web handler. Nobody can watch it: what it took stays in progress until it says done."""
    async with open_job_center() as node:

        async def handler() -> None:
            with node.current():
                assert await job_center.add_job(multiply) == 1
                assert await job_center.work_wanted() == (1, multiply)

        async with anyio.create_task_group() as outside:
            outside.start_soon(handler)
        assert await job_center.statistics() == Statistics(waiting=0, in_progress=1, done=0)
        await job_center.job_done(1)
        assert await job_center.statistics() == Statistics(waiting=0, in_progress=0, done=1)


async def test_without_the_application_there_is_nobody_to_ask() -> None:
    """A caller is told so, at once."""
    async with Node(path=[EXAMPLE]):
        with pytest.raises(NoProcess, match="job_center_serv"):
            await job_center.work_wanted()


# -- workers that crash


async def test_the_job_of_a_worker_that_died_is_handed_out_again_first() -> None:
    """It is the oldest that waits."""
    async with open_job_center():
        await add_jobs(3)
        worker = await worker_with(1)
        await end(worker, BOOM)
        assert await job_center.statistics() == Statistics(waiting=3, in_progress=0, done=0)
        assert await take(3) == [1, 2, 3]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_jobs_of_several_dead_workers_come_back_oldest_first(order: tuple[int, ...]) -> None:
    """In whatever order the workers died."""
    async with open_job_center():
        await add_jobs(4)
        workers = [await worker_with(number) for number in (1, 2, 3)]
        for each in order:
            await end(workers[each], BOOM)
        assert await take(4) == [1, 2, 3, 4]


async def test_a_worker_that_dies_gives_back_all_it_took_and_has_not_done() -> None:
    """Here a worker takes three jobs, reports the second done, and ends normally: that is no excuse."""

    async def take_three() -> None:
        await take(3)
        await job_center.job_done(2)

    async with open_job_center():
        await add_jobs(3)
        _, ref = spawn_monitor(take_three)
        assert (await receive(Down, timeout=5.0)).ref == ref
        assert await job_center.statistics() == Statistics(waiting=2, in_progress=0, done=1)
        assert await take(2) == [1, 3]


async def test_the_job_of_one_worker_stays_when_another_dies() -> None:
    """Only what the dead one had is put back."""
    async with open_job_center():
        await add_jobs(2)
        first = await worker_with(1)
        await worker_with(2)
        await end(first, BOOM)
        assert await job_center.statistics() == Statistics(waiting=1, in_progress=1, done=0)


async def test_a_job_done_by_anybody_does_not_come_back_when_its_worker_dies() -> None:
    """The worker is watched no longer than its job."""
    async with open_job_center() as node:
        await add_jobs(1)
        worker = await worker_with(1)
        await job_center.job_done(1)
        server = node.runtime.processes[process("job_center_serv")].server
        assert isinstance(server, JobServer)
        assert server.watched == {}
        await end(worker, BOOM)
        assert await job_center.statistics() == Statistics(waiting=0, in_progress=0, done=1)


# -- the queue alone


def test_a_job_put_back_is_taken_before_all_that_are_younger() -> None:
    """Whatever happened in between."""
    queue = JobQueue()
    for _ in range(5):
        queue.add(a_job)
    taken = [queue.take() for _ in range(3)]
    assert [work and work[0] for work in taken] == [1, 2, 3]
    for number in (3, 1):
        queue.put_back(number)
    assert [work[0] for _ in range(5) if (work := queue.take())] == [1, 3, 4, 5]


def test_what_is_handed_over_shares_nothing_with_the_queue() -> None:
    """The old instance may go on, and the new one too."""
    queue = JobQueue()
    for _ in range(3):
        queue.add(a_job)
    queue.take()
    handed_over = queue.all_waiting()
    queue.finish(1)
    queue.add(a_job)
    assert handed_over == JobQueue(waiting=[(1, a_job), (2, a_job), (3, a_job)], added=3)
    assert queue.statistics() == Statistics(waiting=3, in_progress=0, done=1)
