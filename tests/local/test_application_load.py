"""Loading applications, and their environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regrow import Application, ApplicationError, ConfigError, ManifestError, Node, NormalStart, application
from tests.harness import row

from .application_kit import Apps, Script, apps, reason_of, script

__all__ = ["apps", "script"]

PARSED: dict[str, Any] = {
    "name": "a",
    "description": "An example",
    "version": "1.2",
    "args": (1, "two"),
    "registered": ("a_sup",),
    "applications": ("b", "c"),
    "optional_applications": ("c",),
    "included_applications": ("i",),
    "start_phases": (("init", None), ("go", [1])),
    "portable": ("a.jobs",),
    "env": {"greeting": "hello"},
}


@row("APP-001")
async def test_an_application_is_loaded_once_with_those_it_includes(apps: Apps) -> None:
    """A second load is refused, and what it includes is known too, at every depth."""
    apps.add("a", included_applications=["i"])
    apps.add("i", included_applications=["j"])
    apps.add("j")
    async with apps.node():
        await application.load("a")
        assert application.loaded_applications() == ["a", "i", "j"]
        for name in ("a", "j"):
            with pytest.raises(ApplicationError) as caught:
                await application.load(name)
            assert caught.value.application == name
            assert reason_of(caught).startswith("already_loaded")
        assert application.which_applications() == []


@row("APP-001")
async def test_a_missing_manifest_is_an_error_that_says_where_it_was_looked_for(apps: Apps) -> None:
    """For a name nobody has heard of there is nothing to do but to look at the path."""
    async with apps.node():
        with pytest.raises(ApplicationError, match=f"no such application.*{apps.folder}"):
            await application.load("nowhere")


@row("APP-001", deviation="if an included one is missing, nothing is loaded; OTP leaves the rest loaded")
async def test_a_missing_included_application_leaves_nothing_loaded(apps: Apps) -> None:
    """All or nothing, so that the next load is not refused as the second."""
    apps.add("a", included_applications=["i", "missing"])
    apps.add("i")
    async with apps.node():
        with pytest.raises(ApplicationError) as caught:
            await application.load("a")
        assert caught.value.application == "missing"
        assert application.loaded_applications() == []


async def test_a_wrong_manifest_is_an_error_with_all_its_mistakes(apps: Apps) -> None:
    """Nobody wants to find them one by one."""
    apps.add("a", versio="1", args=3)
    async with apps.node():
        with pytest.raises(ApplicationError) as caught:
            await application.load("a")
        assert "'version'" in str(caught.value)
        assert "args" in str(caught.value)
        assert ManifestError.__name__ in str(caught.value)


@row("APP-002")
async def test_unloading_forgets_an_application_and_what_was_set_in_its_environment(apps: Apps) -> None:
    """Those that it includes go with it."""
    apps.add("a", included_applications=["i"], env={"key": "manifest"})
    apps.add("i")
    async with apps.node():
        await application.load("a")
        application.set_env("a", "key", "set")
        await application.unload("a")
        assert application.loaded_applications() == []
        assert application.get_env("a", "key") is None
        await application.load("a")
        assert application.get_env("a", "key") == "manifest"


@row("APP-002")
async def test_what_runs_or_is_not_loaded_cannot_be_unloaded(apps: Apps) -> None:
    """Refused, and nothing is changed."""
    apps.add("a")
    async with apps.node():
        with pytest.raises(ApplicationError) as caught:
            await application.unload("a")
        assert reason_of(caught).startswith("not_loaded")
        await application.start("a")
        with pytest.raises(ApplicationError) as caught:
            await application.unload("a")
        assert reason_of(caught).startswith("running")
        assert application.which_applications() == ["a"]
        await application.stop("a")
        await application.unload("a")


@row("APP-023")
async def test_the_configuration_file_beats_the_manifest_and_set_env_beats_both(apps: Apps, tmp_path: Path) -> None:
    """Each later one was written by somebody who knows better."""
    apps.add("a", env={"one": "manifest", "two": "manifest", "three": "manifest"})
    config = tmp_path / "sys.toml"
    config.write_text('[a]\ntwo = "config"\nthree = "config"\nfour = "config"\n', "utf-8")
    async with apps.node(config=config):
        await application.load("a")
        application.set_env("a", "three", "set")
        assert [application.get_env("a", key) for key in ("one", "two", "three", "four")] == [
            "manifest",
            "config",
            "set",
            "config",
        ]


async def test_a_table_that_names_no_application_stops_the_node_before_it_starts(apps: Apps, tmp_path: Path) -> None:
    """The mistakes of manifests and of the file come together."""
    apps.add("a")
    config = tmp_path / "sys.toml"
    config.write_text('[b]\ntwo = "config"\n[kernel]\nnet_tick_tim = 3\n', "utf-8")
    with pytest.raises(ConfigError) as caught:
        apps.node(config=config)
    assert len(caught.value.mistakes) == 2


async def test_a_key_that_nobody_set_has_the_default(apps: Apps) -> None:
    """The manifest of an application that is not loaded is not looked at."""
    apps.add("a", env={"key": "manifest", "nothing": False})
    async with apps.node():
        assert application.get_env("a", "key") is None
        await application.load("a")
        assert application.get_env("a", "key", "default") == "manifest"
        assert application.get_env("a", "nothing", "default") is False
        assert application.get_env("a", "other") is None
        assert application.get_env("a", "other", "default") == "default"


@row("APP-024")
async def test_loading_overwrites_what_was_set_before_with_what_the_manifest_says(apps: Apps) -> None:
    """Only where it says something; unloading drops all."""
    apps.add("a", env={"key": "manifest"})
    async with apps.node():
        application.set_env("a", "key", "early")
        application.set_env("a", "other", "early")
        assert application.get_env("a", "key") == "early"
        await application.load("a")
        assert application.get_env("a", "key") == "manifest"
        assert application.get_env("a", "other") == "early"
        await application.unload("a")
        assert application.get_env("a", "other") is None


@row("APP-025")
async def test_what_is_set_persistently_survives_until_it_is_unset_persistently(apps: Apps) -> None:
    """Through loading and unloading; a value that is not persistent hides it no longer than that."""
    apps.add("a", env={"key": "manifest"})
    async with apps.node():
        application.set_env("a", "key", "persistent", persistent=True)
        await application.load("a")
        assert application.get_env("a", "key") == "persistent"
        application.set_env("a", "key", "set")
        assert application.get_env("a", "key") == "set"
        await application.unload("a")
        assert application.get_env("a", "key") is None
        await application.load("a")
        application.unset_env("a", "key")
        assert application.get_env("a", "key") is None
        await application.unload("a")
        await application.load("a")
        assert application.get_env("a", "key") == "persistent"
        application.unset_env("a", "key", persistent=True)
        await application.unload("a")
        await application.load("a")
        assert application.get_env("a", "key") == "manifest"


@row("APP-026", translated="key by key, there is no bulk form; a wrong name is a TypeError")
@pytest.mark.parametrize(("app", "key"), [("a", 3), ("a", ""), (None, "key"), ("", "key")])
async def test_a_wrong_name_is_refused_with_the_application_and_the_key(apps: Apps, app: str, key: str) -> None:
    """And sets nothing, not even for later."""
    async with apps.node():
        with pytest.raises(TypeError) as caught:
            application.set_env(app, key, "value", persistent=True)
        assert repr(app) in str(caught.value)
        assert repr(key) in str(caught.value)
        assert application.get_env(app, key) is None


@row("APP-029", translated="there is no get_all_key: each entry is asked for by name")
async def test_every_entry_of_a_manifest_can_be_read(apps: Apps) -> None:
    """By its name in the file; what is no entry is `None`, as is everything of an application that is not loaded."""
    apps.add("i")
    plain = {key: value for key, value in PARSED.items() if key not in ("name", "applications", "start_phases")}
    apps.add("a", "b", "c", **plain, start_phases=["init", ["go", [1]]])
    async with apps.node():
        assert application.get_key("a", "name") is None
        await application.load("a")
        assert {key: application.get_key("a", key) for key in PARSED} == PARSED
        assert application.get_key("a", "module") == "tests.local.application_kit:Scripted"
        for nothing in ("other", "__class__", "__init__"):
            assert application.get_key("a", nothing) is None


async def test_two_nodes_know_nothing_of_each_others_applications(apps: Apps, script: Script) -> None:
    """Not even in one interpreter."""
    apps.add("a", env={"key": "manifest"})
    async with apps.node() as one, Node("other@localhost", path=[apps.folder]) as other:
        with one.current():
            await application.start("a")
            application.set_env("a", "key", "set")
        with other.current():
            assert application.loaded_applications() == []
            await application.load("a")
            assert application.get_env("a", "key") == "manifest"
    assert script.log[-1] == "a stop"


class Nothing(Application):
    """Says nothing about how it starts."""


async def test_an_application_that_does_not_say_how_it_starts_is_told_to() -> None:
    """The behaviour has one method that cannot be left out."""
    with pytest.raises(TypeError, match=r"Nothing does not say how it starts: define start\(\)"):
        await Nothing().start(NormalStart(), ())
