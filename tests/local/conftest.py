"""Options of the tests that can run for longer than a suite wants to."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("soak", "soak of supervision trees (give the file or folder as well: pytest tests/local)")
    group.addoption("--soak-events", type=int, default=None, help="how many events on each loop; with a random seed")
    group.addoption("--soak-seed", type=int, default=None, help="the seed that a failure printed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak-events", None) is not None:
        for item in items:
            item.add_marker(pytest.mark.timeout(0))  # as long as it was asked to
