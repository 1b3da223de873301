"""What a supervisor does about its children: the decisions, as tables and small functions.

A restart goes like this. `verdict` says whether the child that ended is started again. If so, and the
restart intensity allows it, `plan` says who is stopped and started. Where a start fails, `after_failed_start`
says what it leaves behind; the supervisor then sends itself a message for the child that is restarting, and
at that message begins again: one more restart for the intensity, `plan` with that child as the failed one.
Hence rest_for_one goes on from there, and one_for_all stops again what had come up. Only the last such message
for a child counts: where the child was stopped, started or part of another plan meanwhile, it is void.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar, assert_never

import attrs

from .child_spec import AutoShutdown, Restart, ShutdownTime, Strategy

T = TypeVar("T")


class Outcome(enum.Enum):
    """How a child ended, as far as restarting goes."""

    NORMAL = "normal"
    """With `Normal`."""
    CLEAN = "clean"
    """With `Shutdown`, whatever its detail."""
    ABNORMAL = "abnormal"
    """With any other reason, a kill included."""


class Status(enum.Enum):
    """What a child that has a specification is doing."""

    RUNNING = "running"
    """It has a process."""
    STOPPED = "stopped"
    """It has none: it ended and was not restarted, was stopped by hand, or ignored its start."""
    RESTARTING = "restarting"
    """It has none: its restart failed and is about to be tried again."""


class Fate(enum.Enum):
    """What becomes of a child that has lost its process."""

    RESTART = "restart"
    """It is started again, with whom the strategy says."""
    KEEP = "keep"
    """Its specification stays, without a process."""
    DROP = "drop"
    """Its specification goes."""


@attrs.frozen
class Decision:
    """What the end of a child brings about."""

    fate: Fate
    shut_down: bool
    """Whether the supervisor stops its other children and ends with `Shutdown`."""


RESTARTS: Mapping[Restart, frozenset[Outcome]] = MappingProxyType(
    {
        Restart.PERMANENT: frozenset(Outcome),
        Restart.TRANSIENT: frozenset({Outcome.ABNORMAL}),
        Restart.TEMPORARY: frozenset(),
    }
)

SIGNIFICANT_LEFT = frozenset({Status.RUNNING, Status.RESTARTING})
"""In these states another significant child keeps `all_significant` from shutting down."""


def fate_without_process(restart: Restart) -> Fate:
    """What becomes of a child that is not to run now: it ended for good, was stopped, or ignored its start."""
    return Fate.DROP if restart is Restart.TEMPORARY else Fate.KEEP


def verdict(
    restart: Restart,
    outcome: Outcome,
    *,
    significant: bool,
    auto_shutdown: AutoShutdown,
    other_significant_left: bool,
) -> Decision:
    """What the end of a child brings about that nobody had told to stop.

    `other_significant_left` says whether another significant child is in one of `SIGNIFICANT_LEFT`; only
    `all_significant` looks at it. Ends by `terminate_child` or by a sibling's restart are none of its business.
    """
    if outcome in RESTARTS[restart]:
        return Decision(Fate.RESTART, shut_down=False)
    shut_down = significant and _shuts_down(auto_shutdown, other_significant_left)
    return Decision(fate_without_process(restart), shut_down)


def _shuts_down(auto_shutdown: AutoShutdown, other_significant_left: bool) -> bool:
    match auto_shutdown:
        case AutoShutdown.NEVER:
            return False
        case AutoShutdown.ANY_SIGNIFICANT:
            return True
        case AutoShutdown.ALL_SIGNIFICANT:
            return not other_significant_left
        case _:
            assert_never(auto_shutdown)


@attrs.frozen
class ChildView:
    """As much of a child as `plan` has to know."""

    id: str
    restart: Restart
    running: bool


@attrs.frozen
class Plan:
    """One restart, in the order in which it is carried out."""

    stop: tuple[str, ...]
    """Siblings that run, in reverse start order: each is stopped when the one before is gone."""
    drop: tuple[str, ...]
    """Temporary siblings, in the same order: taken down for good, their specifications go."""
    start: tuple[str, ...]
    """Who is started, in start order, the failed child in its place. Siblings without a process come back too."""


def _only(children: Sequence[ChildView], at: int) -> Sequence[ChildView]:
    return children[at : at + 1]


def _all(children: Sequence[ChildView], at: int) -> Sequence[ChildView]:
    return children


def _rest(children: Sequence[ChildView], at: int) -> Sequence[ChildView]:
    return children[at:]


_GROUPS: Mapping[Strategy, Callable[[Sequence[ChildView], int], Sequence[ChildView]]] = MappingProxyType(
    {Strategy.ONE_FOR_ONE: _only, Strategy.ONE_FOR_ALL: _all, Strategy.REST_FOR_ONE: _rest}
)


def plan(strategy: Strategy, children: Sequence[ChildView], failed: str) -> Plan:
    """Who is stopped and who is started because `failed` is restarted.

    `children` are in start order and hold at least those whom the strategy concerns: for one_for_one the failed
    child alone will do. Raises `ValueError` if the failed child is not among them, or is temporary.
    """
    at = [child.id for child in children].index(failed)
    if children[at].restart is Restart.TEMPORARY:
        raise ValueError(f"child {failed!r} is temporary: it is never restarted")
    group = _GROUPS[strategy](children, at)
    if len(group) == 1:
        return Plan((), (), (failed,))
    siblings = [child for child in reversed(group) if child.id != failed]
    return Plan(
        stop=tuple(child.id for child in siblings if child.running),
        drop=tuple(child.id for child in siblings if child.restart is Restart.TEMPORARY),
        start=tuple(child.id for child in group if child.restart is not Restart.TEMPORARY),
    )


@attrs.frozen
class Stalled:
    """A restart that stopped halfway, until it is tried again."""

    started: tuple[str, ...]
    """They run, or have ignored their start."""
    restarting: str
    """Its start failed: it is `RESTARTING`, and the retry is for it."""
    waiting: tuple[str, ...]
    """Not tried any more: they are `STOPPED`, also one that was `RESTARTING`, and come up with the retry."""


def after_failed_start(interrupted: Plan, failing: str) -> Stalled:
    """What is left when the start of `failing` fails in the middle of a plan, whatever the strategy.

    Raises `ValueError` if the plan does not start that child.
    """
    at = interrupted.start.index(failing)
    return Stalled(interrupted.start[:at], failing, interrupted.start[at + 1 :])


def stop_order(ids: Iterable[str]) -> tuple[str, ...]:
    """The order in which a supervisor stops children given in start order."""
    return tuple(ids)[::-1]


def stop_deadlines(children: Iterable[tuple[T, ShutdownTime]]) -> dict[float, list[T]]:
    """Who is killed when, of children told to stop at the same time: the seconds from then, and those still there.

    Whoever has `infinity` is in none. A brutal kill is due at once; what is over then needs no killing.
    """
    deadlines: dict[float, list[T]] = {}
    for child, shutdown in children:
        if shutdown != "infinity":
            deadlines.setdefault(0.0 if shutdown == "brutal_kill" else shutdown, []).append(child)
    return deadlines


class Request(enum.Enum):
    """What an operator may ask about one child."""

    START_CHILD = "start_child"
    """Add a specification and start it."""
    TERMINATE_CHILD = "terminate_child"
    """Stop the process; what becomes of the specification says `fate_without_process`."""
    RESTART_CHILD = "restart_child"
    """Start a child that has a specification but no process."""
    DELETE_CHILD = "delete_child"
    """Forget the specification of a child without a process."""


class Answer(enum.Enum):
    """The answer to a `Request`, in OTP's words."""

    OK = "ok"
    """Do it; a child that is stopped already needs no stopping."""
    RUNNING = "running"
    """Refused: it has a process."""
    RESTARTING = "restarting"
    """Refused: it is about to have a process."""
    NOT_FOUND = "not_found"
    """Refused: no child has this id."""
    ALREADY_STARTED = "already_started"
    """Refused: a running child has this id."""
    ALREADY_PRESENT = "already_present"
    """Refused: a child without a process has this id."""


_COLUMNS = (Status.RUNNING, Status.STOPPED, Status.RESTARTING, None)
_ANSWERS: Mapping[Request, tuple[Answer, Answer, Answer, Answer]] = MappingProxyType(
    {
        Request.START_CHILD: (
            Answer.ALREADY_STARTED, Answer.ALREADY_PRESENT, Answer.ALREADY_PRESENT, Answer.OK,
        ),
        Request.TERMINATE_CHILD: (Answer.OK, Answer.OK, Answer.OK, Answer.NOT_FOUND),
        Request.RESTART_CHILD: (Answer.RUNNING, Answer.OK, Answer.RESTARTING, Answer.NOT_FOUND),
        Request.DELETE_CHILD: (Answer.RUNNING, Answer.OK, Answer.RESTARTING, Answer.NOT_FOUND),
    }
)  # fmt: skip


def admin(request: Request, status: Status | None) -> Answer:
    """Whether a supervisor does what it is asked about a child; `None` for a child it does not have."""
    return _ANSWERS[request][_COLUMNS.index(status)]
