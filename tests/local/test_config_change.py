"""A configuration that is read again while the node runs: what changes, and who is told."""

from __future__ import annotations

import logging

import anyio
import pytest

from regrow import ApplicationError, ConfigError, Node, application
from regrow._pure.config import NodeConfig
from regrow.testing import ManualClock
from tests.harness import row

from .application_kit import Apps, Script, apps, crash, script, settled, waiting_for

__all__ = ["apps", "script"]


def configured(apps: Apps, text: str) -> None:
    (apps.folder / "sys.toml").write_text(text, "utf-8")


def node_of(apps: Apps, text: str, **settings: object) -> Node:
    """A node with a configuration file, which can be written anew."""
    configured(apps, text)
    return apps.node(config=apps.folder / "sys.toml", **settings)


async def started(script: Script, *names: str) -> None:
    for name in names:
        await application.start(name)
    script.taken()


@row("APP-027")
async def test_what_runs_is_told_what_has_changed_what_is_new_and_what_is_gone(apps: Apps, script: Script) -> None:
    """In the order of their start; what the manifest says comes back where the file says nothing any more."""
    apps.add("a", env={"given": "manifest"})
    apps.add("b")
    async with node_of(apps, "[a]\ngiven = 'file'\nkept = 1\nold = 2\n[b]\nx = 1\n"):
        await started(script, "b", "a")
        configured(apps, "[a]\nkept = 1\nnew = [3]\n[b]\nx = true\n")
        assert await application.reload_config() == ["b", "a"]
        assert script.log == [
            "b config_change {'x': True} {} []",
            "a config_change {'given': 'manifest'} {'new': [3]} ['old']",
        ]
        assert [application.get_env("a", key) for key in ("given", "kept", "new", "old")] == ["manifest", 1, [3], None]


@row("APP-027")
async def test_who_is_not_concerned_is_not_told(apps: Apps, script: Script) -> None:
    """Nothing is different for it, or it does not run; then it finds the new values when it starts."""
    apps.add("a")
    apps.add("b")
    apps.add("c", module=None)
    async with node_of(apps, "[a]\nx = 1\n"):
        await started(script, "a", "c")
        await application.load("b")
        assert await application.reload_config() == []
        configured(apps, "[a]\nx = 1\n[b]\nx = 2\n[c]\nx = 3\n")
        assert await application.reload_config() == []
        assert script.log == []
        assert [application.get_env(name, "x") for name in ("a", "b", "c")] == [1, 2, 3]


@row("APP-024", "APP-025")
async def test_what_was_set_since_is_gone_unless_it_is_persistent(apps: Apps, script: Script) -> None:
    """The environments are what the manifest and the file say, and the applications are told of that as well."""
    apps.add("a", env={"given": "manifest"})
    async with node_of(apps, "[a]\nx = 1\ny = 1\nz = 1\n"):
        await started(script, "a")
        for key in ("x", "y", "own", "given"):
            application.set_env("a", key, "set")
        application.set_env("a", "z", "set", persistent=True)
        configured(apps, "[a]\nx = 1\ny = 2\nz = 2\n")
        assert await application.reload_config() == ["a"]
        assert script.log == ["a config_change {'given': 'manifest', 'x': 1, 'y': 2} {} ['own']"]
        assert [application.get_env("a", key) for key in ("x", "y", "z", "own", "given")] == [
            1,
            2,
            "set",
            None,
            "manifest",
        ]
        script.taken()
        assert await application.reload_config() == []


@row("APP-027")
async def test_who_is_included_is_not_told_but_has_the_new_values(apps: Apps, script: Script) -> None:
    """Only what runs by itself is told; whoever includes another one finds its new environment."""
    apps.add("a", included_applications=["part"])
    apps.add("part")
    async with node_of(apps, "[a]\nx = 1\n[part]\nx = 1\n"):
        await started(script, "a")
        configured(apps, "[a]\nx = 2\n[part]\nx = 2\n")
        assert await application.reload_config() == ["a"]
        assert script.log == ["a config_change {'x': 2} {} []"]
        assert application.get_env("part", "x") == 2


async def test_a_file_with_mistakes_changes_nothing(apps: Apps, script: Script) -> None:
    """All of them are told, as at the start of a node."""
    apps.add("a")
    async with node_of(apps, "[a]\nx = 1\n"):
        await started(script, "a")
        configured(apps, "[a]\nx = 2\n[nobody]\n[kernel]\nnet_tick = 1\n")
        with pytest.raises(ConfigError) as caught:
            await application.reload_config()
        assert len(caught.value.mistakes) == 2
        assert (application.get_env("a", "x"), script.log) == (1, [])


async def test_a_node_without_a_file_has_nothing_to_read_again(apps: Apps) -> None:
    """Nobody could have changed anything."""
    async with apps.node(config=NodeConfig()):
        with pytest.raises(ConfigError, match="no configuration file"):
            await application.reload_config()


async def test_one_that_fails_keeps_nobody_from_being_told(apps: Apps, script: Script) -> None:
    """Nor does one that is not done in its time; both go on running, and whoever asked hears of them."""
    clock = ManualClock()
    for name in ("a", "b", "c"):
        apps.add(name)
    script.at("a config_change", crash)
    script.at("b config_change", anyio.sleep_forever)
    text = "[a]\nx = {x}\n[b]\nx = {x}\n[c]\nx = {x}\n"
    async with node_of(apps, text.format(x=1), clock=clock):
        await started(script, "a", "b", "c")
        configured(apps, text.format(x=2))
        asked: list[str] = []

        async def ask() -> None:
            with pytest.raises(ApplicationError, match="config_change of a, b failed") as caught:
                await application.reload_config()
            asked.append(caught.value.application)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await settled()
            clock.advance(5.0)
        assert asked == ["a"]
        assert [line.partition(" {")[0] for line in script.log] == [f"{name} config_change" for name in "abc"]
        assert sorted(application.which_applications()) == ["a", "b", "c"]


async def test_one_that_ends_meanwhile_is_passed_over(apps: Apps, script: Script) -> None:
    """Who stops is not told, and holds up nobody."""
    apps.add("a")
    apps.add("b")
    stopping = anyio.Event()
    script.at("a prep_stop", waiting_for(stopping))
    async with node_of(apps, "[a]\nx = 1\n[b]\nx = 1\n"), anyio.create_task_group() as group:
        await started(script, "a", "b")
        group.start_soon(application.stop, "a")
        await settled()
        configured(apps, "[a]\nx = 2\n[b]\nx = 2\n")
        told: list[str] = []

        async def ask() -> None:
            told.extend(await application.reload_config())

        group.start_soon(ask)
        await settled()
        stopping.set()
        await settled()
        assert told == ["b"]


async def test_what_has_changed_for_the_node_itself_waits_for_its_next_start(
    apps: Apps, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so, and the applications are told all the same."""
    apps.add("a")
    async with node_of(apps, "[a]\nx = 1\n"):
        await started(script, "a")
        configured(apps, "[a]\nx = 2\n[kernel]\nnet_tick_time = 1.0\n")
        with caplog.at_level(logging.WARNING):
            assert await application.reload_config() == ["a"]
        assert "what has changed under [node] and [kernel] waits for the next start of here@localhost" in caplog.text
