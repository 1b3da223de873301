"""Starting several applications: what one needs, and starts at the same time."""

from __future__ import annotations

import anyio
import pytest

from regrow import (
    ApplicationError,
    Custom,
    Kill,
    Normal,
    application,
    monitor,
    send_exit,
    spawn,
    whereis,
)
from tests.harness import row

from .application_kit import (
    Apps,
    Script,
    apps,
    crash,
    end_tree,
    ended,
    reason_of,
    script,
    settled,
    started,
    stopped,
    waiting_for,
)

__all__ = ["apps", "script"]


def alive() -> list[str | None]:
    return [name for name in ("a_sup", "a_worker") if whereis(name)]


# -- dependencies


@row("APP-004")
async def test_a_dependency_that_was_not_started_is_named(apps: Apps, script: Script) -> None:
    """Nor does one count that could not be started, or was stopped."""
    apps.add("a", "b")
    apps.add("b")

    async def refused() -> str:
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        assert caught.value.application == "a"
        return reason_of(caught)

    async with apps.node():
        assert await refused() == "not_started: b"
        script.at("b start", crash)
        with pytest.raises(ApplicationError):
            await application.start("b")
        assert await refused() == "not_started: b"
        script.actions.clear()
        await application.start("b")
        await application.stop("b")
        assert await refused() == "not_started: b"
        assert application.loaded_applications() == ["a", "b"]


@row("APP-004")
async def test_a_dependency_that_has_ended_by_itself_is_named(apps: Apps) -> None:
    """Somebody wanted it to run, so this is another case; once it is told to stop it is the first one again."""
    apps.add("a", "b")
    apps.add("b")
    async with apps.node() as node:
        await application.start("b")
        await end_tree(node, "b", Custom("gone"))
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        assert reason_of(caught) == "not_running: b"
        await application.stop("b")
        with pytest.raises(ApplicationError) as caught:
            await application.start("a")
        assert reason_of(caught) == "not_started: b"
        await application.start("b")
        await application.start("a")


@row("APP-005")
async def test_ensure_started_is_content_if_it_runs(apps: Apps, script: Script) -> None:
    """Everything else is as for `start`."""
    apps.add("a")
    async with apps.node():
        await application.ensure_started("a")
        await application.ensure_started("a")
        assert script.log == started("a")
        with pytest.raises(ApplicationError, match="no such application"):
            await application.ensure_started("nowhere")


@row("APP-006")
async def test_ensure_all_started_starts_what_is_missing_depth_first(apps: Apps, script: Script) -> None:
    """And returns those that it started itself, in order; nothing if there was nothing to do."""
    apps.add("a", "b", "c")
    apps.add("b", "d", "e")
    apps.add("c", "e")
    apps.add("d")
    apps.add("e")
    async with apps.node():
        await application.start("d")
        script.taken()
        assert await application.ensure_all_started("a") == ["e", "b", "c", "a"]
        assert script.taken() == [*started("e"), *started("b"), *started("c"), *started("a")]
        assert await application.ensure_all_started("a") == []
        assert script.log == []


async def test_if_one_fails_those_it_had_started_are_stopped_in_reverse(apps: Apps, script: Script) -> None:
    """And no others: what ran before goes on."""
    for name, needs in {"a": "bcde", "b": "", "c": "", "d": "", "e": ""}.items():
        apps.add(name, *needs)
    script.at("e start", crash)
    async with apps.node():
        await application.start("c")
        script.taken()
        with pytest.raises(ApplicationError) as caught:
            await application.ensure_all_started("a")
        assert caught.value.application == "e"
        assert reason_of(caught) == "ValueError: boom"
        assert application.which_applications() == ["c"]
        assert script.log == [*started("b"), *started("d"), "e start normal []", *stopped("d"), *stopped("b")]


async def test_what_has_ended_meanwhile_does_not_get_in_the_way_of_the_rollback(apps: Apps, script: Script) -> None:
    """The error is the one that stopped the start."""
    for name, needs in {"a": "bc", "b": "", "c": ""}.items():
        apps.add(name, *needs)
    async with apps.node() as node:

        async def end_b_and_crash() -> object:
            await end_tree(node, "b", Custom("gone"))
            raise ValueError("boom")

        script.at("c start", end_b_and_crash)
        with pytest.raises(ApplicationError, match="application c: ValueError: boom"):
            await application.ensure_all_started("a")
        assert application.which_applications() == []


async def test_a_cycle_is_an_error_that_names_it(apps: Apps, script: Script) -> None:
    """Nothing is started."""
    apps.add("a", "x", "b")
    apps.add("b", "c")
    apps.add("c", "b")
    apps.add("x")
    async with apps.node():
        with pytest.raises(ApplicationError, match="b -> c -> b"):
            await application.ensure_all_started("a")
        assert script.log == []


async def test_a_dependency_that_cannot_be_found_is_named_with_who_needs_it(apps: Apps, script: Script) -> None:
    """Nothing is started."""
    apps.add("a", "x", "nowhere")
    apps.add("x")
    async with apps.node():
        with pytest.raises(ApplicationError, match="no such application: nowhere, which a needs"):
            await application.ensure_all_started("a")
        assert script.log == []


@row("APP-008")
async def test_an_optional_dependency_need_not_run(apps: Apps) -> None:
    """Whether there is none, or it is loaded, or it has ended."""
    apps.add("a", "b", "nowhere", optional_applications=["b", "nowhere"])
    apps.add("b")
    async with apps.node() as node:
        await application.start("a")
        await application.stop("a")
        await application.load("b")
        await application.start("a")
        await application.stop("a")
        await application.start("b")
        await end_tree(node, "b", Custom("gone"))
        await application.start("a")
        assert application.which_applications() == ["a"]


@row("APP-008")
async def test_ensure_all_started_starts_an_optional_dependency_that_is_there(apps: Apps, script: Script) -> None:
    """One that is there and fails is an error."""
    apps.add("a", "b", "nowhere", optional_applications=["b", "nowhere"])
    apps.add("b")
    async with apps.node():
        assert await application.ensure_all_started("a") == ["b", "a"]
        await application.stop("a")
        await application.stop("b")
        script.at("b start", crash)
        with pytest.raises(ApplicationError, match="application b: ValueError: boom"):
            await application.ensure_all_started("a")
        assert application.which_applications() == []


# -- several at once


@row("APP-020")
@pytest.mark.parametrize("fails", [False, True])
async def test_starts_at_the_same_time_are_one_start(apps: Apps, script: Script, fails: bool) -> None:
    """The callback runs once, and everybody gets what came of it."""
    apps.add("a")
    may_go = anyio.Event()

    async def wait() -> None:
        await may_go.wait()
        if fails:
            raise ValueError("boom")

    script.at("a start", wait)
    outcomes: list[str] = []

    async def try_it() -> None:
        try:
            await application.start("a")
        except ApplicationError as error:
            outcomes.append(str(error.reason))
        else:
            outcomes.append("started")

    async with apps.node():
        for _ in range(3):
            spawn(try_it)
        await settled()
        assert outcomes == []
        assert application.which_applications() == []
        may_go.set()
        await settled()
        assert outcomes == ["ValueError: boom" if fails else "started"] * 3
        assert script.log.count("a start normal []") == 1


async def test_whose_dependency_is_being_started_by_somebody_else_waits_for_it(apps: Apps, script: Script) -> None:
    """And does not stop it again if his own start fails: it is not his."""
    apps.add("a", "b")
    apps.add("b")
    may_go = anyio.Event()
    script.at("b start", waiting_for(may_go))
    script.at("a start", crash)
    async with apps.node():
        spawn(application.start, "b")
        await settled()
        may_go.set()
        with pytest.raises(ApplicationError, match="ValueError: boom"):
            await application.ensure_all_started("a")
        assert application.which_applications() == ["b"]


async def test_who_gives_up_waiting_does_not_disturb_the_start(apps: Apps, script: Script) -> None:
    """The others still get what comes of it."""
    apps.add("a")
    may_go = anyio.Event()
    script.at("a start", waiting_for(may_go))
    async with apps.node():
        impatient = spawn(application.start, "a")
        patient = monitor(spawn(application.start, "a"))
        await settled()
        send_exit(impatient, Kill())
        await settled()
        may_go.set()
        assert await ended(patient) == Normal()
        assert application.which_applications() == ["a"]


async def test_a_start_during_the_stop_waits_until_it_is_over(apps: Apps, script: Script) -> None:
    """Then it is an ordinary start."""
    apps.add("a")
    may_go = anyio.Event()
    async with apps.node():
        await application.start("a")
        script.taken()
        script.at("a stop", waiting_for(may_go))
        spawn(application.stop, "a")
        await settled()
        spawn(application.start, "a")
        await settled()
        assert script.taken() == stopped("a")
        may_go.set()
        await settled()
        assert script.log == started("a")


async def test_other_applications_start_while_one_does_not_come_to_an_end_of_it(apps: Apps, script: Script) -> None:
    """A start that hangs is the problem of its application."""
    apps.add("stuck")
    apps.add("a")
    script.at("stuck start", waiting_for(anyio.Event()))
    async with apps.node():
        spawn(application.start, "stuck")
        await settled()
        await application.start("a")
        assert application.which_applications() == ["a"]
        with pytest.raises(ApplicationError) as caught:
            await application.stop("stuck")
        assert reason_of(caught).startswith("not_started")
