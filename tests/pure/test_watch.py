"""What a watch concludes about a loop: never too early, once for each block, and without waking one that sleeps."""

from __future__ import annotations

import pytest
from exhaustive import Exhaustive

from regrow._pure.watch import (
    Ask,
    AtRest,
    Awaiting,
    Blocked,
    Look,
    Report,
    ReportEnd,
    counted,
    look,
)

LIMIT_S = 0.5


def seen(passed_s: float = 0.125, sign_s: float | None = None, *, asleep: bool = False) -> Look:
    return Look(passed_s, sign_s, asleep)


def test_a_loop_that_sleeps_is_left_alone() -> None:
    """An idle node is not woken to ask it how it is."""
    assert look(AtRest(), seen(asleep=True), LIMIT_S) == (AtRest(), ())
    assert look(Awaiting(0.25), seen(sign_s=0.0, asleep=True), LIMIT_S) == (AtRest(), ())


def test_a_loop_that_works_is_asked_again_and_again() -> None:
    """Each sign answers one question."""
    assert look(AtRest(), seen(), LIMIT_S) == (Awaiting(0.0), (Ask(),))
    assert look(Awaiting(0.25), seen(sign_s=0.0), LIMIT_S) == (Awaiting(0.0), (Ask(),))


def test_a_sign_that_does_not_come_within_the_limit_is_reported_once() -> None:
    """However long it lasts then; and its end, with the whole time."""
    assert look(Awaiting(0.25), seen(), LIMIT_S) == (Awaiting(0.375), ())
    assert look(Awaiting(0.375), seen(), LIMIT_S) == (Blocked(0.5), (Report(0.5),))
    assert look(Blocked(0.5), seen(), LIMIT_S) == (Blocked(0.625), ())
    assert look(Blocked(0.625), seen(sign_s=0.0625, asleep=True), LIMIT_S) == (AtRest(), (ReportEnd(0.6875),))
    assert look(Blocked(0.625), seen(sign_s=0.0625), LIMIT_S) == (Awaiting(0.0), (ReportEnd(0.6875), Ask()))


def test_who_kept_the_watch_from_looking_for_so_long_blocks_the_loop_as_well() -> None:
    """As code does that keeps the interpreter to itself. One that is over, and the loop asleep again, is not seen."""
    assert look(AtRest(), seen(0.5), LIMIT_S) == (Blocked(0.5), (Report(0.5), Ask()))
    assert look(Awaiting(0.25), seen(0.75, 0.25), LIMIT_S) == (Blocked(0.5), (Report(0.5), Ask()))
    assert look(Blocked(1.0), seen(0.75, 0.25), LIMIT_S) == (Blocked(0.5), (ReportEnd(1.25), Report(0.5), Ask()))
    assert look(AtRest(), seen(0.5, asleep=True), LIMIT_S) == (AtRest(), ())


@pytest.mark.parametrize(
    ("elapsed_s", "cpu_s", "counts_s"),
    [
        (0.1, 0.0, 0.1),  # in time, the loop's thread sleeping
        (0.15, 0.15, 0.15),  # a little late
        (9.0, 0.0, 0.2),  # stopped, and continued
        (9.0, 0.05, 0.2),  # the same, and it did something before
        (9.0, 3.0, 3.0),  # it kept the interpreter to itself, on a busy machine
    ],
)
def test_time_in_which_nobody_could_run_does_not_count(elapsed_s: float, cpu_s: float, counts_s: float) -> None:
    """A suspended OS process has blocked nothing."""
    assert counted(elapsed_s, cpu_s, pace_s=0.1) == counts_s


def test_whatever_is_seen_a_report_is_never_early_and_has_one_end() -> None:
    """All sequences of seven looks."""
    for _ in (every := Exhaustive()).runs():
        state: AtRest | Awaiting | Blocked = AtRest()
        owed, waited_s, reported = False, 0.0, False
        for _ in range(7):
            sign_s = every.choose([None, 0.0]) if owed else None
            this = seen(0.25, sign_s, asleep=every.choose([False, True]) if sign_s is not None or not owed else False)
            waited_s += 0.25
            state, actions = look(state, this, LIMIT_S)
            if sign_s is not None:
                assert (ReportEnd(waited_s - 0.25) in actions) == reported
                owed = reported = False
            for action in actions:
                match action:
                    case Ask():
                        assert not owed
                        assert not this.asleep
                        owed, waited_s = True, 0.0
                    case Report(blocked_s):
                        assert owed
                        assert not reported
                        assert blocked_s == waited_s >= LIMIT_S
                        reported = True
                    case ReportEnd():
                        assert sign_s is not None
            assert isinstance(state, Blocked) == reported
