"""Dynamic supervisors: their flags, and adding, finding and stopping children by hand."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from regrow import (
    AlreadyStarted,
    ChildCounts,
    ChildInfo,
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    Ignore,
    Ignored,
    Kill,
    MaxChildren,
    Node,
    NoProcess,
    Normal,
    ServerRef,
    Shutdown,
    StartFailed,
    StartTimeout,
    Supervisor,
    UnknownRequest,
    call,
    child,
    gen_call,
    monitor,
    self_pid,
    spawn,
    start_link,
    stop,
)
from regrow.errors import ChildNotFound
from regrow.testing import ManualClock
from tests.harness import row
from tests.local.dynamic_kit import ENDLESS, Pool, add, add_all, pids, start_pool
from tests.local.supervisor_kit import (
    Broken,
    Script,
    Tree,
    Worker,
    children,
    down,
    end,
    ended,
    pid_of,
    settled,
    start_tree,
    worker,
    workers,
)

# -- flags and init


@row("DYN-001", deviation="one set of defaults, OTP's, for every kind of supervisor: 1 restart within 5 s, not 3")
def test_without_flags_it_takes_any_number_of_children_and_the_limits_of_every_supervisor() -> None:
    """Whoever moves a child from one kind of supervisor to another finds the same budget."""
    kind = DynamicSupervisor
    assert (kind.strategy, kind.max_children, kind.extra_arguments) == ("one_for_one", "infinity", ())
    limits = (kind.intensity, kind.period, kind.auto_shutdown)
    assert limits == (Supervisor.intensity, Supervisor.period, Supervisor.auto_shutdown) == (1, 5.0, "never")


@row("DYN-002", translated="as StartFailed that names each wrong flag; auto_shutdown is allowed, as OTP does (SUP-095)")
async def test_flags_that_make_no_sense_are_a_failed_start_that_names_them_all() -> None:
    """Found at the start, not at the first failure."""
    wrong: dict[str, object] = {
        "strategy": "one_for_all",
        "intensity": -1,
        "period": 0,
        "auto_shutdown": "sometimes",
        "max_children": -1,
        "extra_arguments": "ab",
    }
    async with Node() as node:
        with pytest.raises(StartFailed) as caught:
            await start_pool(**wrong)
        for flag in wrong:
            assert f"{flag} must be" in str(caught.value)
        assert len(node.runtime.processes) == 1


@row("SUP-014", translated="there is no template: whoever starts a child brings its specification")
async def test_it_starts_no_child_itself() -> None:
    """An `init` that returns children was written for another kind of supervisor, and is refused."""

    class Confused(DynamicSupervisor):
        def init(self) -> Any:
            return [child(Pool)]

    async with Node():
        assert await pids(await start_pool()) == {}
        with pytest.raises(StartFailed, match="start_child"):
            await start_link(Confused)


@row("DYN-002", translated="init raises Ignore")
async def test_init_may_ask_to_be_ignored() -> None:
    """As that of every behaviour."""

    class Idle(DynamicSupervisor):
        def init(self) -> None:
            raise Ignore

    async with Node() as node:
        with pytest.raises(Ignored):
            await start_link(Idle)
        assert len(node.runtime.processes) == 1


# -- starting children


async def test_a_child_is_started_and_answers() -> None:
    """What comes back is its typed reference; there may be many of one class, and of one id."""
    script = Script()
    async with Node():
        pool = await start_pool()
        first, second = await add(pool, script, "a"), await add(pool, script, "a")
        assert await Worker.ping(first) == await Worker.ping(second) == "a"
        assert first != second
        assert [info.pid for info in await DynamicSupervisor.which_children(pool)] == [second.pid, first.pid]


@row("SUP-021")
async def test_a_child_that_does_not_start_leaves_nothing() -> None:
    """The caller knows why, and may try the same again; nobody is restarted and nothing is spent."""
    script, error = Script(), Broken("b")
    script.fail("b", error)
    async with Node() as node:
        pool = await start_pool(max_children=2)
        await add(pool, script, "a")
        with pytest.raises(StartFailed) as caught:
            await add(pool, script, "b")
        assert caught.value.__cause__ is error
        assert list(await pids(pool)) == ["a"]
        await add(pool, script, "b")
        assert not node.runtime.reports.restarts


@row("SUP-006")
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_a_child_that_asks_to_be_ignored_leaves_nothing(restart: str) -> None:
    """Without an id nobody could start it later."""
    script = Script()
    script.fail("a", Ignore())
    async with Node():
        pool = await start_pool(max_children=1)
        with pytest.raises(Ignored):
            await add(pool, script, "a", restart=restart)
        assert await DynamicSupervisor.count_children(pool) == ChildCounts(0, 0, 0, 0)
        await add(pool, script, "a", restart=restart)


async def test_a_child_may_be_registered_and_a_taken_name_harms_nobody() -> None:
    """The name belongs to the node, whichever supervisor its holder is under."""
    script = Script()
    async with Node():
        pool = await start_pool()
        ref = await DynamicSupervisor.start_child(pool, child(Worker, "a", script).named("a"))
        with pytest.raises(AlreadyStarted) as caught:
            await DynamicSupervisor.start_child(pool, child(Worker, "b", script).named("a"))
        assert caught.value.pid == ref.pid
        assert await pids(pool) == {"a": ref.pid}


async def test_a_child_that_takes_too_long_to_start_is_given_up() -> None:
    """Until then nothing else happens: what may take long belongs behind `continue_with`."""
    script, clock = Script(), ManualClock()
    script.gate("slow")
    async with Node(clock=clock) as node:
        pool = await start_pool()

        async def impatient() -> None:
            with pytest.raises(StartTimeout):
                await add(pool, script, "slow", start_timeout=2.0)

        gone = monitor(spawn(impatient))
        await settled()
        clock.advance(2.0)
        assert await ended(gone) == Normal()
        assert await pids(pool) == {}
        assert len(node.runtime.processes) == 2


@row("SUP-011", translated="a specification checks itself as it is made; there is no check_childspecs")
@pytest.mark.parametrize("spec", ["junk", ChildSpec(dict), child(Pool).with_(restart="temporary", significant=True)])
async def test_a_specification_that_does_not_fit_is_the_answer_and_harms_nobody(spec: Any) -> None:
    """The last of them could never count: this supervisor does not look at significant children."""
    async with Node():
        pool = await start_pool()
        with pytest.raises(StartFailed):
            await DynamicSupervisor.start_child(pool, spec)
        assert await pids(pool) == {}


@row("DYN-004", translated="as the error of `child` and `ChildSpec`: a wrong specification cannot even be made")
def test_a_specification_is_checked_where_it_is_written_down() -> None:
    """The caller who made the mistake sees it, whether or not there is a supervisor."""
    with pytest.raises(TypeError, match="no behaviour"):
        child(dict)  # type: ignore[type-var]
    with pytest.raises(ValueError, match=r"restart must be permanent, transient or temporary.*shutdown must be"):
        child(Pool).with_(restart="always", shutdown=-1)  # type: ignore[arg-type]


# -- how many


async def test_no_more_children_are_started_than_max_children() -> None:
    """One that ended for good, or was stopped, makes room; one that does not start takes none."""
    script = Script()
    async with Node():
        pool = await start_pool(max_children=2)
        await add(pool, script, "a")
        b = await add(pool, script, "b", restart="temporary")
        with pytest.raises(MaxChildren, match="2 children"):
            await add(pool, script, "c")
        await end(b.pid, Normal())
        c = await add(pool, script, "c")
        with pytest.raises(MaxChildren):
            await add(pool, script, "d")
        await DynamicSupervisor.terminate_child(pool, c)
        await add(pool, script, "d")
        assert script.journal == ["+a", "+b", "-b", "+c", "-c", "+d"]


async def test_a_child_between_two_tries_counts_for_max_children() -> None:
    """It may be back at any moment."""
    script = Script()
    async with Node():
        pool = await start_pool(max_children=1, intensity=ENDLESS)
        a = await add(pool, script, "a")
        script.broken.add("a")
        await end(a.pid, Kill())
        with pytest.raises(MaxChildren):
            await add(pool, script, "b")
        await DynamicSupervisor.terminate_child(pool, a)
        await add(pool, script, "b")


async def test_a_pool_of_no_children_is_possible() -> None:
    """A feature that is switched off."""
    script = Script()
    async with Node():
        pool = await start_pool(max_children=0)
        with pytest.raises(MaxChildren):
            await add(pool, script, "a")


# -- what is put before the arguments


class Session(GenServer):
    """Tells what it was started with."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.given = (args, kwargs)

    @call
    async def look(self) -> tuple[tuple[object, ...], dict[str, object]]:
        return self.given


@row("DYN-011")
async def test_the_extra_arguments_come_before_the_child_s_own_also_at_a_restart() -> None:
    """What all children of a pool share is said once. It is the very same object each time."""
    shared = [1]
    async with Node():
        pool = await start_pool(extra_arguments=(shared, "db"))
        ref = await DynamicSupervisor.start_child(pool, child(Session, "a", b=2))
        assert await Session.look(ref) == (([1], "db", "a"), {"b": 2})
        await end(ref.pid, Kill())
        (pid,) = (await pids(pool)).values()
        again, _ = await Session.look(ServerRef(pid, Session))
        assert again == ([1], "db", "a")
        assert again[0] is shared


class Sessions(DynamicSupervisor):
    """A template: the supervisor itself knows how a session is started, and is told only what differs."""

    def __init__(self, database: str) -> None:
        self.database = database

    @call(timeout=None)
    async def open(self, socket: int) -> ServerRef[Session]:
        return await self.start_child(child(Session, self.database, socket))


@row("SUP-028", translated="as a call of the supervisor's own that adds its arguments to a specification")
async def test_a_supervisor_can_offer_a_start_of_its_own_that_completes_the_arguments() -> None:
    """The callers need not know the class, and what they give is checked by the types."""
    async with Node():
        sessions = await start_link(Sessions, "db")
        ref = await Sessions.open(sessions, 7)
        assert await Session.look(ref) == (("db", 7), {})
        await end(ref.pid, Kill())
        (info,) = await DynamicSupervisor.which_children(sessions)
        assert await Session.look(ServerRef(info.pid, Session)) == (("db", 7), {})


@row("SUP-028", "SUP-058")
async def test_the_arguments_of_a_temporary_child_are_not_kept() -> None:
    """It is never restarted; a supervisor of a million short jobs must not hold on to what they were given."""

    class Heavy:
        pass

    class Job(GenServer):
        def __init__(self, load: Heavy) -> None:
            self.weighs = load is not None

    async with Node():
        pool = await start_pool()
        load = Heavy()
        alive = weakref.ref(load)
        await DynamicSupervisor.start_child(pool, child(Job, load).with_(restart="temporary"))
        del load
        await pids(pool)
        gc.collect()
        assert alive() is None


# -- by hand


@row("SUP-026", "SUP-027")
@pytest.mark.parametrize("form", [lambda ref: ref, lambda ref: ref.pid], ids=["by reference", "by pid"])
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_a_child_that_is_terminated_is_gone_for_good(restart: str, form: Any) -> None:
    """It is stopped as its specification says, and forgotten; to terminate it again changes nothing."""
    script = Script()
    async with Node() as node:
        pool = await start_pool()
        a, b = await add(pool, script, "a", restart=restart), await add(pool, script, "b")
        await DynamicSupervisor.terminate_child(pool, form(a))
        assert script.reasons == {"a": Shutdown()}
        assert await pids(pool) == {"b": b.pid}
        await DynamicSupervisor.terminate_child(pool, form(a))
        assert await DynamicSupervisor.count_children(pool) == ChildCounts(1, 1, 0, 1)
        assert not node.runtime.reports.restarts


@row("SUP-027")
async def test_what_is_no_child_of_it_is_not_found() -> None:
    """Somebody else's process must not be stopped by mistake, and junk harms nobody."""
    script = Script()
    async with Node():
        pool, other = await start_pool(), await start_pool()
        ref = await add(other, script, "a")
        for form in (ref, ref.pid, self_pid(), "a", ["a"]):
            with pytest.raises(ChildNotFound):
                await DynamicSupervisor.terminate_child(pool, form)  # type: ignore[arg-type]
            with pytest.raises(ChildNotFound):
                await DynamicSupervisor.which_child(pool, form)  # type: ignore[arg-type]
        assert await Worker.ping(ref) == "a"


@row("SUP-027", translated="what needs an id is an unknown request; the types refuse it too")
@pytest.mark.parametrize("request_", ["restart_child", "delete_child"])
async def test_there_is_nothing_to_ask_for_by_id(request_: str) -> None:
    """A child that does not run is not kept, so it can be neither restarted nor deleted by hand."""
    script = Script()
    async with Node():
        pool = await start_pool()
        a = await add(pool, script, "a")
        with pytest.raises(UnknownRequest):
            await getattr(Supervisor, request_)(pool, "a")
        assert await pids(pool) == {"a": a.pid}


async def test_a_child_whose_end_is_not_yet_handled_can_be_terminated() -> None:
    """The order to stop it comes before the supervisor has heard of its end: it is not restarted any more."""
    script = Script()
    async with Node() as node:
        pool = await start_pool()
        gate = script.gate("b")
        a = await add(pool, script, "a")
        spawn(add, pool, script, "b")
        await settled()
        spawn(DynamicSupervisor.terminate_child, pool, a)
        await settled()
        await end(a.pid, Kill())
        gate.set()
        assert list(await pids(pool)) == ["b"]
        await settled()
        assert script.journal == ["+a", "+b"]
        assert not node.runtime.reports.restarts


@row("SUP-029", translated="there is no id; in its place stands that of the specification, which says what it is")
@row("SUP-031")
async def test_which_children_and_count_children_tell_what_there_is() -> None:
    """The newest first; those between two tries have no pid, and count as workers or supervisors all the same."""
    script = Script()
    async with Node():
        pool = await start_pool(intensity=ENDLESS)
        a = await add(pool, script, "a")
        tree = await DynamicSupervisor.start_child(pool, child(Tree))
        b = await add(pool, script, "b")
        assert await DynamicSupervisor.which_children(pool) == [
            ChildInfo("b", b.pid, "worker", restarting=False),
            ChildInfo("Tree", tree.pid, "supervisor", restarting=False),
            ChildInfo("a", a.pid, "worker", restarting=False),
        ]
        script.broken.add("b")
        await end(b.pid, Kill())
        assert ChildInfo("b", None, "worker", restarting=True) in await DynamicSupervisor.which_children(pool)
        assert await DynamicSupervisor.count_children(pool) == ChildCounts(specs=3, active=2, supervisors=1, workers=2)


@row("SUP-030")
async def test_one_child_is_found_by_its_pid_here_and_by_its_id_there() -> None:
    """Without a list of all of them."""
    script = Script()
    async with Node():
        pool, sup = await start_pool(intensity=ENDLESS), await start_tree(*workers(script, "ab"))
        await add(pool, script, "x")
        y = await add(pool, script, "y")
        assert await DynamicSupervisor.which_child(pool, y) == ChildInfo("y", y.pid, "worker", restarting=False)
        a = await pid_of(sup, "a")
        assert await Supervisor.which_child(sup, "a") == ChildInfo("a", a, "worker", restarting=False)
        script.broken.add("y")
        await end(y.pid, Kill())
        assert await DynamicSupervisor.which_child(pool, y.pid) == ChildInfo("y", None, "worker", restarting=True)
        for unknown in ("z", a):
            with pytest.raises(ChildNotFound):
                await Supervisor.which_child(sup, unknown)  # type: ignore[arg-type]


@row("SUP-032")
async def test_an_absent_supervisor_is_seen_at_once_by_every_request() -> None:
    """A dead reference must not hang a caller that waits without a limit."""
    script = Script()
    async with Node():
        pool = await start_pool()
        await stop(pool)
        for request in (
            DynamicSupervisor.which_children(pool),
            DynamicSupervisor.count_children(pool),
            DynamicSupervisor.start_child(pool, worker(script, "a")),
            DynamicSupervisor.terminate_child(pool, pool.pid),
            DynamicSupervisor.which_child(pool, pool.pid),
        ):
            with pytest.raises(NoProcess):
                await request


@row("SUP-080", deviation="OTP's supervisor crashes on a request it does not know; a typing error must not stop a tree")
async def test_what_it_does_not_know_is_answered_or_ignored() -> None:
    """As by every supervisor."""
    script = Script()
    async with Node():
        pool = await start_pool()
        a = await add(pool, script, "a")
        with pytest.raises(UnknownRequest):
            await gen_call(pool, "anything")
        assert await pids(pool) == {"a": a.pid}


# -- beside others


async def test_it_lives_in_a_tree_as_any_other_supervisor() -> None:
    """It is restarted empty: its children were started by somebody who will start them again if they are wanted."""
    script = Script()
    async with Node():
        sup = await start_tree(child(Pool).named("pool"), worker(script, "beside"))
        pool = ServerRef(await pid_of(sup, "pool"), Pool)
        before = await add_all(pool, script, "ab")
        await end(pool.pid, Kill())
        again = ServerRef(await pid_of(sup, "pool"), Pool)
        assert again != pool
        assert await pids(again) == {}
        assert all([await down(pid) is not None for pid in before.values()])
        assert list(await children(sup)) == ["pool", "beside"]


async def test_a_supervisor_may_be_a_dynamic_child() -> None:
    """The tree under a dynamic supervisor is stopped in its own order."""
    script = Script()
    async with Node():
        pool = await start_pool()
        tree = await DynamicSupervisor.start_child(pool, child(Tree, *workers(script, "abc")))
        assert list(await children(tree)) == ["a", "b", "c"]
        await stop(pool)
        assert script.journal == ["+a", "+b", "+c", "-c", "-b", "-a"]
