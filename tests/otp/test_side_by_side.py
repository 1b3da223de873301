"""regrow and Erlang/OTP play the same scenarios, and the same happens: starts, ends with their reasons, replies,
`Exit` and `Down`, in order.

What is left out of the scenarios, because regrow departs from OTP there, stands in docs/semantics.md: signals that a
process sends to itself, exit signals that bear the pid of a supervisor's child, and restart windows within which time
matters. One departure is played all the same: the children of a supervisor that is killed end before it, not after it.
What their order is compared modulo, and why, says compare.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from . import side
from .compare import agree, comparable
from .erlang import Erlang, erlang
from .scenario import Scenario, scenarios

TRIES = 5
"""How often a difference is played. Before 26, OTP tells of a failed start before its process is gone: rarely, the two
come the other way. regrow plays again only where the time of somebody who hangs may have been over too early."""


@pytest.fixture(scope="module")
def otp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erlang]:
    with erlang(tmp_path_factory.mktemp("erlang")) as program:
        yield program


def regrow_plays(scenario: Scenario) -> dict[str, list[str]]:
    return {loop: comparable(scenario, side.play(scenario, loop)) for loop in ("asyncio", "trio")}


def difference(theirs: list[str], ours: list[str], loop: str) -> str:
    return "\n".join(difflib.unified_diff(theirs, ours, "OTP", f"regrow on {loop}", lineterm="", n=100))


@pytest.mark.timeout(0)  # as long as it takes to play as many as were asked for
def test_the_same_happens_as_in_otp(otp: Erlang, pytestconfig: pytest.Config, caplog: pytest.LogCaptureFixture) -> None:
    """A difference shrinks to a short scenario: it is a bug of ours, or one of the departures in semantics.md."""

    @settings(
        max_examples=pytestconfig.getoption("--otp-scenarios"),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        print_blob=True,
        report_multiple_bugs=False,
    )
    @given(scenarios())
    def play(scenario: Scenario) -> None:
        caplog.clear()
        ours = regrow_plays(scenario)
        theirs: list[str] = []
        for _ in range(TRIES):
            theirs = comparable(scenario, otp.play(scenario))
            if all(agree(theirs, trace) for trace in ours.values()):
                return
            if scenario.hurried:
                ours = regrow_plays(scenario)
        pytest.fail("\n".join(difference(theirs, trace, loop) for loop, trace in ours.items()), pytrace=False)

    play()
