"""What is asked of Erlang/OTP itself: only where it is installed."""

from __future__ import annotations

import pytest

from .erlang import INSTALLED

collect_ignore = [] if INSTALLED else ["test_side_by_side.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not INSTALLED:
        terminalreporter.write_line("without Erlang/OTP (no erl on the path), nothing was played side by side with it")
