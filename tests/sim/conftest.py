"""How far elections and names are explored."""

from __future__ import annotations

import pytest

DEPTHS = ("short", "full", "long")
NAMES_SEEDS_SHORT = 10_000  # takes a few seconds


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--election-seeds", type=int, default=40, help="random histories of each setting")
    parser.addoption("--names-seeds", type=int, default=500, help="random histories of global names")
    parser.addoption(
        "--election-depth",
        choices=DEPTHS,
        default="short",
        help="how many events an exploration has: as in CI, what takes up to a minute, or what takes longer",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes up to a minute on an idle machine may take longer on a busy one."""
    if config.getoption("--election-depth") != "short" or config.getoption("--names-seeds") > NAMES_SEEDS_SHORT:
        for item in items:
            item.add_marker(pytest.mark.timeout(3600))
