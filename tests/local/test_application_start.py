"""Starting one application: what `start` may do, its phases, and who belongs to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from regrow import (
    ApplicationError,
    Crash,
    Custom,
    DynamicSupervisor,
    GenServer,
    Kill,
    Killed,
    Name,
    PartitionSupervisor,
    ServerRef,
    Shutdown,
    Stop,
    Supervisor,
    TypedChild,
    application,
    child,
    gen_call,
    self_pid,
    send_exit,
    spawn,
    start,
    start_link,
    sys,
    whereis,
)
from tests.harness import row

from .application_kit import (
    Apps,
    Script,
    apps,
    crash,
    reason_of,
    script,
    settled,
    start_tree,
    started,
    stopped,
)

__all__ = ["apps", "script"]


def alive() -> list[str | None]:
    return [name for name in ("a_sup", "a_worker") if whereis(name)]


class Pool(DynamicSupervisor):
    """A tree that begins empty."""


class Lone(GenServer):
    """Has no part in the tree yet."""


TOPS = [child(Pool), child(PartitionSupervisor, child(Lone), partitions=1)]


# -- one application


@pytest.mark.parametrize("top", TOPS, ids=["dynamic", "partitions"])
async def test_a_supervisor_of_any_kind_may_be_the_top(top: TypedChild[Any], apps: Apps, script: Script) -> None:
    """The application is up with it, owns what is started in it later, and ends with it."""

    async def start_top() -> object:
        return await start_link(top.named("top"))

    apps.add("a")
    script.at("a start", start_top)
    async with apps.node():
        await application.start("a")
        ref = await Supervisor.start_child(Name("top", Supervisor), child(Lone).named("lone"))
        assert await sys.get_state(ref) == {}
        assert application.which_applications() == ["a"]
        await application.stop("a")
        assert [name for name in ("top", "lone") if whereis(name)] == []


@row("APP-003")
async def test_start_loads_it_and_returns_when_its_tree_is_up(apps: Apps, script: Script) -> None:
    """With the arguments of its manifest; a second start is refused."""
    apps.add("a", args=[1, "two"])
    async with apps.node():
        await application.start("a")
        assert script.log == ["a start normal [1, 'two']", "a worker init"]
        assert alive() == ["a_sup", "a_worker"]
        assert application.which_applications() == ["a"]
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        assert caught.value.application == "a"
        assert reason_of(caught).startswith("already_started")


async def test_what_runs_is_listed_newest_first(apps: Apps) -> None:
    """As in OTP."""
    for name in "abc":
        apps.add(name)
    async with apps.node():
        for name in "bca":
            await application.start(name)
        assert application.which_applications() == ["a", "c", "b"]


async def test_a_stopped_application_starts_again_with_a_new_object(apps: Apps, script: Script) -> None:
    """What it keeps between starts it keeps elsewhere."""
    apps.add("a")
    async with apps.node():
        await application.start("a")
        await application.stop("a")
        await application.start("a")
    assert script.log == [*started("a"), *stopped("a")] * 2


async def test_a_restart_type_that_does_not_exist_is_refused(apps: Apps) -> None:
    """By its name, before anything is done."""
    apps.add("a")
    async with apps.node():
        with pytest.raises(ValueError, match="foo"):
            await application.start("a", "foo")  # type: ignore[arg-type]
        assert application.loaded_applications() == []


@row("APP-030")
async def test_a_library_application_runs_without_a_process(apps: Apps) -> None:
    """It is there so that others can name it among what they need."""
    apps.add("lib", module=None)
    apps.add("a", "lib")
    async with apps.node() as node:
        before = len(node.runtime.processes)
        await application.start("lib")
        assert len(node.runtime.processes) == before
        await application.start("a")
        assert application.which_applications() == ["a", "lib"]
        await application.stop("lib")
        assert application.which_applications() == ["a"]


# -- what start() may do


@row("APP-009", translated="a reference alone: what OTP calls State are attributes of the object")
async def test_what_start_raises_is_the_reason_of_the_error(apps: Apps, script: Script) -> None:
    """Exactly one report tells of the crash; nothing of the application is left."""
    apps.add("a")
    script.at("a start", crash)
    async with apps.node() as node:
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        assert isinstance(caught.value.reason, Crash)
        assert reason_of(caught) == "ValueError: boom"
        assert application.which_applications() == []
        assert [str(report.reason) for report in node.runtime.reports.crashes] == ["ValueError: boom"]
        script.actions.clear()
        await application.start("a")


@row("APP-009")
async def test_a_reason_that_start_stops_with_is_the_reason_of_the_error(apps: Apps, script: Script) -> None:
    """OTP's `{error, Reason}`."""
    apps.add("a")

    async def refuse() -> object:
        raise Stop(Custom("no license"))

    script.at("a start", refuse)
    async with apps.node():
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        assert caught.value.reason == Custom("no license")


class Tree(Supervisor):
    """Its second child does not start."""

    def init(self) -> list[object]:  # type: ignore[override]
        return [child(Fine).named("fine"), child(Broken).named("broken")]


class Fine(GenServer): ...


class Broken(GenServer):
    async def init(self) -> None:
        raise ValueError("boom")


@row("APP-009")
async def test_a_tree_that_does_not_start_says_which_child_it_was(apps: Apps, script: Script) -> None:
    """`StartFailed` passes through `start` with its reason."""
    apps.add("a")
    script.at("a start", lambda: start_link(Tree))
    async with apps.node():
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        assert isinstance(caught.value.reason, Shutdown)
        assert reason_of(caught) == "shutdown: failed to start child 'broken': ValueError: boom"
        assert whereis("fine") is None


async def dead() -> object:
    ref = await start_link(Fine)
    send_exit(ref.pid, Kill())
    await settled()
    return ref


JUNK: dict[str, Callable[[], Awaitable[object]]] = {
    "a word": lambda: _value("junk"),
    "a pid": lambda: _value(self_pid()),
    "what does not run": dead,
}


async def _value(value: object) -> object:
    return value


@row("APP-009", translated="junk is a TypeError that shows it")
@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
async def test_start_must_return_a_supervisor_that_runs(apps: Apps, script: Script, junk: Callable[[], object]) -> None:
    """Anything else is a failed start."""
    apps.add("a")
    script.at("a start", junk)  # type: ignore[arg-type]
    async with apps.node() as node:
        with pytest.raises(ApplicationError, match=r"TypeError: start\(\) of application a returned"):
            await application.start("a")
        assert application.which_applications() == []
        assert len(node.runtime.processes) == 1


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("tests.local.no_such_module:App", "ModuleNotFoundError"),
        ("tests.local.application_kit:Missing", "AttributeError"),
        ("tests.local.application_kit:Top", "is no Application"),
    ],
)
async def test_a_module_that_is_not_there_is_a_failed_start(apps: Apps, module: str, says: str) -> None:
    """What the manifest names is looked for when it is needed."""
    apps.add("a", module=module)
    async with apps.node():
        with pytest.raises(ApplicationError, match=says):
            await application.start("a")


async def test_what_start_had_started_when_it_failed_stops_in_order(apps: Apps, script: Script) -> None:
    """The newest first, each with its `terminate`; what has no order is killed."""
    apps.add("a")

    async def stray() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            script.log.append("stray ends")

    async def start_and_crash() -> object:
        await start_tree()
        spawn(stray)
        await settled()
        raise ValueError("boom")

    script.at("a start", start_and_crash)
    async with apps.node():
        with pytest.raises(ApplicationError, match="ValueError: boom"):
            await application.start("a")
        assert script.log == [*started("a"), "a worker stops", "stray ends"]
        assert alive() == []


async def test_a_top_supervisor_that_was_started_without_a_link_belongs_to_the_application(
    apps: Apps, script: Script
) -> None:
    """OTP waits for ever for it to stop."""
    apps.add("a")

    class Loose(Supervisor): ...

    script.at("a start", lambda: start(child(Loose).named("a_sup")))
    async with apps.node():
        await application.start("a")
        await application.stop("a")
        assert whereis("a_sup") is None


# -- phases


@row("APP-031")
async def test_the_phases_come_in_their_order_before_start_returns(apps: Apps, script: Script) -> None:
    """Each with the argument that the manifest has for it."""
    apps.add("a", start_phases=["init", ["go", [1]]])
    async with apps.node():
        await application.start("a")
        assert script.log == [*started("a"), "a phase init normal None", "a phase go normal [1]"]


@row("APP-032", deviation="the tree is stopped, in order; OTP leaves the top supervisor running")
async def test_a_phase_that_fails_leaves_nothing_behind(apps: Apps, script: Script) -> None:
    """Later phases are not called, nor is `stop`, and a second start finds nothing in its way."""
    apps.add("a", start_phases=["init", "go", "on"])
    script.at("a phase go", crash)
    async with apps.node() as node:
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        assert reason_of(caught) == "ValueError: boom"
        assert script.taken() == [
            *started("a"),
            "a phase init normal None",
            "a phase go normal None",
            "a worker stops",
        ]
        assert application.which_applications() == []
        assert len(node.runtime.processes) == 1
        script.actions.clear()
        await application.start("a")


@row("APP-034", translated="also where OTP asks for `application_starter`; who lists no phase of it is left alone")
async def test_each_phase_goes_through_what_is_included_before_the_next_one(apps: Apps, script: Script) -> None:
    """From left to right, and what those include right after them; the application itself sets the phases."""
    apps.add("a", included_applications=["i", "k"], start_phases=[["init", "of a"], ["go", "of a"]])
    apps.add("i", included_applications=["j"], start_phases=[["init", "of i"], ["other", "of i"]])
    apps.add("j", start_phases=[["init", "of j"], ["go", "of j"]])
    apps.add("k", start_phases=[["go", "of k"]])
    apps.add("m", included_applications=["n"])
    apps.add("n", start_phases=["go"], module="nowhere:Nothing")
    async with apps.node():
        await application.start("a")
        asked = [("init", "a"), ("init", "i"), ("init", "j"), ("go", "a"), ("go", "j"), ("go", "k")]
        assert script.taken() == [*started("a"), *(f"a phase {phase} normal of {name}" for phase, name in asked)]
        await application.start("m")
        assert script.log == started("m")


@row("APP-032")
async def test_a_phase_that_fails_in_an_included_application_is_a_failed_start(apps: Apps, script: Script) -> None:
    """As one of its own: nothing is left, and later ones are not asked."""
    apps.add("a", included_applications=["i"], start_phases=["init", "go"])
    apps.add("i", start_phases=["init"])
    calls: list[None] = []

    async def second_fails() -> None:
        calls.append(None)
        if len(calls) == 2:
            await crash()

    script.at("a phase init", second_fails)
    async with apps.node() as node:
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        assert reason_of(caught) == "ValueError: boom"
        assert script.log == [*started("a"), *["a phase init normal None"] * 2, "a worker stops"]
        assert len(node.runtime.processes) == 1


async def test_a_tree_that_ends_during_the_phases_ends_the_application_after_them(apps: Apps, script: Script) -> None:
    """It is started, and has ended."""
    apps.add("a", start_phases=["init", "go"])

    async def end_it() -> None:
        top = node.runtime.lookup(("a_sup", "here@localhost"))
        assert top is not None
        top.die(Killed())
        await top.wait_ended()

    script.at("a phase init", end_it)
    async with apps.node() as node:
        await application.start("a")
        await settled()
        phases = ["a phase init normal None", "a worker stops", "a phase go normal None"]
        assert script.log == [*started("a"), *phases, "a prep_stop", "a stop"]
        assert node.applications.loaded["a"].reason == Killed()


# -- belonging


@row("APP-021")
@row("PRC-019", translated="as the application that a process belongs to")
async def test_every_process_of_an_application_knows_it(apps: Apps, script: Script) -> None:
    """Its tree, what start() spawned, and what they spawn; outside there is none."""
    apps.add("a")
    apps.add("b")
    found: list[str | None] = []

    async def nested() -> None:
        found.append(application.get_application())

    async def outer() -> None:
        found.append(application.get_application())
        spawn(nested)

    async def start_it() -> object:
        spawn(outer)
        return await start_tree()

    script.at("a start", start_it)
    async with apps.node():
        await application.start("a")
        await application.start("b")
        await settled()
        assert found == ["a", "a"]
        assert await gen_call("a_worker", "who?") == "a"
        assert await gen_call("b_worker", "who?") == "b"
        assert application.get_application() is None
        assert application.start_type() is None


@row("APP-033")
async def test_an_included_application_is_part_of_the_one_that_includes_it(apps: Apps, script: Script) -> None:
    """Its class is not asked to start; who includes it starts its tree, and the processes are his."""
    apps.add("a", included_applications=["i"])
    apps.add("i", env={"key": "manifest"})
    found: list[object] = []

    class Included(Supervisor):
        def init(self) -> list[object]:  # type: ignore[override]
            found.append((application.get_application(), application.get_env("i", "key")))
            return []

    class Primary(Supervisor):
        def init(self) -> list[object]:  # type: ignore[override]
            return [child(Included)]

    script.at("a start", lambda: start_link(Primary))
    async with apps.node():
        await application.start("a")
        assert found == [("a", "manifest")]
        assert script.log == ["a start normal []"]
        assert application.loaded_applications() == ["a", "i"]
        assert application.which_applications() == ["a"]


async def test_a_child_that_is_added_from_outside_belongs_to_the_application(apps: Apps) -> None:
    """Its supervisor starts it, whoever asks."""
    apps.add("a")

    class Asked(GenServer):
        async def handle_call(self, request: object, from_: object) -> object:
            return application.get_application()

    async with apps.node():
        await application.start("a")
        pid = whereis("a_sup")
        assert pid is not None
        ref = await Supervisor.start_child(ServerRef(pid, Supervisor), child(Asked))
        assert await gen_call(ref, "who?") == "a"
