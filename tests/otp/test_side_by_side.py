"""regrow and Erlang/OTP play the same scenarios, and the same happens: starts, ends with their reasons, replies,
`Exit` and `Down`, in order.

What is left out of the scenarios, because regrow departs from OTP there, stands in docs/semantics.md: the kill of a
supervisor (its children end first), and restart windows within which time matters.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from . import side
from .erlang import Erlang, erlang
from .scenario import Scenario, scenarios

TRIES = 5  # before 26, OTP tells of a failed start before its process is gone: rarely, the two come the other way


@pytest.fixture(scope="module")
def otp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erlang]:
    with erlang(tmp_path_factory.mktemp("erlang")) as program:
        yield program


@pytest.mark.timeout(0)  # as long as it takes to play as many as were asked for
def test_the_same_happens_as_in_otp(otp: Erlang, pytestconfig: pytest.Config, caplog: pytest.LogCaptureFixture) -> None:
    """A difference shrinks to a short scenario: it is a bug of ours, or one of the departures in semantics.md."""

    @settings(
        max_examples=pytestconfig.getoption("--otp-scenarios"),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        print_blob=True,
    )
    @given(scenarios())
    def agree(scenario: Scenario) -> None:
        caplog.clear()
        ours = {backend: side.play(scenario, backend) for backend in ("asyncio", "trio")}
        assert ours["asyncio"] == ours["trio"]
        theirs: list[str] = []
        for _ in range(TRIES):
            theirs = otp.play(scenario)
            if theirs == ours["trio"]:
                return
        difference = difflib.unified_diff(theirs, ours["trio"], "OTP", "regrow", lineterm="", n=100)
        pytest.fail("\n".join(difference), pytrace=False)

    agree()
