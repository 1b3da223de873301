"""The documentation is true: its programs run, their output is the one shown, its links lead somewhere."""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BETWEEN = 200  # characters that may stand between a program and what it prints
PARTS = """processes gen_server timers supervisor dynamic_supervisor partition_supervisor applications nodes rpc peer
    distributed""".split()
NAMES = "| regrow | OTP | Elixir |"


@attrs.frozen
class Program:
    """A ```python block that has a `main`, and the ```text block right after it, if there is one."""

    page: Path
    place: str
    code: str
    output: str | None


def blocks(page: Path) -> Iterator[tuple[re.Match[str], str, str]]:
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        yield match, match.group(1), match.group(2)


def snippets() -> Iterator[Any]:
    """All ```python blocks."""
    for page in PAGES:
        for number, (_, language, code) in enumerate(blocks(page), 1):
            if language == "python":
                yield pytest.param(code, id=f"{page.relative_to(ROOT)}-{number}")


def programs() -> Iterator[Any]:
    for page in PAGES:
        found = list(blocks(page))
        for number, (match, language, code) in enumerate(found, 1):
            if language != "python" or "async def main(" not in code:
                continue
            after = found[number] if number < len(found) else None
            shown = after is not None and after[1] == "text" and after[0].start() - match.end() < BETWEEN
            place = f"{page.relative_to(ROOT)}-{number}"
            yield pytest.param(Program(page, place, code, after[2] if after is not None and shown else None), id=place)


@pytest.mark.parametrize("code", list(snippets()))
def test_a_snippet_is_python(code: str) -> None:
    """Fragments may await, return and leave out what is clear; they may not be wrong in form."""
    compile(code, "<snippet>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)


@pytest.mark.parametrize("program", list(programs()))
async def test_a_program_runs_and_prints_what_the_page_shows(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who copies it from the page gets the same, on either loop, with what lies beside the page on the path."""
    monkeypatch.syspath_prepend(program.page.parent)
    module = ModuleType("documentation")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # a program may name its own module
    exec(compile(program.code, program.place, "exec"), vars(module))
    printed = io.StringIO()
    with redirect_stdout(printed):
        await vars(module)["main"]()
    assert program.output is None or printed.getvalue() == program.output


@pytest.mark.parametrize("name", PARTS)
def test_the_page_of_a_part_has_a_program_and_its_names_elsewhere(name: str) -> None:
    """One can try it, and who knows OTP or Elixir finds what they know."""
    page = ROOT / "docs" / f"{name}.md"
    assert [code for _, language, code in blocks(page) if language == "python" and "async def main(" in code]
    assert NAMES in page.read_text(encoding="utf-8")


def test_the_readme_leads_to_every_page() -> None:
    """To the pages of the parts in the order in which one learns them."""
    links = LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= set(links)
    parts = [f"docs/{name}.md" for name in PARTS]
    assert [link for link in links if link in parts] == parts


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_a_link_leads_somewhere(page: Path) -> None:
    """To a file that is there, and in it to a heading that is there."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [link for link in LINK.findall(prose) if "://" not in link]
    assert not [link for link in targets if not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    file, _, heading = link.partition("#")
    target = page if not file else page.parent / file
    return target.exists() and (not heading or heading in anchors(target))


def anchors(page: Path) -> set[str]:
    """The anchors that a renderer makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
