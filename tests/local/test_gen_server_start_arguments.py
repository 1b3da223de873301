"""What is given to a start, and what its exception tells."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from regrow import (
    Crash,
    GenServer,
    Node,
    ProcessExited,
    StartFailed,
    child,
    gen_call,
    start_link,
)
from tests.harness import row

from .gen_server_kit import (
    Counter,
    Scripted,
    raising,
    styles,
)

CRASH = ValueError("no")


async def test_an_uncaught_crash_of_a_linked_server_ends_its_starter() -> None:
    """A link is a shared fate: the body of the node does not trap here."""

    async def program() -> None:
        async with Node():
            ref = await start_link(Scripted, [])
            Scripted.do(ref, raising(CRASH))
            await anyio.sleep_forever()

    with pytest.raises(ProcessExited) as caught:
        await program()
    assert caught.value.reason == Crash(CRASH)


async def test_the_exception_of_init_is_the_cause_of_the_starters() -> None:
    """The traceback leads to the line that failed."""
    async with Node():
        with pytest.raises(StartFailed, match="ValueError: no") as caught:
            await start_link(Scripted, [], raising(CRASH))
        assert caught.value.__cause__ is CRASH


async def test_arguments_that_do_not_fit_the_constructor_are_a_failed_start() -> None:
    """The constructor runs in the new process: its TypeError is a crash there."""
    async with Node():
        with pytest.raises(StartFailed) as caught:
            await start_link(Counter, 1, 2)  # type: ignore[call-arg]
        assert isinstance(caught.value.__cause__, TypeError)


async def test_what_cannot_be_started_is_refused_at_once() -> None:
    """A class that is no behaviour, and a specification with arguments beside it, are errors of the program."""
    async with Node() as node:
        with pytest.raises(TypeError, match="no behaviour"):
            await start_link(dict)  # type: ignore[type-var]
        with pytest.raises(TypeError, match="carries its arguments"):
            await start_link(child(Counter), 5)  # type: ignore[call-overload]
        assert len(node.runtime.processes) == 1


async def test_a_constructor_may_have_parameters_of_any_name() -> None:
    """`cls` and `what` are the user's as well."""

    class Named(GenServer):
        def __init__(self, *, cls: str, what: str, spec: str) -> None:
            self.given = (cls, what, spec)

        async def handle_call(self, request: object, from_: object) -> object:
            return self.given

    async with Node():
        for ref in (
            await start_link(Named, cls="a", what="b", spec="c"),
            await start_link(child(Named, cls="a", what="b", spec="c")),
        ):
            assert await gen_call(ref, "what were you given?") == ("a", "b", "c")


@row("GEN-007", translated="what init returns is ignored, as the types say: there is no junk to return")
@styles
async def test_what_init_returns_is_ignored(style: Any) -> None:
    """Python's init has exceptions for everything that is not success."""

    class Junk(Counter):
        async def init(self) -> Any:
            return "junk"

    async with Node():
        ref = await start_link(style(Junk))
        assert await Counter.add(ref, 1) == 1


@row("GEN-061", translated="what differs from the defaults is said in the specification, not on the class")
async def test_a_server_is_its_own_child_specification() -> None:
    """The class and its arguments; the id is the class's name, or the registered one."""
    spec = child(Counter, 5)
    assert (spec.id, spec.cls, spec.args, spec.restart, spec.shutdown) == ("Counter", Counter, (5,), "permanent", 5.0)
    assert spec.named("counter").id == "counter"
    changed = spec.with_(id="other", restart="temporary", shutdown="brutal_kill")
    assert (changed.id, changed.restart, changed.shutdown) == ("other", "temporary", "brutal_kill")
    async with Node():
        assert await Counter.add(await start_link(changed), 1) == 6
