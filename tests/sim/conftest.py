"""How far the elections are explored."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--election-seeds", type=int, default=40, help="random histories of each setting")
