"""The supervisor's decisions, for all strategies, restart types, endings and positions of up to four children.

The traces at the end were taken from real OTP: a supervisor of a few lines carries out the decisions and has to
do the same things in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from exhaustive import Exhaustive

from regrow._pure.child_spec import AutoShutdown, Restart, Strategy
from regrow._pure.intensity import RestartIntensity
from regrow._pure.restart import (
    SIGNIFICANT_LEFT,
    Answer,
    ChildView,
    Decision,
    Fate,
    Outcome,
    Plan,
    Request,
    Stalled,
    Status,
    admin,
    after_failed_start,
    fate_without_process,
    plan,
    stop_deadlines,
    stop_order,
    verdict,
)

PERMANENT, TRANSIENT, TEMPORARY = Restart
IDS = ("a", "b", "c", "d")


def choose_children(every: Exhaustive) -> tuple[ChildView, ...]:
    """One to four children of all restart types, with and without a process."""
    count = every.choose(range(1, 5))
    kinds = [(restart, running) for restart in Restart for running in (True, False)]
    return tuple(ChildView(id_, *every.choose(kinds)) for id_ in IDS[:count])


def in_order(ids: Sequence[str], children: Sequence[ChildView]) -> bool:
    places = [[child.id for child in children].index(id_) for id_ in ids]
    return places == sorted(set(places))


def test_every_combination_is_tried_once() -> None:
    """What is exhaustive here rests on it."""
    seen: list[tuple[int, ...]] = []
    for _ in (every := Exhaustive()).runs():
        width = every.choose([1, 2])
        seen.append((width, *(every.choose([0, 1]) for _ in range(width))))
    assert seen == [(1, 0), (1, 1), (2, 0, 0), (2, 0, 1), (2, 1, 0), (2, 1, 1)]


# --- who is restarted at all


@pytest.mark.parametrize("outcome", Outcome)
def test_a_permanent_child_is_restarted_whatever_it_ended_with(outcome: Outcome) -> None:
    """Permanent services have no good reason to be absent (SUP-040)."""
    assert ending(PERMANENT, outcome) == Decision(Fate.RESTART, shut_down=False)


def test_a_transient_child_is_restarted_only_after_an_abnormal_end() -> None:
    """`Shutdown` counts as a clean end; the specification stays for `restart_child` (SUP-041)."""
    assert ending(TRANSIENT, Outcome.NORMAL).fate is Fate.KEEP
    assert ending(TRANSIENT, Outcome.CLEAN).fate is Fate.KEEP
    assert ending(TRANSIENT, Outcome.ABNORMAL).fate is Fate.RESTART


@pytest.mark.parametrize("outcome", Outcome)
def test_a_temporary_child_is_never_restarted_and_leaves_nothing(outcome: Outcome) -> None:
    """Its specification goes with it (SUP-042)."""
    assert ending(TEMPORARY, outcome).fate is Fate.DROP


def ending(restart: Restart, outcome: Outcome) -> Decision:
    return verdict(restart, outcome, significant=False, auto_shutdown=AutoShutdown.NEVER, other_significant_left=False)


def test_the_end_of_a_child_has_one_consequence_for_each_combination() -> None:
    """Restart or not does not depend on significance; a shutdown follows only from a significant end for good."""
    for _ in (every := Exhaustive()).runs():
        restart, outcome = every.choose(list(Restart)), every.choose(list(Outcome))
        significant, left = every.choose([True, False]), every.choose([True, False])
        auto = every.choose(list(AutoShutdown))
        decision = verdict(restart, outcome, significant=significant, auto_shutdown=auto, other_significant_left=left)
        assert decision.fate is ending(restart, outcome).fate
        looked_at = significant and decision.fate is not Fate.RESTART
        assert decision.shut_down is (
            looked_at and (auto is AutoShutdown.ANY_SIGNIFICANT or (auto is AutoShutdown.ALL_SIGNIFICANT and not left))
        )


@pytest.mark.parametrize("auto_shutdown", [AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT])
@pytest.mark.parametrize("outcome", Outcome)
def test_the_end_of_the_only_significant_child_shuts_down(outcome: Outcome, auto_shutdown: AutoShutdown) -> None:
    """A temporary one whatever it ended with, a transient one only when it is not restarted (SUP-090, SUP-091)."""
    shuts_down = {
        restart: verdict(
            restart, outcome, significant=True, auto_shutdown=auto_shutdown, other_significant_left=False
        ).shut_down
        for restart in (TRANSIENT, TEMPORARY)
    }
    assert shuts_down == {TRANSIENT: outcome is not Outcome.ABNORMAL, TEMPORARY: True}


def test_a_significant_child_about_to_be_restarted_is_still_there() -> None:
    """OTP does not shut down for the last but one while the last is between two tries; a stopped one is gone."""
    assert {status: status in SIGNIFICANT_LEFT for status in Status} == {
        Status.RUNNING: True,
        Status.RESTARTING: True,
        Status.STOPPED: False,
    }


def test_a_temporary_child_without_a_process_has_no_specification() -> None:
    """Stopped by hand, or having ignored its start: others stay, it goes (SUP-006, SUP-022, SUP-023)."""
    assert {restart: fate_without_process(restart) for restart in Restart} == {
        PERMANENT: Fate.KEEP,
        TRANSIENT: Fate.KEEP,
        TEMPORARY: Fate.DROP,
    }


# --- who goes down and comes up with it


def test_a_plan_touches_whom_the_strategy_names_and_nobody_else() -> None:
    """All strategies, positions, restart types and states of up to four children (SUP-043 to SUP-046)."""
    for _ in (every := Exhaustive()).runs():
        strategy = every.choose(list(Strategy))
        children = choose_children(every)
        at = every.choose(range(len(children)))
        failed = children[at]
        if failed.restart is TEMPORARY:
            with pytest.raises(ValueError, match="temporary: it is never restarted"):
                plan(strategy, children, failed.id)
            continue
        got = plan(strategy, children, failed.id)

        concerned = {
            Strategy.ONE_FOR_ONE: {failed.id},
            Strategy.REST_FOR_ONE: {child.id for child in children[at:]},
            Strategy.ONE_FOR_ALL: {child.id for child in children},
        }[strategy]
        by_id = {child.id: child for child in children}
        assert {*got.stop, *got.drop, *got.start} == concerned
        assert set(got.stop) == {i for i in concerned if by_id[i].running and i != failed.id}
        assert set(got.drop) == {i for i in concerned if by_id[i].restart is TEMPORARY}
        assert set(got.start) == concerned - set(got.drop)
        assert failed.id in got.start

        assert in_order(got.start, children)
        assert in_order(got.stop[::-1], children)
        assert in_order(got.drop[::-1], children)


def test_one_for_one_needs_to_see_only_the_child_that_failed() -> None:
    """A restart among a hundred thousand children costs what it costs among two."""
    for _ in (every := Exhaustive()).runs():
        children = choose_children(every)
        failed = every.choose(children)
        if failed.restart is not TEMPORARY:
            alone = plan(Strategy.ONE_FOR_ONE, [failed], failed.id)
            assert alone == plan(Strategy.ONE_FOR_ONE, children, failed.id)
            assert alone == Plan(stop=(), drop=(), start=(failed.id,))


def test_rest_for_one_needs_to_see_only_the_children_from_the_failed_one_on() -> None:
    """Earlier ones have no part in the decision (SUP-045)."""
    for _ in (every := Exhaustive()).runs():
        children = choose_children(every)
        at = every.choose(range(len(children)))
        if children[at].restart is not TEMPORARY:
            assert plan(Strategy.REST_FOR_ONE, children, children[at].id) == plan(
                Strategy.REST_FOR_ONE, children[at:], children[at].id
            )


def test_a_plan_for_an_unknown_child_is_refused() -> None:
    """A supervisor that mixed up its children should hear of it."""
    with pytest.raises(ValueError, match="not in list"):
        plan(Strategy.ONE_FOR_ALL, [ChildView("a", PERMANENT, running=True)], "b")


def test_siblings_without_a_process_come_up_with_the_group() -> None:
    """OTP starts all specifications of the group: stopped by hand, ended normally or ignored at start alike."""
    children = [
        ChildView("a", PERMANENT, running=True),
        ChildView("stopped", PERMANENT, running=False),
        ChildView("ended", TRANSIENT, running=False),
        ChildView("failed", PERMANENT, running=False),
        ChildView("ignored", PERMANENT, running=False),
        ChildView("bystander", TEMPORARY, running=True),
        ChildView("z", PERMANENT, running=True),
    ]
    assert plan(Strategy.ONE_FOR_ALL, children, "failed") == Plan(
        stop=("z", "bystander", "a"),
        drop=("bystander",),
        start=("a", "stopped", "ended", "failed", "ignored", "z"),
    )
    assert plan(Strategy.REST_FOR_ONE, children, "failed") == Plan(
        stop=("z", "bystander"), drop=("bystander",), start=("failed", "ignored", "z")
    )


# --- a start that fails on the way


def test_a_stalled_restart_leaves_earlier_ones_up_and_later_ones_down() -> None:
    """One child is restarting, and the retry is for that child, not for the one that crashed (SUP-054, SUP-056)."""
    for _ in (every := Exhaustive()).runs():
        strategy, children = every.choose(list(Strategy)), choose_children(every)
        failed = every.choose(children)
        if failed.restart is TEMPORARY:
            continue
        first = plan(strategy, children, failed.id)
        failing = every.choose(first.start)
        stalled = after_failed_start(first, failing)
        assert (*stalled.started, stalled.restarting, *stalled.waiting) == first.start

        retry = plan(strategy, carried_out(children, first, stalled), failing)
        assert retry.drop == ()
        assert set(stalled.waiting).isdisjoint(retry.stop)
        match strategy:
            case Strategy.ONE_FOR_ONE:
                assert (stalled.started, stalled.waiting) == ((), ())
                assert retry == first
            case Strategy.REST_FOR_ONE:
                assert retry == Plan(stop=(), drop=(), start=(failing, *stalled.waiting))
            case Strategy.ONE_FOR_ALL:
                assert retry == Plan(stop=stop_order(stalled.started), drop=(), start=first.start)


def carried_out(children: Sequence[ChildView], done: Plan, stalled: Stalled) -> list[ChildView]:
    """The children after `done` came as far as `stalled`."""
    up = {child.id for child in children if child.running} - {*done.stop, *done.start} | {*stalled.started}
    return [attrs.evolve(child, running=child.id in up) for child in children if child.id not in done.drop]


def test_a_start_that_was_not_planned_cannot_fail() -> None:
    """A supervisor that mixed up its children should hear of it."""
    with pytest.raises(ValueError, match="not in tuple"):
        after_failed_start(Plan(stop=(), drop=(), start=("a",)), "b")


# --- what an operator may ask


@pytest.mark.parametrize(
    ("request_", "running", "stopped", "restarting", "absent"),
    [
        (Request.START_CHILD, Answer.ALREADY_STARTED, Answer.ALREADY_PRESENT, Answer.ALREADY_PRESENT, Answer.OK),
        (Request.TERMINATE_CHILD, Answer.OK, Answer.OK, Answer.OK, Answer.NOT_FOUND),
        (Request.RESTART_CHILD, Answer.RUNNING, Answer.OK, Answer.RESTARTING, Answer.NOT_FOUND),
        (Request.DELETE_CHILD, Answer.RUNNING, Answer.OK, Answer.RESTARTING, Answer.NOT_FOUND),
    ],
)
def test_each_request_has_its_answer_in_each_state(
    request_: Request, running: Answer, stopped: Answer, restarting: Answer, absent: Answer
) -> None:
    """All sixteen answers were asked of OTP (SUP-020 to SUP-026, SUP-053)."""
    assert admin(request_, Status.RUNNING) is running
    assert admin(request_, Status.STOPPED) is stopped
    assert admin(request_, Status.RESTARTING) is restarting
    assert admin(request_, None) is absent


def test_a_child_that_is_there_cannot_be_added_and_one_that_is_not_cannot_be_touched() -> None:
    """What holds between the rows of the table."""
    for _ in (every := Exhaustive()).runs():
        request, status = every.choose(list(Request)), every.choose([*Status, None])
        answer = admin(request, status)
        assert (answer is Answer.NOT_FOUND) is (status is None and request is not Request.START_CHILD)
        if answer in (Answer.RUNNING, Answer.ALREADY_STARTED):
            assert status is Status.RUNNING
        if answer is Answer.RESTARTING:
            assert status is Status.RESTARTING


def test_children_are_stopped_in_reverse_order_of_their_start() -> None:
    """Later ones may rely on earlier ones, also while they stop (SUP-070)."""
    assert stop_order(iter("abc")) == ("c", "b", "a")
    assert stop_order([]) == ()


@pytest.mark.parametrize("count", range(4))
def test_of_children_stopped_together_each_is_killed_when_its_own_time_is_up(count: int) -> None:
    """All ways to give up to three children their times: a brutal kill is due at once, `infinity` never (SUP-074)."""
    for _ in (every := Exhaustive()).runs():
        shutdowns = {i: every.choose([2.0, 0.5, "infinity", "brutal_kill"]) for i in range(count)}
        deadlines = stop_deadlines(shutdowns.items())
        due = {child: seconds for seconds, children in deadlines.items() for child in children}
        assert due == {
            child: 0.0 if shutdown == "brutal_kill" else shutdown
            for child, shutdown in shutdowns.items()
            if shutdown != "infinity"
        }
        assert sum(map(len, deadlines.values())) == len(due)


def test_children_that_have_the_same_time_share_one_deadline() -> None:
    """A hundred thousand of them must not need a hundred thousand timers (SUP-060)."""
    assert stop_deadlines((i, 5.0) for i in range(1000)) == {5.0: list(range(1000))}


# --- the decisions together, against what OTP did


class Rehearsal:
    """Carries out the decisions on children whose starts fail as often as told, and notes what it did."""

    def __init__(self, strategy: Strategy, ids: str, *, intensity: int = 10, failures: dict[str, int]) -> None:
        self.strategy = strategy
        self.status = dict.fromkeys(ids, Status.RUNNING)
        self.window = RestartIntensity(intensity, 10.0)
        self.failures = failures
        self.log: list[str] = []

    def crash(self, id_: str) -> str:
        """Restart and retry until all is well or the budget is gone; what was done, in order."""
        self.status[id_] = Status.RESTARTING
        retry: str | None = id_
        while retry is not None:
            self.window = self.window.add(0.0)
            if self.window.exceeded:
                self.log += [f"-{up}" for up in stop_order(self.status) if self.status[up] is Status.RUNNING]
                return " ".join([*self.log, "gave up"])
            retry = self.carry_out(plan(self.strategy, self.children(), retry))
        return " ".join(self.log)

    def children(self) -> list[ChildView]:
        return [ChildView(id_, PERMANENT, status is Status.RUNNING) for id_, status in self.status.items()]

    def carry_out(self, todo: Plan) -> str | None:
        for id_ in todo.stop:
            self.log.append(f"-{id_}")
        self.status |= dict.fromkeys(todo.stop, Status.STOPPED)
        for id_ in todo.start:
            self.log.append(f"+{id_}")
            if self.failures.get(id_, 0) > 0:
                self.failures[id_] -= 1
                stalled = after_failed_start(todo, id_)
                self.status |= dict.fromkeys(stalled.waiting, Status.STOPPED)
                self.status[stalled.restarting] = Status.RESTARTING
                return stalled.restarting
            self.status[id_] = Status.RUNNING
        return None


@pytest.mark.parametrize(
    ("strategy", "ids", "crashed", "failures", "done"),
    [
        ("one_for_all", "abcd", "b", {"c": 2}, "-d -c -a +a +b +c -b -a +a +b +c -b -a +a +b +c +d"),
        ("rest_for_one", "abcd", "b", {"c": 2}, "-d -c +b +c +c +c +d"),
        ("one_for_all", "abc", "b", {"b": 3}, "-c -a +a +b -a +a +b -a +a +b -a +a +b +c"),
        ("one_for_one", "abc", "b", {"b": 3}, "+b +b +b +b"),
    ],
)
def test_a_failure_in_the_middle_is_retried_as_otp_does(
    strategy: str, ids: str, crashed: str, failures: dict[str, int], done: str
) -> None:
    """The traces are OTP's own, `-` for stopped and `+` for started or tried (SUP-052 to SUP-056)."""
    assert Rehearsal(Strategy(strategy), ids, failures=dict(failures)).crash(crashed) == done


@pytest.mark.parametrize(
    ("strategy", "done"),
    [
        ("one_for_one", "+c +c +c -d -a gave up"),
        ("one_for_all", "-d -a +a +c -a +a +c -a +a +c -a gave up"),
        ("rest_for_one", "-d +c +c +c -a gave up"),
    ],
)
def test_each_retry_costs_one_restart(strategy: str, done: str) -> None:
    """OTP's traces with an intensity of 3: three tries, then what runs is stopped in reverse order (SUP-052)."""
    assert Rehearsal(Strategy(strategy), "acd", intensity=3, failures={"c": 99}).crash("c") == done


@pytest.mark.parametrize("strategy", Strategy)
def test_the_restart_of_a_group_costs_one(strategy: Strategy) -> None:
    """Four children, two crashes allowed, the third is fatal (SUP-048)."""
    sup = Rehearsal(strategy, "abcd", intensity=2, failures={})
    assert not sup.crash("a").endswith("gave up")
    assert not sup.crash("c").endswith("gave up")
    assert sup.crash("b").endswith("gave up")


def test_a_restart_ends_with_all_children_up_or_with_giving_up() -> None:
    """Whatever fails how often: within the budget all come up; beyond it the supervisor gives up."""
    for _ in (every := Exhaustive()).runs():
        strategy, ids = every.choose(list(Strategy)), "abcd"[: every.choose(range(1, 5))]
        crashed, intensity = every.choose(ids), every.choose([0, 1, 3])
        failures = {id_: every.choose([0, 1, 2]) for id_ in ids}
        sup = Rehearsal(strategy, ids, intensity=intensity, failures=failures)
        gave_up = sup.crash(crashed).endswith("gave up")
        assert gave_up is sup.window.exceeded
        if not gave_up:
            assert set(sup.status.values()) == {Status.RUNNING}
            assert len(sup.window.stamps) <= intensity
