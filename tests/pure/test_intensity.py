"""The restart intensity: a true sliding window, SUP-048 to SUP-052."""

from __future__ import annotations

import pytest
from exhaustive import Exhaustive

from regrow._pure.intensity import RestartIntensity


def after(window: RestartIntensity, *times: float) -> RestartIntensity:
    for now in times:
        window = window.add(now)
    return window


@pytest.mark.parametrize(
    ("intensity", "restarts", "gives_up"),
    [(0, 1, True), (1, 1, False), (1, 2, True), (3, 3, False), (3, 4, True)],
)
def test_one_restart_more_than_the_intensity_is_too_many(intensity: int, restarts: int, gives_up: bool) -> None:
    """The pairs were measured with OTP; with 0 the first failure is the last."""
    assert after(RestartIntensity(intensity, 5.0), *[0.0] * restarts).exceeded is gives_up


def test_a_restart_exactly_as_old_as_the_period_still_counts() -> None:
    """A restart counts until it is older than the period; the edge belongs to the window, as in OTP."""
    assert after(RestartIntensity(1, 5.0), 10.0, 15.0).exceeded
    assert not after(RestartIntensity(1, 5.0), 10.0, 15.001).exceeded


def test_the_window_slides_in_fractions_of_a_second() -> None:
    """OTP compares whole seconds and would give up on crashes 1.3 s apart with one per second (SUP-051)."""
    assert not after(RestartIntensity(1, 1.0), 0.0, 1.3, 2.6, 3.9).exceeded
    assert after(RestartIntensity(1, 1.0), 0.9, 1.1).exceeded


def test_as_many_restarts_as_allowed_may_go_on_for_ever() -> None:
    """Old restarts are forgotten, in the decision and in memory."""
    window = RestartIntensity(3, 1.0)
    for tick in range(1000):
        window = window.add(tick * 0.35)
        assert not window.exceeded
    assert len(window.stamps) == 3


def test_more_restarts_than_matter_are_not_remembered() -> None:
    """The memory is bounded by the intensity even for a caller that goes on after the limit."""
    window = after(RestartIntensity(2, 100.0), *range(50))
    assert window.stamps == (47.0, 48.0, 49.0)
    assert window.exceeded


def test_what_is_left_comes_back_with_time() -> None:
    """Reports say how much of the budget is left, at the time of the report."""
    window = after(RestartIntensity(3, 5.0), 0.0, 2.0)
    assert [window.left(now) for now in (2.0, 5.0, 5.5, 7.0, 7.5)] == [1, 1, 2, 2, 3]
    assert after(window, 2.0, 2.0).left(2.0) == 0


def test_adding_changes_nothing_but_the_result() -> None:
    """States are values: the old one can be looked at again."""
    before = RestartIntensity(1, 5.0)
    assert before.add(1.0) != before
    assert before.stamps == ()
    assert len({before, before.add(1.0), RestartIntensity(1, 5.0)}) == 2


def test_it_gives_up_exactly_when_the_last_period_held_too_many() -> None:
    """Against the plain definition, for all histories of six restarts with gaps around the period."""
    for _ in (every := Exhaustive()).runs():
        intensity = every.choose([0, 1, 2, 3])
        window, times, now = RestartIntensity(intensity, 1.0), list[float](), 100.0
        for _restart in range(6):
            now += every.choose([0.0, 0.25, 1.0, 1.25])
            times.append(now)
            window = window.add(now)
            recent = [time for time in times if now - time <= 1.0]
            assert window.exceeded is (len(recent) > intensity)
            assert window.left(now) == max(0, intensity - len(recent))
