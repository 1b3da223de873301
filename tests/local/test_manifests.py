"""Finding applications in directories and in what is installed, and reading a node's configuration."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow import ApplicationError
from regrow._pure.manifest import ManifestError
from regrow.manifests import Manifests
from regrow.reasons import Crash, Custom


@pytest.fixture(autouse=True)
def _path_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a path makes importable is so for good; here it ends with the test."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def application(folder: Path, name: str, **keys: str) -> Path:
    """Put a manifest into a folder; values are written in TOML."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["[application]", f'name = "{name}"', *(f"{key} = {value}" for key, value in keys.items())]
    return written(folder / "application.toml", "\n".join(lines))


def written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def installed(site: Path, *points: str, name: str = "shopping") -> None:
    """A distribution, as an installer leaves it, in a directory that is made importable."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    written(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    written(info / "entry_points.txt", "\n".join(["[regrow.applications]", *points]))
    if str(site) not in sys.path:
        sys.path.insert(0, str(site))


def refusal(manifests: Manifests, name: str) -> str:
    with pytest.raises(ApplicationError) as caught:
        manifests.find(name)
    assert caught.value.application == name
    return str(caught.value.reason)


def wrong(manifests: Manifests, name: str) -> tuple[str, ...]:
    """The mistakes that come with the refusal of an application."""
    with pytest.raises(ApplicationError) as caught:
        manifests.find(name)
    reason = caught.value.reason
    assert isinstance(reason, Crash)
    assert isinstance(reason.exception, ManifestError)
    assert caught.value.__cause__ is reason.exception
    return reason.exception.mistakes


def test_a_manifest_lies_in_a_directory_or_in_a_folder_of_it(tmp_path: Path) -> None:
    """But no deeper: a path is not a search of the disk."""
    application(tmp_path, "top")
    application(tmp_path / "shop", "shop", version='"1.2"')
    application(tmp_path / "shop" / "inner", "inner")
    written(tmp_path / "shop" / "other.toml", "x = ")
    manifests = Manifests([tmp_path])
    assert manifests.names() == ("top", "shop")
    assert manifests.find("shop").version == "1.2"
    assert manifests.find_or_none("inner") is None
    assert manifests.mistakes() == ()


def test_the_folder_may_be_named_otherwise(tmp_path: Path) -> None:
    """The manifest says what the application is called."""
    application(tmp_path / "folder", "shop")
    assert Manifests([str(tmp_path)]).find("shop").name == "shop"


def test_directories_become_importable_the_first_before_the_others(tmp_path: Path) -> None:
    """So that the code is of the same place as the manifest, where two places have both."""
    for place in ("one", "two"):
        package = tmp_path / place / "regrow_test_shop"
        application(package, "shop", version=f'"{place}"')
        written(package / "__init__.py", f"place = {place!r}")
    manifests = Manifests([tmp_path / "one", tmp_path / "two"])
    assert sys.path[:2] == [str(tmp_path / "one"), str(tmp_path / "two")]
    assert manifests.find("shop").version == "one"
    assert importlib.import_module("regrow_test_shop").place == "one"
    Manifests([tmp_path / "two"])
    assert sys.path.count(str(tmp_path / "two")) == 1


def test_a_relative_directory_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the process makes its working directory later."""
    application(tmp_path / "apps" / "shop", "shop")
    monkeypatch.chdir(tmp_path)
    manifests = Manifests(["apps"])
    monkeypatch.chdir("/")
    assert manifests.find("shop").name == "shop"
    assert sys.path[0] == str(tmp_path / "apps")


def test_a_single_directory_is_no_path() -> None:
    """A string is a sequence of strings as well, and nobody means its letters."""
    for single in ("apps", Path("apps")):
        with pytest.raises(TypeError, match="must be a list of directories"):
            Manifests(single)  # type: ignore[arg-type]


def test_what_cannot_be_found_is_refused_with_the_places_searched(tmp_path: Path) -> None:
    """A path that was misspelt shows."""
    missing = tmp_path / "missing"
    manifests = Manifests([tmp_path, missing])
    text = f"no such application; looked in {tmp_path}, {missing} (no directory), what is installed"
    assert refusal(manifests, "shop") == text
    assert manifests.find_or_none("shop") is None
    assert refusal(Manifests(), "shop") == "no such application; looked in what is installed"
    with pytest.raises(ApplicationError) as caught:
        manifests.find("shop")
    assert isinstance(caught.value.reason, Custom)


def test_of_two_of_one_name_the_first_on_the_path_counts(tmp_path: Path) -> None:
    """As with modules, so that one can stand in for another, even for one that is wrong."""
    application(tmp_path / "one" / "shop", "shop", version='"1"')
    application(tmp_path / "two" / "shop", "shop", version="2")
    manifests = Manifests([tmp_path / "one", tmp_path / "two"])
    assert manifests.find("shop").version == "1"
    assert manifests.names() == ("shop",)
    assert wrong(Manifests([tmp_path / "two", tmp_path / "one"]), "shop") == (
        f"{tmp_path}/two/shop/application.toml: application.version: must be a string, not 2",
    )


def test_two_of_one_name_in_one_directory_are_a_mistake(tmp_path: Path) -> None:
    """Which of them is meant nobody could tell; a copy was forgotten, probably."""
    first = application(tmp_path / "shop", "shop")
    second = application(tmp_path / "shop-copy", "shop")
    application(tmp_path / "bank", "bank")
    manifests = Manifests([tmp_path])
    expected = (f"{second}: application.name: 'shop' is the name of {first} too",)
    assert wrong(manifests, "shop") == expected
    assert manifests.mistakes() == expected
    assert manifests.find("bank").name == "bank"


def test_one_file_that_is_found_twice_is_one(tmp_path: Path) -> None:
    """Through a directory and through the folder itself, through a link, as installed: its mistakes count once."""
    application(tmp_path / "bank", "bank")
    file = application(tmp_path / "shop", "shop", args="5")
    os.symlink(tmp_path / "shop", tmp_path / "alias")
    os.symlink(tmp_path / "bank", tmp_path / "other")
    installed(tmp_path, "shop = shop", "also = shop")
    expected = (f"{file}: application.args: must be a list, not 5",)
    for path in ([tmp_path, tmp_path / "shop", tmp_path], []):
        manifests = Manifests(path)
        assert manifests.mistakes() == expected
        assert wrong(manifests, "shop") == expected
    assert Manifests([tmp_path]).find("bank").name == "bank"


def test_a_wrong_manifest_is_refused_with_all_its_mistakes(tmp_path: Path) -> None:
    """And only that one: another application is none the worse for it."""
    file = application(tmp_path / "shop", "shop", versoin='"1"', args="5")
    application(tmp_path / "bank", "bank")
    manifests = Manifests([tmp_path])
    assert wrong(manifests, "shop") == (
        f"{file}: application.versoin: unknown key, did you mean 'version'?",
        f"{file}: application.args: must be a list, not 5",
    )
    with pytest.raises(ApplicationError):
        manifests.find_or_none("shop")
    assert manifests.find("bank").name == "bank"
    assert manifests.names() == ("bank", "shop")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[application]\nname = shop\n", r"Invalid value \(at line 2, column 8\)"),
        (b"[application\n", r"Expected ']' at the end of a table declaration \(at line 1, column 13\)"),
        (b"name = '\xff'\n", "not UTF-8, as TOML must be: .*"),
        (b"n = " + b"9" * 5000, "Exceeds the limit .*"),
        (b"n = " + b"[" * 5000, "lists or tables too deep in each other"),
        (b"", "application: is missing"),
    ],
    ids=["value", "table", "bytes", "digits", "depth", "empty"],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, content: bytes, expected: str) -> None:
    """By line and column where TOML tells."""
    (tmp_path / "shop").mkdir()
    file = tmp_path / "shop" / "application.toml"
    file.write_bytes(content)
    application(tmp_path / "bank", "bank")
    manifests = Manifests([tmp_path])
    [mistake] = manifests.mistakes()
    begin = f"{file}: "
    assert mistake.startswith(begin)
    assert re.fullmatch(expected, mistake.removeprefix(begin))
    assert wrong(manifests, "shop") == (mistake,), "it may be the one that is looked for"
    assert manifests.find("bank").name == "bank"


def test_a_manifest_that_has_changed_is_read_again(tmp_path: Path) -> None:
    """An application can be replaced by a newer one while its node runs; and one that has not changed is the same."""
    file = application(tmp_path / "shop", "shop", version='"1"')
    manifests = Manifests([tmp_path])
    before = manifests.find("shop")
    assert manifests.find("shop") is before
    application(tmp_path / "shop", "shop", version='"1.1"')
    assert manifests.find("shop").version == "1.1"
    file.unlink()
    assert manifests.find_or_none("shop") is None


def test_an_installed_distribution_names_the_package_of_its_manifest(tmp_path: Path) -> None:
    """Nothing has to be on the path, and nothing of the package is run to find the file."""
    application(tmp_path / "regrow_test_shop", "shop")
    application(tmp_path / "regrow_test_pkg" / "bank", "bank")
    for package in ("regrow_test_shop", "regrow_test_pkg"):
        written(tmp_path / package / "__init__.py", "raise RuntimeError('imported')")
    installed(tmp_path, "shop = regrow_test_shop", "bank = regrow_test_pkg.bank")
    manifests = Manifests()
    assert manifests.names() == ("shop", "bank")
    assert manifests.find("bank").name == "bank"
    assert manifests.mistakes() == ()


def test_the_path_counts_before_what_is_installed(tmp_path: Path) -> None:
    """A version under work replaces the installed one; the same file, found both ways, is one."""
    application(tmp_path / "site" / "regrow_test_shop", "shop", version='"installed"')
    application(tmp_path / "apps" / "shop", "shop", version='"mine"')
    installed(tmp_path / "site", "shop = regrow_test_shop")
    manifests = Manifests([tmp_path / "apps"])
    assert manifests.find("shop").version == "mine"
    assert manifests.mistakes() == ()
    assert Manifests().find("shop").version == "installed"
    assert Manifests([tmp_path / "site"]).mistakes() == ()


def test_two_installed_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    """Which distribution comes first is chance."""
    for package in ("regrow_test_one", "regrow_test_two"):
        application(tmp_path / package, "shop")
        installed(tmp_path, f"shop = {package}", name=package)
    [mistake] = wrong(Manifests(), "shop")
    assert "application.name: 'shop' is the name of" in mistake


@pytest.mark.parametrize(
    "value", ["regrow_test_absent", "regrow_test_absent.inner", "json", "sys", ".shop", "__main__", "1"]
)
def test_an_entry_point_without_a_manifest_is_a_mistake(tmp_path: Path, value: str) -> None:
    """Of the application that it names: the others are none the worse for it."""
    application(tmp_path / "bank", "bank")
    installed(tmp_path / "site", f"shop = {value}")
    manifests = Manifests([tmp_path])
    expected = f"entry point shop of regrow.applications: there is no package {value!r} with an application.toml"
    assert wrong(manifests, "shop") == (expected,)
    assert manifests.mistakes() == (expected,)
    assert manifests.find("bank").name == "bank"
