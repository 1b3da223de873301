"""What one node decides, in the moments that were once decided wrongly; all others are explored in `tests/sim`."""

from __future__ import annotations

from typing import TypeVar

import attrs
import pytest

from regrow._pure.dist_app import (
    Action,
    Because,
    Claim,
    Deny,
    Event,
    Failed,
    Grant,
    Heard,
    Introduced,
    Lost,
    Permit,
    Phase,
    RunsAt,
    RunsNowhere,
    Send,
    Settings,
    Started,
    StartHere,
    State,
    Status,
    StopAll,
    StopWanted,
    TakeOverByHand,
    TakeOverRefused,
    Tell,
    Want,
)
from regrow._pure.election import step

T = TypeVar("T")
THREE = (("a",), ("b", "c"))
ABSENT = Status()
STANDBY = Status(wanted=True, opened=True)
RUNNING = Status(wanted=True, opened=True, phase=Phase.RUNNING)
IDLE_AND_FORBIDDEN = attrs.evolve(STANDBY, permitted=False)
FORBIDDEN_RUNNING = attrs.evolve(RUNNING, permitted=False)


def node(me: str, *, overlap: bool = False, **peers: Status) -> State:
    """A node that has met these others, and waits for nobody."""
    state = State(me, Settings(THREE, overlap=overlap))
    return after(state, *[Introduced(peer, status) for peer, status in peers.items()])[0]


def after(state: State, *events: Event) -> tuple[State, list[Action]]:
    """The state after these events, and what the last of them brought about."""
    actions: tuple[Action, ...] = ()
    for event in events:
        state, actions = step(state, event)
    return state, list(actions)


def tell(peer: str, status: Status) -> Event:
    return Heard(peer, Tell(status))


def said(actions: list[Action], kind: type[T]) -> list[T]:
    """The messages of that kind."""
    return [action.message for action in actions if isinstance(action, Send) and isinstance(action.message, kind)]


def test_a_start_returns_on_a_better_node_that_may_not_have_it() -> None:
    """It is not permitted to take over: so it stands by, as a lesser one does."""
    state, _ = after(node("a", b=RUNNING), Permit(False))
    assert RunsAt("b") in after(state, Want())[1]


def test_a_node_claims_nothing_while_two_seem_to_run_it() -> None:
    """One of the two is behind: claiming it would be denied by the other, again and again, as fast as messages go."""
    state, _ = after(node("b", a=RUNNING, c=STANDBY), Want(), tell("c", RUNNING), tell("a", FORBIDDEN_RUNNING))
    assert state.claim is None
    assert after(state, Heard("c", Deny(1)))[1] == []
    state, actions = after(state, tell("a", IDLE_AND_FORBIDDEN))
    assert RunsAt("c") in actions or state.told == RunsAt("c")


def test_a_takeover_by_hand_is_refused_when_it_is_forbidden_meanwhile() -> None:
    """Whoever asked for it does not wait for ever."""
    state, _ = after(node("b", a=attrs.evolve(RUNNING, phase=Phase.STARTING)), Want(), TakeOverByHand())
    assert TakeOverRefused("not_running_distributed") in after(state, Permit(False))[1]


def test_a_takeover_by_hand_is_refused_when_it_is_stopped_meanwhile() -> None:
    """There is nothing left to take over."""
    state, _ = after(node("b", a=RUNNING), Want(), TakeOverByHand())
    assert TakeOverRefused("not_running_distributed") in after(state, Heard("a", StopAll(1)))[1]


def test_a_takeover_by_hand_is_claimed_again_if_the_first_claim_came_to_nothing() -> None:
    """As soon as it is clear from whom it is to be taken over."""
    state, _ = after(node("c", a=STANDBY, b=RUNNING), Want(), TakeOverByHand(), Heard("a", Grant(1)))
    state, _ = after(state, tell("b", attrs.evolve(STANDBY, failed="it died")), Heard("b", Grant(1)))
    assert state.mine.phase is Phase.STARTING
    state, _ = after(node("c", a=STANDBY, b=RUNNING), Want(), TakeOverByHand())
    better = Claim(1, (False, True, 0, 0, "a"), "b")
    state, actions = after(state, Heard("a", better))
    assert said(actions, Grant) and state.claim is None
    state, actions = after(state, tell("b", STANDBY), tell("a", RUNNING))
    assert "a" in [message.takes_over for message in said(actions, Claim)]


def test_an_instance_that_replaces_another_is_not_stopped_by_its_news() -> None:
    """With overlap both run for a moment; that the old one says something does not make it the better one."""
    state, _ = after(node("b", overlap=True, a=RUNNING), Want(), TakeOverByHand(), Heard("a", Grant(1)), Started())
    state, actions = after(state, tell("a", attrs.evolve(RUNNING, weight=1)))
    assert actions == [] and state.mine.phase is Phase.RUNNING


def test_what_was_granted_by_an_instance_that_dies_stays_granted() -> None:
    """With overlap: else the node would claim it anew and wait for the other, and the other for it."""
    state, _ = after(node("a", overlap=True, b=STANDBY), Want(), Heard("b", Grant(1)), Started())
    by_hand = Claim(1, (False, True, 1, 0, "b"), "a")
    state, actions = after(state, Heard("b", by_hand))
    assert said(actions, Grant) == [Grant(1)]
    state, _ = after(state, Failed("it died"), Want())
    assert state.claim is None and state.promised is not None


def test_who_takes_over_from_a_node_that_is_gone_replaces_nobody() -> None:
    """Then it is a failover."""
    state, _ = after(node("a", overlap=True, b=RUNNING), Want())
    state, actions = after(state, Lost("b"))
    assert StartHere(Because.FAILOVER, "b") in actions and state.ousting is None


def test_a_stop_returns_though_it_is_started_again_elsewhere() -> None:
    """What was to be stopped has stopped; the new start is another matter."""
    state, actions = after(node("c", a=RUNNING, b=STANDBY), Want(), StopWanted())
    assert RunsNowhere(None) not in actions
    state, actions = after(state, tell("b", Status(wanted=True, stops=1, phase=Phase.RUNNING)))
    assert RunsNowhere(None) not in actions
    assert RunsNowhere(None) in after(state, tell("a", Status(stops=1)))[1]


def test_a_stop_is_said_again_when_a_node_goes_down_before_all_has_stopped() -> None:
    """It may be the one that said it, and not to all; who has heard it already does nothing."""
    state, _ = after(node("c", a=RUNNING, b=STANDBY), Want(), Heard("b", StopAll(1)))
    assert said(after(state, Lost("b"))[1], StopAll) == [StopAll(1)]
    assert after(state, Heard("a", StopAll(1))) == (state, [])


@pytest.mark.parametrize("status", [ABSENT, Status(opened=True)], ids=["never", "before it was stopped"])
def test_a_start_on_a_lesser_node_waits_for_the_better_one_at_first(status: Status) -> None:
    """What a node knows on which it is not started does not count: it may be from before a stop."""
    state, actions = after(node("b", a=status), Want())
    assert state.claim is None and not said(actions, Claim)
    assert said(after(state, Lost("a"))[1], Claim) == [] and after(state, Lost("a"))[0].mine.phase is Phase.STARTING


def test_all_forbidden_it_runs_nowhere_and_who_started_it_knows() -> None:
    """Also one that was told before where it runs."""
    state, actions = after(node("b", a=RUNNING), Want())
    assert RunsAt("a") in actions
    assert RunsAt(None) in after(state, Permit(False), tell("a", IDLE_AND_FORBIDDEN))[1]
