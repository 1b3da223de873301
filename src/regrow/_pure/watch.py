"""Whether an event loop turns: what a watch concludes from the signs of life that it asks for.

It looks from time to time. If the loop is not asleep it asks it for a sign; one that does not come for as long as
the limit means that something blocks the loop, from before the watch asked until the sign comes.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

import attrs

LOOKS = 5  # within the limit
SLACK = 2.0  # a look may be as many times late, as on a busy machine, before the time counts as lost


@attrs.frozen
class AtRest:
    """The loop turned or slept at the last look, and owes no sign."""


@attrs.frozen
class Awaiting:
    """It owes a sign for so long."""

    waited_s: float = 0.0


@attrs.frozen
class Blocked:
    """It owes a sign for longer than the limit, and that was reported."""

    waited_s: float


State: TypeAlias = AtRest | Awaiting | Blocked


@attrs.frozen
class Ask:
    """Ask the loop for a sign of life."""


@attrs.frozen
class Report:
    """Something blocks the loop for so long already."""

    blocked_s: float


@attrs.frozen
class ReportEnd:
    """What blocked the loop does so no more; it did for so long."""

    blocked_s: float


Action: TypeAlias = Ask | Report | ReportEnd


@attrs.frozen
class Look:
    """What is seen at one look."""

    passed_s: float
    """Since the look before; see `counted`."""
    sign_s: float | None
    """How much of that had passed when the sign came that was owed; `None` if it has not."""
    asleep: bool
    """Whether the loop waits for something to happen."""


def look(state: State, seen: Look, limit_s: float) -> tuple[State, tuple[Action, ...]]:
    """What to make of a look at the loop."""
    match state:
        case AtRest():
            return _turns(seen, limit_s)
        case Awaiting() if seen.sign_s is not None:
            return _turns(seen, limit_s)
        case Awaiting(waited_s):
            waited_s += seen.passed_s
            return (Blocked(waited_s), (Report(waited_s),)) if waited_s >= limit_s else (Awaiting(waited_s), ())
        case Blocked(waited_s):
            if seen.sign_s is None:
                return Blocked(waited_s + seen.passed_s), ()
            state, actions = _turns(seen, limit_s)
            return state, (ReportEnd(waited_s + seen.sign_s), *actions)
        case _:
            assert_never(state)


def _turns(seen: Look, limit_s: float) -> tuple[State, tuple[Action, ...]]:
    """It owes no sign, or has given it."""
    if seen.asleep:
        return AtRest(), ()  # not woken for this
    since_s = seen.passed_s - (seen.sign_s or 0.0)
    if since_s >= limit_s:  # what kept the interpreter to itself kept the watch from looking as well
        return Blocked(since_s), (Report(since_s), Ask())
    return Awaiting(), (Ask(),)


def counted(elapsed_s: float, cpu_s: float, pace_s: float) -> float:
    """How much of the time since the last look counts.

    A look that comes far too late tells that the watch itself was held up. What the loop's thread computed meanwhile
    counts all the same: it kept the interpreter to itself. Otherwise the OS process was stopped, or the machine
    was, and that is the fault of nobody in here.
    """
    return min(elapsed_s, max(SLACK * pace_s, cpu_s))
