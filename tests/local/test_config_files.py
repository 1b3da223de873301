"""The files of a configuration: one or several, what they include, and every mistake with the file it is in."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from regrow import ConfigError, Node
from regrow import application as applications
from regrow._pure.config import NodeConfig
from regrow.config_files import Setting, files_of, read_config
from regrow.manifests import Manifests
from tests.harness import row


def written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def application(folder: Path, lines: str = "") -> Path:
    """A manifest of `shop`."""
    folder.mkdir()
    return written(folder / "application.toml", f'[application]\nname = "shop"\nversion = "1"\n{lines}')


def test_a_configuration_is_read_for_the_applications_that_can_be_found(tmp_path: Path) -> None:
    """Their tables are environments."""
    application(tmp_path / "shop")
    file = written(tmp_path / "sys.toml", '[kernel]\nsync_nodes_timeout = inf\n[shop]\ngreeting = "hi"\n')
    config = read_config([file], Manifests([tmp_path]))
    assert dict(config.env["shop"]) == {"greeting": "hi"}
    assert config.sync_nodes_timeout == float("inf")
    assert read_config([str(file)], Manifests([tmp_path])) == config


def test_mistakes_of_configuration_and_manifests_are_reported_together(tmp_path: Path) -> None:
    """With the file each is in; a manifest that is wrong still has a name, so its table is no mistake."""
    manifest = application(tmp_path / "shop", "args = 5\n")
    file = written(tmp_path / "sys.toml", "[shop]\n[bank]\n[kernel]\nnet_tick_time = -1\n")
    with pytest.raises(ConfigError) as caught:
        read_config([file], Manifests([tmp_path]))
    assert caught.value.mistakes == (
        f"{file}: kernel.net_tick_time: must be seconds, at least 0.1, not -1",
        f"{file}: bank: neither a table of the node nor an application to be found; known are kernel, node, shop",
        f"{manifest}: application.args: must be a list, not 5",
    )


def test_mistakes_in_manifests_alone_are_mistakes_too(tmp_path: Path) -> None:
    """A node should not come up only to fail at the first start."""
    manifest = application(tmp_path / "shop", "args = 5\n")
    with pytest.raises(ConfigError) as caught:
        read_config([written(tmp_path / "sys.toml", "")], Manifests([tmp_path]))
    assert caught.value.mistakes == (f"{manifest}: application.args: must be a list, not 5",)


def test_a_configuration_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """In one line with the name of the file, as it was given."""
    wrong = written(tmp_path / "wrong.toml", "[kernel]\nwait = \n")
    for file, text in [
        (tmp_path / "none.toml", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (wrong, "Invalid value (at line 2, column 8)"),
    ]:
        with pytest.raises(ConfigError) as caught:
            read_config([file], Manifests())
        assert caught.value.mistakes == (f"{file}: {text}",)


@row("APP-028")
@row("APP-023")
def test_of_several_files_the_later_ones_count_key_by_key(tmp_path: Path) -> None:
    """A value that is a list or a table is replaced as a whole; what only an earlier file says stays."""
    application(tmp_path / "shop")
    first = written(
        tmp_path / "first.toml",
        "[kernel]\nnet_tick_time = 1.0\nsync_nodes_optional = ['a@h', 'b@h']\nsync_nodes_timeout = 1.0\n"
        "[shop]\ngreeting = 'hi'\nprices = { tea = 1, rum = 2 }\n",
    )
    second = written(
        tmp_path / "second.toml",
        "[kernel]\nnet_tick_time = 2.0\nsync_nodes_optional = ['c@h']\n[shop]\nprices = { tea = 3 }\n",
    )
    config = read_config([first, second], Manifests([tmp_path]))
    assert (config.net_tick_time, config.sync_nodes_timeout, config.sync_nodes_optional) == (2.0, 1.0, ("c@h",))
    assert dict(config.env["shop"]) == {"greeting": "hi", "prices": {"tea": 3}}
    assert read_config([second, first], Manifests([tmp_path])).net_tick_time == 1.0


@row("APP-023")
def test_a_single_setting_counts_more_than_the_files_before_it(tmp_path: Path) -> None:
    """As the command line gives it: it names its table, and is TOML; what is wrong about it is told like all else."""
    application(tmp_path / "shop")
    file = written(tmp_path / "sys.toml", "[kernel]\nnet_tick_time = 1.0\n[shop]\ngreeting = 'hi'\nfloor = 1\n")
    settings = [Setting("shop.greeting = 'ho'"), Setting("kernel.net_tick_time=2.0")]
    config = read_config([file, *settings], Manifests([tmp_path]))
    assert (config.net_tick_time, dict(config.env["shop"])) == (2.0, {"greeting": "ho", "floor": 1})
    with pytest.raises(ConfigError) as caught:
        read_config([file, Setting("kernel.wait=1"), Setting("shop.greeting=ho")], Manifests([tmp_path]))
    known, form = sorted(caught.value.mistakes, key=lambda mistake: "TOML" in mistake)
    assert known.startswith("--set kernel.wait=1: kernel.wait: unknown key")
    assert form.startswith("--set shop.greeting=ho: Invalid value")


@row("APP-028", translated="`include`, a list; what a file says itself counts before what it includes")
def test_a_file_may_include_others_by_their_place_from_its_own(tmp_path: Path) -> None:
    """In their order, before what it says itself; and those may include others."""
    (tmp_path / "parts").mkdir()
    written(tmp_path / "parts" / "ticks.toml", "include = ['deep.toml']\n[kernel]\nnet_tick_time = 1.0\n")
    written(tmp_path / "parts" / "deep.toml", "[kernel]\nnet_tick_time = 2.0\nshutdown_timeout = 2.0\n")
    written(tmp_path / "more.toml", "[kernel]\nsync_nodes_timeout = 3.0\nshutdown_timeout = 3.0\n")
    file = written(
        tmp_path / "sys.toml",
        f"include = ['parts/ticks.toml', '{tmp_path}/more.toml']\n[kernel]\nsync_nodes_timeout = 4.0\n",
    )
    expected = NodeConfig(net_tick_time=1.0, shutdown_timeout=3.0, sync_nodes_timeout=4.0)
    assert read_config([file], Manifests()) == expected
    assert read_config([os.path.relpath(file)], Manifests()) == expected


def test_one_file_may_be_included_in_several(tmp_path: Path) -> None:
    """Only a circle is a mistake."""
    written(tmp_path / "base.toml", "[kernel]\nnet_tick_time = 1.0\n")
    one, two = (written(tmp_path / f"{name}.toml", "include = ['base.toml']\n") for name in ("one", "two"))
    assert read_config([one, two], Manifests()).net_tick_time == 1.0


def test_an_included_file_may_stand_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where secrets are kept, as a cookie file may be."""
    monkeypatch.setenv("HOME", str(tmp_path))
    written(tmp_path / "mine.toml", "[kernel]\nnet_tick_time = 1.0\n")
    (tmp_path / "config").mkdir()
    file = written(tmp_path / "config" / "sys.toml", "include = ['~/mine.toml']\n")
    assert read_config([file], Manifests()).net_tick_time == 1.0


@row("APP-028")
def test_a_file_may_be_a_descriptor(tmp_path: Path) -> None:
    """By the name that the system has for it, here a pipe."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        pipe.write("[kernel]\nnet_tick_time = 1.0\n")
    try:
        assert read_config([f"/dev/fd/{reading}"], Manifests()).net_tick_time == 1.0
    finally:
        os.close(reading)


@row("APP-028")
def test_each_mistake_is_told_with_the_file_it_is_in(tmp_path: Path) -> None:
    """All of them together: those of the files, of what they say, and of what they say between them."""
    one = written(
        tmp_path / "one.toml",
        "include = ['none.toml', 'part.toml']\n[kernel]\nnet_tick_time = -1\nsync_nodes_mandatory = ['a@h']\n",
    )
    part = written(tmp_path / "part.toml", "include = 5\n[nod]\n[kernel]\nshutdown_timeout = -1\n")
    two = written(tmp_path / "two.toml", "[kernel]\nsync_nodes_optional = ['b@h', 'a@h']\nnet_tick = 1\n")
    broken = written(tmp_path / "broken.toml", "[kernel\n")
    with pytest.raises(ConfigError) as caught:
        read_config([one, two, broken], Manifests())
    assert sorted(text.partition("; known are")[0] for text in caught.value.mistakes) == sorted(
        [
            f"{tmp_path}/none.toml: No such file or directory",
            f"{part}: include: must be a list, not 5",
            f"{broken}: Expected ']' at the end of a table declaration (at line 1, column 8)",
            f"{two}: kernel.net_tick: unknown key, did you mean 'net_tick_time'?",
            f"{two}: kernel.sync_nodes_optional[1]: 'a@h' is listed twice, first at kernel.sync_nodes_mandatory[0]",
            f"{one}: kernel.net_tick_time: must be seconds, at least 0.1, not -1",
            f"{part}: kernel.shutdown_timeout: must be seconds, at least 0, or inf, not -1",
            f"{part}: nod: neither a table of the node nor an application to be found, did you mean 'node'?",
        ]
    )


def test_a_circle_of_files_is_a_mistake(tmp_path: Path) -> None:
    """Not a node that reads for ever."""
    written(tmp_path / "a.toml", "include = ['b.toml']\n")
    written(tmp_path / "b.toml", "include = ['a.toml']\n")
    with pytest.raises(ConfigError) as caught:
        read_config([tmp_path / "a.toml"], Manifests())
    assert caught.value.mistakes == (f"{tmp_path}/a.toml: includes itself, directly or through others",)


def test_a_node_takes_one_file_several_or_none(tmp_path: Path) -> None:
    """A text is one, as a path is."""
    assert files_of(None) == files_of(NodeConfig()) == files_of([]) == ()
    assert files_of("a.toml") == ("a.toml",)
    assert files_of(tmp_path) == (tmp_path,)
    assert files_of([tmp_path, "a.toml"]) == (tmp_path, "a.toml")
    assert Node(config=[]).config == NodeConfig()


@row("APP-027")
async def test_all_files_are_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also those that others include."""
    application(tmp_path / "shop")
    first = written(tmp_path / "first.toml", "[shop]\nx = 1\n")
    second = written(tmp_path / "second.toml", "include = ['part.toml']\n[shop]\ny = 1\n")
    written(tmp_path / "part.toml", "[shop]\nz = 1\n")
    async with Node(config=[first, second], path=[tmp_path]):
        await applications.start("shop")
        written(tmp_path / "part.toml", "[shop]\nz = 2\n[kernel]\nnet_tick_time = 1.0\n")
        written(first, "[shop]\nx = 2\n")
        with caplog.at_level(logging.WARNING):
            assert await applications.reload_config() == []
        assert [applications.get_env("shop", key) for key in "xyz"] == [2, 1, 2]
        assert f"{first}, {second}: what has changed under [node] and [kernel] waits" in caplog.text
