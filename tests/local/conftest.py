"""Handlers of both kinds for the tests of GenServer."""

from __future__ import annotations

import pytest

from .gen_server_kit import with_plain_handlers


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each row of GenServer is shown with handlers of both kinds: plain ones may run in place."""
    rows = [id_ for mark in metafunc.definition.iter_markers("row") for id_ in mark.args]
    if any(id_.startswith("GEN-") for id_ in rows) and "style" not in metafunc.fixturenames:
        metafunc.fixturenames.append("handlers")
        metafunc.parametrize("handlers", ["async_def", "def"], indirect=True)


@pytest.fixture
def handlers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `def`, every handler of a test's servers that has no await is made a plain function."""
    if request.param == "def":
        with_plain_handlers(monkeypatch)
