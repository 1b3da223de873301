"""Permissions of applications that are not distributed: whether one may run is the node's own to say."""

from __future__ import annotations

import anyio
import pytest

from regrow import ApplicationError, Custom, Node, application, monitor, spawn
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


def phase(node: Node, name: str = "a") -> str:
    return node.applications.loaded[name].phase.value


@row("DAP-020")
async def test_a_permission_stops_what_runs_and_starts_it_again(apps: Apps, script: Script) -> None:
    """Here, whether or not there are other nodes; to say it twice changes nothing."""
    apps.add("a")
    async with apps.node() as node:
        await application.start("a")
        assert script.taken() == started("a")
        for _ in range(2):
            await application.permit("a", False)
        assert (script.taken(), phase(node)) == (stopped("a"), "standby")
        assert application.which_applications() == []
        for _ in range(2):
            await application.permit("a", True)
        assert (script.taken(), phase(node)) == (started("a"), "running")


@row("DAP-020")
async def test_what_is_not_loaded_has_no_permission(apps: Apps) -> None:
    """The error says so, and unloading forgets what was said."""
    apps.add("a")
    async with apps.node() as node:
        for flag in (True, False):
            with pytest.raises(ApplicationError) as refused:
                await application.permit("a", flag)
            assert reason_of(refused) == "not_loaded"
        await application.load("a")
        await application.permit("a", False)
        await application.unload("a")
        await application.start("a")
        assert phase(node) == "running"


@row("DAP-020")
async def test_a_start_that_is_not_permitted_returns_and_takes_place_when_it_is(apps: Apps, script: Script) -> None:
    """It is started and stands by, as on a node where a distributed one may not run."""
    apps.add("a")
    apps.add("b", "a")
    async with apps.node() as node:
        await application.load("a")
        await application.permit("a", False)
        await application.start("a")
        assert (script.taken(), phase(node)) == ([], "standby")
        with pytest.raises(ApplicationError, match="already_started"):
            await application.start("a")
        assert await application.ensure_all_started("b") == ["b"]
        assert script.taken() == started("b")
        await application.permit("a", True)
        assert (script.taken(), phase(node)) == (started("a"), "running")


async def test_a_permission_alone_starts_nothing(apps: Apps, script: Script) -> None:
    """Nobody has started it."""
    apps.add("a")
    async with apps.node() as node:
        await application.load("a")
        await application.permit("a", False)
        await application.permit("a", True)
        assert (script.taken(), phase(node)) == ([], "loaded")


async def test_what_stands_by_is_stopped_like_what_runs(apps: Apps, script: Script) -> None:
    """A permission that comes later does not start it again."""
    apps.add("a")
    async with apps.node() as node:
        await application.start("a")
        await application.permit("a", False)
        await application.stop("a")
        assert phase(node) == "loaded"
        with pytest.raises(ApplicationError, match="not_started"):
            await application.stop("a")
        script.taken()
        await application.permit("a", True)
        assert (script.taken(), phase(node)) == ([], "loaded")


async def test_what_fails_when_it_may_run_again_fails_as_any_start(apps: Apps, script: Script) -> None:
    """Whoever permits it is told; what it needs has to run as well."""
    apps.add("a")
    apps.add("b", "a")
    async with apps.node() as node:
        await application.ensure_all_started("b")
        await application.permit("b", False)
        script.at("b start", crash)
        with pytest.raises(ApplicationError, match="ValueError: boom"):
            await application.permit("b", True)
        assert phase(node, "b") == "loaded"
        await application.permit("b", False)
        await application.start("b")
        await application.stop("a")
        with pytest.raises(ApplicationError, match="not_started: a"):
            await application.permit("b", True)
        assert phase(node, "b") == "standby"


async def test_one_that_starts_is_stopped_once_it_runs(apps: Apps, script: Script) -> None:
    """Its starter is told that it is started; who forbids it waits until it is gone."""
    apps.add("a")
    go_on = anyio.Event()
    script.at("a worker init", waiting_for(go_on))
    async with apps.node() as node:
        starting = monitor(spawn(application.start, "a"))
        await settled()
        forbidding = monitor(spawn(application.permit, "a", False))
        await settled()
        assert script.taken() == started("a")
        go_on.set()
        await ended(starting)
        await ended(forbidding)
        assert (script.taken(), phase(node)) == (stopped("a"), "standby")


async def test_the_last_word_counts(apps: Apps, script: Script) -> None:
    """Permitted again while it stops, it starts when it is gone; stopped by hand meanwhile, it does not."""
    apps.add("a")
    for last, then in ((lambda: application.permit("a", True), "running"), (lambda: application.stop("a"), "loaded")):
        gone = anyio.Event()
        script.at("a stop", waiting_for(gone))
        async with apps.node() as node:
            await application.start("a")
            forbidding = monitor(spawn(application.permit, "a", False))
            await settled()
            said = monitor(spawn(last))
            await settled()
            gone.set()
            await ended(forbidding)
            await ended(said)
            assert phase(node) == then


async def test_the_end_of_one_that_may_not_run_any_more_is_an_end_like_any_other(apps: Apps) -> None:
    """It ended by itself, so that nothing stands by."""
    apps.add("a")
    async with apps.node() as node:
        await application.start("a")
        await end_tree(node, "a", Custom("enough"))
        await application.permit("a", False)
        assert phase(node) == "loaded"
        await application.start("a")
        assert phase(node) == "standby"


async def test_a_library_needs_a_permission_too(apps: Apps) -> None:
    """It counts as running, or does not."""
    apps.add("a", module=None)
    async with apps.node() as node:
        await application.start("a")
        await application.permit("a", False)
        assert (phase(node), application.which_applications()) == ("standby", [])
        await application.permit("a", True)
        assert (phase(node), application.which_applications()) == ("running", ["a"])


async def test_a_node_is_left_in_order_with_one_that_stands_by(apps: Apps, script: Script) -> None:
    """There is nothing of it to stop."""
    apps.add("a")
    async with apps.node():
        await application.start("a")
        await application.permit("a", False)
        script.taken()
    assert script.taken() == []
