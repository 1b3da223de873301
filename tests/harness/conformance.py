"""A pytest plugin: what tests say about rows of the catalogue becomes docs/conformance.md."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from .page import contradictions, gather, render
from .rows import catalogue

PAGE = Path("docs/conformance.md")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--conformance-write", action="store_true", help="write docs/conformance.md; needs the whole suite")
    group.addoption("--conformance-page", type=Path, default=PAGE, help="write it to this file instead")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row(*ids, translated=None, deviation=None): set by tests.harness.row")
    if config.getoption("--conformance-write"):
        config.pluginmanager.register(PageWriter(config), "conformance-writer")


class PageWriter:
    """Writes the page when the tests are known, and once more if some of them failed."""

    def __init__(self, config: pytest.Config) -> None:
        self._path = config.rootpath / config.getoption("--conformance-page")
        self._items: list[pytest.Item] = []
        self._failed: list[str] = []
        selected = config.option.keyword or config.option.markexpr
        if selected or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
            raise pytest.UsageError("--conformance-write needs the whole suite")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._items = list(session.items)
        wrong = contradictions(catalogue(), gather(self._items))
        if wrong:
            raise pytest.UsageError("\n".join(wrong))
        if not session.testsfailed:
            self._write()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            self._failed.append(item.nodeid)
        return report

    def pytest_sessionfinish(self) -> None:
        if self._failed:
            self._write()

    def _write(self) -> None:
        self._path.write_text(render(catalogue(), gather(self._items, self._failed)), encoding="utf-8")
