"""Reading manifests: what each key gives, and every mistake in its place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow._pure.manifest import Manifest, ManifestError, manifest_name, parse_manifest

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"^```toml\n(\[application\]\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def parsed(**keys: Any) -> Manifest:
    return parse_manifest({"application": {"name": "shop", **keys}}, "application.toml")


def mistakes(**keys: Any) -> list[str]:
    """What is wrong with a table, without the places that are the same for all."""
    return document_mistakes({"application": {"name": "shop", **keys}}, "application.toml: application.")


def document_mistakes(document: dict[str, Any], begin: str = "application.toml: ") -> list[str]:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(document, "application.toml")
    found = list(caught.value.mistakes)
    assert str(caught.value) == "\n".join(found)
    assert all(mistake.startswith(begin) for mistake in found)
    return [mistake.removeprefix(begin) for mistake in found]


def test_the_example_of_the_documentation_has_every_key() -> None:
    """Who copies it has seen all there is."""
    document = tomllib.loads(EXAMPLE)
    assert set(document["application"]) == {field.name for field in attrs.fields(Manifest)}
    assert parse_manifest(document, "docs") == Manifest(
        name="job_center",
        description="A simple job management service",
        version="0.1.0",
        module="job_center.app:JobCenter",
        args=(),
        registered=("job_center_sup", "job_center_serv"),
        applications=("metrics", "store"),
        optional_applications=("metrics",),
        included_applications=("job_history",),
        start_phases=(("warm_up", None), ("open", {"port": 8080})),
        portable=("job_center.jobs",),
        env={"greeting": "hello"},
    )


def test_the_documentation_describes_every_key() -> None:
    """No key that only the code knows, and none that only the page knows."""
    section = PAGE[PAGE.index("## The manifest") : PAGE.index("### Where manifests")]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == [field.name for field in attrs.fields(Manifest)]


def test_everything_but_the_name_has_a_default() -> None:
    """A library application is one line."""
    manifest = parsed()
    assert manifest == Manifest("shop", "", "", None, (), (), (), (), (), (), (), {})


def test_values_keep_their_form() -> None:
    """Arguments and environment are the application's own business, whatever they hold."""
    odd = [1, [2.5, {"x": [True]}], "s"]
    manifest = parsed(args=odd, env={"odd": odd, "a.b": 1})
    assert manifest.args == tuple(odd)
    assert dict(manifest.env) == {"odd": odd, "a.b": 1}


def test_a_manifest_cannot_be_changed_by_who_gave_or_got_it() -> None:
    """Every instance of the application starts from what the file says."""
    env: dict[str, object] = {"greeting": "hello"}
    manifest = parsed(env=env)
    env["greeting"] = "bonjour"
    assert dict(manifest.env) == {"greeting": "hello"}
    with pytest.raises(TypeError):
        manifest.env["greeting"] = "hallo"  # type: ignore[index]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        manifest.name = "other"  # type: ignore[misc]


def test_start_phases_are_names_or_pairs() -> None:
    """The argument may be anything, a list as in OTP for example."""
    phases = parsed(start_phases=["init", ["go", [1]], ["stay", {}], ["end", "now"]]).start_phases
    assert phases == (("init", None), ("go", [1]), ("stay", {}), ("end", "now"))


@pytest.mark.parametrize("name", ["shop", "_shop", "shop-2", "my.shop", "Läden"])
def test_these_names_are_fine(name: str) -> None:
    """What can be typed in a command and written as a table."""
    assert parse_manifest({"application": {"name": name}}, "x").name == name


@pytest.mark.parametrize("name", ["", "2shop", "-", "my shop", "shop\n", "a/b", 7, None, ["shop"], True])
def test_other_names_are_refused(name: object) -> None:
    """An application must be typed by people."""
    assert mistakes(name=name) == [f"name: must be a name, not {name!r}"]


@pytest.mark.parametrize("name", ["node", "kernel"])
def test_the_names_of_the_tables_of_the_configuration_are_taken(name: str) -> None:
    """Such an application could not be configured."""
    assert mistakes(name=name) == [f"name: {name!r} is taken by a table of the node configuration"]


WRONG: dict[str, list[Any]] = {
    "description": [1, None, ["text"]],
    "version": [1.0, 3],
    "module": ["", "job_center", "job_center.app", "a:", ":B", "a:B.C", "a..b:C", "1a:B", "a:B:C", "a b:C", 7],
    "args": ["x", {}, 1],
    "registered": ["x", {}, None],
    "applications": ["x", {"x": 1}],
    "optional_applications": ["x"],
    "included_applications": [1],
    "start_phases": ["init", {"init": []}],
    "portable": ["job_center.jobs"],
    "env": [[], "x", [["a", 1]]],
}


@pytest.mark.parametrize(("key", "wrong"), [(key, wrong) for key, values in WRONG.items() for wrong in values])
def test_a_wrong_type_is_named_with_its_place(key: str, wrong: Any) -> None:
    """One mistake, which says what belongs there and what was found."""
    [mistake] = mistakes(**{key: wrong})
    assert re.fullmatch(
        rf"{key}: must be (a string|a list|a table|of the form 'package.module:Class'), not .+", mistake
    )
    assert mistake.endswith(f", not {wrong!r}")


PHASE = "must be a name, or a list of a name and an argument"


@pytest.mark.parametrize(
    ("key", "entries", "expected"),
    [
        ("registered", ["a", "", 1], ["registered[1]: must be a name, not ''", "registered[2]: must be a name, not 1"]),
        ("registered", ["a", "b", "a"], ["registered[2]: 'a' is listed twice, first at application.registered[0]"]),
        ("applications", [["b"]], ["applications[0]: must be the name of an application, not ['b']"]),
        ("included_applications", [{}], ["included_applications[0]: must be the name of an application, not {}"]),
        ("portable", ["a.b", "a-b"], ["portable[1]: must be the name of a module, not 'a-b'"]),
        ("portable", ["a."], ["portable[0]: must be the name of a module, not 'a.'"]),
        ("portable", [""], ["portable[0]: must be the name of a module, not ''"]),
        *[
            ("start_phases", ["ok", x], [f"start_phases[1]: {PHASE}, not {x!r}"])
            for x in ([], ["a"], ["a", 1, 2], [1, "a"], ["", 1], "", 5, {"a": 1})
        ],
    ],
)  # fmt: skip
def test_a_wrong_entry_of_a_list_is_named_with_its_place(key: str, entries: list[Any], expected: list[str]) -> None:
    """The others of the list are read all the same."""
    assert [mistake.removeprefix("application.") for mistake in mistakes(**{key: entries})] == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"applications": ["shop"]}, "applications: 'shop' cannot need itself"),
        ({"included_applications": ["shop"]}, "included_applications: 'shop' cannot need itself"),
        ({"optional_applications": ["b"]}, "optional_applications: 'b' must be listed in applications as well"),
        (
            {"applications": ["b"], "included_applications": ["b"]},
            "included_applications: 'b' is listed in applications as well",
        ),
    ],
)
def test_lists_that_contradict_each_other_are_refused(keys: dict[str, Any], expected: str) -> None:
    """Each is fine alone, and together they cannot be carried out."""
    assert mistakes(**keys) == [expected]


def test_a_mistake_is_not_told_twice_in_other_words() -> None:
    """What depends on a value that is wrong already is not judged."""
    assert mistakes(applications="b", optional_applications=["b"]) == ["applications: must be a list, not 'b'"]


def test_a_key_nobody_knows_is_named_with_the_one_it_resembles() -> None:
    """It would otherwise mean nothing, silently."""
    assert mistakes(optional_aplications=[]) == [
        "optional_aplications: unknown key, did you mean 'optional_applications'?"
    ]
    [mistake] = mistakes(zzz=1)
    assert mistake.startswith("zzz: unknown key; known are applications, args, description, env, ")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, ["application: is missing"]),
        ({"application": {}}, ["application.name: is missing"]),
        ({"application": []}, ["application: must be a table, not []"]),
        (
            {"aplication": {"name": "a"}},
            ["aplication: unknown key, did you mean 'application'?", "application: is missing"],
        ),
        ({"application": {"name": "a"}, "na me": 1}, ['"na me": unknown key; known are application']),
    ],
)  # fmt: skip
def test_a_manifest_is_one_table_with_a_name(document: dict[str, Any], expected: list[str]) -> None:
    """Whatever else the file may be."""
    assert document_mistakes(document) == expected


def test_all_mistakes_are_reported_at_once() -> None:
    """Nobody should have to start a node once for each."""
    found = mistakes(name=3, modul="x", args=1, applications=["b", 1, "b"], start_phases=[7], env=[])
    assert [mistake.partition(":")[0] for mistake in found] == [
        "modul", "name", "args", "applications[1]", "applications[2]", "start_phases[0]", "env",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", ["x" * 1000, [["x" * 50] * 5] * 100, 16**8000], ids=["text", "lists", "digits"])
def test_a_value_is_shown_in_a_line_of_bearable_length(wrong: object) -> None:
    """It must not hide what is said about it, and a number may have too many digits to be printed at all."""
    [mistake] = mistakes(env=wrong)
    assert mistake.startswith("env: must be a table, not ")
    assert len(mistake) < 200


def test_a_value_too_deep_to_show_is_still_a_mistake() -> None:
    """And not a failure of the one who reports it."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert mistakes(env=deep) == ["env: must be a table, not what is too long to show, of type list"]


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"application": {"name": "shop", "args": 1}}, "shop"),
        ({"application": {"name": ""}}, None),
        ({"application": {"name": 5}}, None),
        ({"application": {}}, None),
        ({"application": "shop"}, None),
        ({}, None),
    ],
)
def test_a_wrong_manifest_may_still_tell_whose_it_is(document: dict[str, Any], name: str | None) -> None:
    """So that only this application is in trouble."""
    assert manifest_name(document) == name


scalars = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.sampled_from(["shop", "b", "a:B"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from([field.name for field in attrs.fields(Manifest)]) | st.text(max_size=8)
tables = st.dictionaries(keys, values, max_size=6) | values
documents = st.dictionaries(st.just("application") | st.text(max_size=5), tables, max_size=2)


def outcome(document: dict[str, Any]) -> Manifest | ManifestError:
    try:
        return parse_manifest(document, "application.toml")
    except ManifestError as error:
        return error


@settings(deadline=None, database=None)
@given(documents)
def test_any_document_is_a_manifest_or_a_list_of_mistakes(document: dict[str, Any]) -> None:
    """Never anything else, whatever people write."""
    result = outcome(document)
    if isinstance(result, ManifestError):
        assert result.mistakes
        assert all(mistake.startswith("application.toml: ") and "\n" not in mistake for mistake in result.mistakes)
    else:
        assert result.name == document["application"]["name"]
