"""What every tool reads: trees, processes, a look inside, crashes, applications, as plain data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import anyio
import attrs
import pytest

from regrow import (
    CallError,
    ChildSpec,
    Down,
    GenServer,
    Node,
    Pid,
    Restart,
    ServerRef,
    StartFailed,
    Supervisor,
    call,
    cast,
    child,
    gen_cast,
    inspect,
    link,
    monitor,
    receive,
    register,
    self_pid,
    send,
    send_exit,
    spawn,
    start,
    start_link,
    trap_exit,
)
from regrow.cli import output
from regrow.inspect import TreeNode, as_json
from regrow.reasons import Kill, Reason
from regrow.testing import ManualClock
from tests.harness import row

from .process_kit import Broken, crash, end_of, idle, settled


class Box(GenServer):
    """Holds a value, and can be made to fail and to get stuck."""

    def __init__(self, value: object = 0) -> None:
        self.value = value

    @call
    async def get(self) -> object:
        return self.value

    @call
    async def fail(self, text: str) -> None:
        raise Broken(text)

    @cast
    async def get_stuck(self) -> None:
        self.value = "stuck"
        await anyio.sleep_forever()


class Pair(Supervisor):
    """Two boxes, one of them transient."""

    intensity = 3
    period = 60.0

    def init(self) -> list[ChildSpec]:
        return [child(Box, 1).named("first"), child(Box, 2).with_(id="second", restart="transient")]


class Nested(Supervisor):
    """A pair, under a supervisor of its own."""

    strategy = "rest_for_one"

    def init(self) -> list[ChildSpec]:
        return [child(Pair).named("pair")]


# -- trees


async def test_a_tree_shows_supervisors_with_their_children_in_start_order() -> None:
    """As they were written down, whoever else runs."""
    async with Node("a@h") as node:
        top = await start_link(child(Nested).named("top"))
        spawn(idle)
        await settled()
        tree, other = inspect.tree(node)
        assert (tree.name, tree.pid, tree.type, tree.restarts, tree.label) == (
            "top",
            top.pid,
            "supervisor",
            0,
            "Nested",
        )
        assert tree.supervision == inspect.Supervision("rest_for_one", 1, 5.0, 1)
        (pair,) = tree.children
        assert (pair.name, pair.type, pair.label, pair.restart) == ("pair", "supervisor", "Pair", "permanent")
        assert [(each.name, each.type, each.label, each.restart) for each in pair.children] == [
            ("first", "worker", "Box", "permanent"),
            ("second", "worker", "Box", "transient"),
        ]
        assert pair.children[0].pid == node.runtime.registry.whereis("first")
        assert (other.name, other.type, other.children) == ("idle", "worker", ())


async def test_a_tree_counts_restarts_and_what_is_left_of_the_budget() -> None:
    """The two numbers one looks for first."""
    async with Node("a@h") as node:
        pair = await start_link(Pair)
        for _ in range(2):
            box = ServerRef(node.runtime.registry.whereis("first"), Box)
            with pytest.raises(CallError):
                await Box.fail(box, "now")
            await Supervisor.count_children(pair)
        (tree,) = inspect.tree(node)
        assert [each.restarts for each in tree.children] == [2, 0]
        assert tree.supervision == inspect.Supervision("one_for_one", 3, 60.0, 1)


async def test_a_child_without_a_process_is_shown_as_stopped() -> None:
    """It is part of the tree: it can be restarted by hand."""
    async with Node("a@h") as node:
        pair = await start_link(Pair)
        await Supervisor.terminate_child(pair, "second")
        (tree,) = inspect.tree(node)
        first, second = tree.children
        assert first.status == "running"
        assert second == TreeNode("second", None, "worker", 0, status="stopped", restart="transient")


async def test_a_supervisor_that_starts_is_shown_with_what_it_has_so_far() -> None:
    """When a start hangs, one wants to see where."""

    class Slow(Box):
        async def init(self) -> None:
            await anyio.sleep_forever()

    class Top(Supervisor):
        def init(self) -> list[ChildSpec]:
            return [child(Box).named("quick"), child(Slow)]

    async def begin() -> None:
        await start_link(Top)

    async with Node("a@h") as node:
        spawn(begin)
        await settled()
        top = next(tree for tree in inspect.tree(node) if tree.type == "supervisor")
        assert [(each.name, each.pid is None) for each in top.children] == [("quick", False), ("Slow", False)]
        assert top.pid is not None
        send_exit(top.pid, Kill())  # it would wait for its child for as long as that starts


async def test_the_supervisor_of_a_process_is_found() -> None:
    """With what it keeps of it."""
    async with Node("a@h") as node:
        pair = await start_link(Pair)
        first = node.runtime.processes[node.runtime.registry.whereis("first") or pair.pid]
        found = inspect.supervisor_of(node, first)
        assert found is not None
        assert (found[0].pid, found[1].spec.id) == (pair.pid, "first")
        assert inspect.supervisor_of(node, found[0]) is None


# -- applications

APP = f"""
from regrow import Application, spawn, start_link
from {__name__} import Box, Pair, idle

class Shop(Application):
    async def start(self, start_type, args):
        spawn(idle)
        return await start_link(Pair)

class Broken(Application):
    async def start(self, start_type, args):
        raise ValueError("closed")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A directory with three applications: one that runs, one that does not start, one without a process."""
    (tmp_path / "inspected.py").write_text(APP)
    for name, more in (
        ("shop", 'module = "inspected:Shop"\ndescription = "Sells"\nversion = "1.2"'),
        ("broken", 'module = "inspected:Broken"'),
        ("library", ""),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "application.toml").write_text(f'[application]\nname = "{name}"\n{more}\n')
    return tmp_path


async def test_applications_tell_their_state(path: Path) -> None:
    """One entry for each that is loaded, in that order, with all that the command line promises."""
    async with Node("a@h", path=[path]) as node:
        assert inspect.applications(node) == []
        await node.applications.ensure_all_started("shop", Restart.PERMANENT)
        node.applications.load("library")
        with pytest.raises(Exception, match="closed"):
            await node.applications.ensure_all_started("broken", Restart.TEMPORARY)
        shop, library, broken = inspect.applications(node)
        assert shop == inspect.ApplicationInfo(
            "shop", "running", "a@h", "normal", None, version="1.2", description="Sells", restart="permanent"
        )
        assert (library.state, library.running_on, library.start_type, library.reason) == ("loaded", None, None, None)
        assert (broken.state, broken.running_on, broken.reason) == ("loaded", None, "ValueError: closed")
        await node.applications.stop("shop")
        assert inspect.applications(node)[0].state == "loaded"


async def test_the_tree_of_an_application_holds_all_that_belongs_to_it(path: Path) -> None:
    """Its top supervisor first, then what it has spawned beside; others are roots of their own."""
    async with Node("a@h", path=[path]) as node:
        await start_link(Box)
        await node.applications.ensure_all_started("shop", Restart.TEMPORARY)
        await node.applications.ensure_all_started("library", Restart.TEMPORARY)
        shop, library, box = inspect.tree(node)
        assert (shop.name, shop.type, shop.label, shop.restart) == ("shop", "application", "Shop", "temporary")
        assert [(each.name, each.type) for each in shop.children] == [("Pair", "supervisor"), ("idle", "worker")]
        assert len(shop.children[0].children) == 2
        assert (library.pid, library.children) == (None, ())
        assert (box.name, box.type) == ("Box", "worker")
        assert [each.name for each in inspect.tree(node, "shop")] == ["shop"]
        assert inspect.tree(node, "broken") == []


# -- processes


@row("PRC-018", translated="as a record; `label` is the function or class that it runs, and no name is `None`")
async def test_processes_tell_what_one_sorts_them_by() -> None:
    """Their names, what waits for them, and whom they are tied to; of one that has ended, nothing."""
    async with Node("a@h") as node:
        trap_exit(True)
        other = spawn(idle)
        await settled()
        register("idler", other)
        link(other)
        monitor(other)
        send(other, 1)
        send(other, 2)
        body, idler = inspect.processes(node)
        assert (body.label, body.system, body.trap_exit, body.links) == ("node body", True, True, (other,))
        assert (body.monitors, body.monitored_by) == ((other,), ())
        assert (idler.pid, idler.name, idler.label, idler.application) == (other, "idler", "idle", None)
        assert (idler.mailbox, idler.links, idler.trap_exit, idler.system) == (2, (self_pid(),), False, False)
        assert (idler.monitors, idler.monitored_by) == ((), (self_pid(),))
        assert idler.age >= 0
        send_exit(other, Kill())
        await receive(Down)
        assert [each.pid for each in inspect.processes(node)] == [self_pid()]
        assert inspect.find(node, str(other)) is None


async def test_a_process_is_found_by_name_and_by_pid_as_printed() -> None:
    """With or without the name of the node and the brackets."""
    async with Node("a@h") as node:
        box = await start_link(child(Box).named("box"))
        process = node.runtime.processes[box.pid]
        number = f"{box.pid.id}.{box.pid.serial}"
        for text in ("box", str(box.pid), f"a@h.{number}", f"<0.{number}>", f"0.{number}"):
            assert inspect.find(node, text) is process
        for text in ("", "nobody", "<0.99.0>", f"<b@h.{number}>", "<a@h.1>"):
            assert inspect.find(node, text) is None


async def test_a_look_inside_needs_no_answer_of_the_process() -> None:
    """It is stuck in a handler; its attributes, its mailbox and its place are there all the same."""
    async with Node("a@h") as node:
        box = await start_link(child(Box).named("box"))
        Box.get_stuck(box)
        await settled()
        send(box, "later")
        seen = inspect.state(node, node.runtime.processes[box.pid])
        assert seen.attributes == {"value": "'stuck'"}
        assert (seen.name, seen.label, seen.waiting, seen.mailbox) == ("box", "Box", 1, ("'later'",))
        assert "get_stuck" in seen.stack


async def test_a_look_inside_survives_what_cannot_be_printed() -> None:
    """And is cut to size: whoever looks must not bring down what they look at."""

    class Hostile:
        def __repr__(self) -> str:
            raise Broken

    async with Node("a@h") as node:
        box = await start_link(Box, Hostile())
        long = await start_link(Box, "x" * 10_000)
        for _ in range(50):
            send(long, "x")
        assert "whose repr raised Broken" in inspect.state(node, node.runtime.processes[box.pid]).attributes["value"]
        seen = inspect.state(node, node.runtime.processes[long.pid])
        assert len(seen.attributes["value"]) <= 2000
        assert (len(seen.mailbox), seen.waiting) == (20, 50)


# -- crashes


async def test_crashes_are_told_newest_first_with_what_came_of_them() -> None:
    """One entry for each: what it was handling and holding, the traceback, and the restart beside it."""
    async with Node("a@h") as node:
        pair = await start_link(Pair)
        box = ServerRef(node.runtime.registry.whereis("first"), Box)
        with pytest.raises(CallError):
            await Box.fail(box, "in the box")
        await Supervisor.count_children(pair)
        await end_of(spawn(crash, Broken("alone")))
        alone, in_box = inspect.crashes(node)
        assert (alone.reason, alone.label, alone.name, alone.restart) == ("Broken: alone", "crash", None, None)
        assert (in_box.pid, in_box.name, in_box.reason) == (box.pid, "first", "Broken: in the box")
        assert in_box.last_message is not None
        assert "fail('in the box')" in in_box.last_message
        assert in_box.state == {"value": "1"}
        assert "raise Broken(text)" in in_box.traceback
        assert in_box.restart == inspect.RestartInfo(str(pair.pid), "first", "one_for_one", (), (), 2, 60.0)


async def test_a_restart_after_a_kill_is_told_too() -> None:
    """A kill is no crash, but somebody will ask why the process is a new one."""
    async with Node("a@h") as node:
        pair = await start_link(child(Pair).named("pair"))
        box = node.runtime.registry.whereis("first")
        assert box is not None
        send_exit(box, Kill())
        await end_of(box)
        await Supervisor.count_children(pair)
        (told,) = inspect.crashes(node)
        assert (told.kind, told.pid, told.reason) == ("restart", box, "killed")
        assert (told.traceback, told.last_message) == ("", None)
        assert told.restart is not None
        assert (told.restart.supervisor, told.restart.child) == ("pair", "first")


async def test_a_supervisor_that_gave_up_is_told_with_what_was_too_much() -> None:
    """Its end is a clean reason, and would be no news."""
    async with Node("a@h") as node:
        pair = await start(child(Pair).named("pair"))
        gone = monitor(pair)
        for _ in range(4):
            box = node.runtime.registry.whereis("first")
            assert box is not None
            send_exit(box, Kill())
            await end_of(box)
            await settled()
        assert (await receive(Down)).ref == gone
        told, *restarts = inspect.crashes(node)
        assert [each.kind for each in restarts] == ["restart"] * 3
        assert (told.kind, told.pid, told.name) == ("gave_up", pair.pid, "pair")
        assert told.reason == "first ended (killed), and more than 3 restarts within 60 s are too many"
        assert f"pair {pair.pid} gave up: first ended (killed)" in output.crashes(as_json([told]))


async def test_who_had_to_be_killed_is_told_with_the_place_where_it_was_stuck() -> None:
    """What did not stop is news, although nobody crashed."""
    clock = ManualClock()

    class Stuck(Box):
        async def terminate(self, reason: Reason) -> None:
            await anyio.sleep_forever()

    async with Node("a@h", clock=clock) as node:
        stuck = await start(child(Stuck).named("stuck").with_(shutdown=2.0))
        gone = monitor(stuck)
        gen_cast(stuck, "no such cast")
        await settled()
        clock.advance(2.0)
        assert (await receive(Down)).ref == gone
        told, crash = sorted(inspect.crashes(node), key=lambda each: each.kind, reverse=True)
        assert (told.kind, told.pid, told.name, told.reason) == ("shutdown", stuck.pid, "stuck", crash.reason)
        assert crash.kind == "crash"
        assert told.shutdown is not None
        (place,) = told.shutdown.places
        assert (told.shutdown.stopped_by, told.shutdown.child, told.shutdown.timeout) == (None, "stuck", 2.0)
        assert "await anyio.sleep_forever()" in place.stack
        text = output.crashes(as_json([told]))
        assert f"stuck {stuck.pid} ended: UnknownRequest" in text
        assert "its terminate had not ended within 2 s\n  it was at\n  File" in text


# -- shapes


class Colour(Enum):
    """Some."""

    RED = "red"


@dataclass
class Point:
    """Somewhere."""

    x: int
    y: float


@attrs.frozen
class Line:
    """From here to there."""

    ends: tuple[Point, Point]


class Opaque:
    """Nothing to see."""

    def __repr__(self) -> str:
        return "<opaque>"


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (1.5, 1.5),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        ("text", "text"),
        (b"bytes", "b'bytes'"),
        ((1, [2, {3}]), [1, [2, [3]]]),
        ({"a": 1, 2: "b", (3, 4): None}, {"a": 1, "2": "b", "(3, 4)": None}),
        (Colour.RED, "red"),
        (Line((Point(1, 2.0), Point(3, 4.0))), {"ends": [{"x": 1, "y": 2.0}, {"x": 3, "y": 4.0}]}),
        (Pid("a@h", 1, 2, 3), "<a@h.1.2>"),
        (datetime(2026, 11, 23, 12, 0, tzinfo=UTC), "2026-11-23T12:00:00+00:00"),
        (Opaque(), "<opaque>"),
        (Point, repr(Point)),
        (StartFailed, repr(StartFailed)),
    ],
)
def test_values_have_a_shape_in_json(value: object, shape: object) -> None:
    """JSON's own stay, classes with fields become objects, and the rest is shown as it prints."""
    assert as_json(value) == shape
    assert json.loads(json.dumps(as_json(value), allow_nan=False)) == shape


def test_a_value_that_holds_itself_has_an_end() -> None:
    """A tool must not hang on it."""
    circle: list[object] = []
    circle.append(circle)
    assert json.dumps(as_json(circle)).count("[") > 10
