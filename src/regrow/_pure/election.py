"""How one node moves on: `step(state, event)` gives its next state and what is to be done.

Read from `step`: an event is taken note of, what it settles is settled, and then the node looks at the whole
picture anew. What it says to others goes out last, as one status if that has changed.
"""

from __future__ import annotations

from typing import Any, assert_never

import attrs

from .dist_app import (
    ACTIVE,
    Action,
    Asked,
    Because,
    Claim,
    Deny,
    Event,
    Failed,
    Grant,
    Heard,
    Introduced,
    Lost,
    Message,
    MyClaim,
    Permit,
    Phase,
    RunsAt,
    RunsNowhere,
    Send,
    Started,
    StartHere,
    State,
    Status,
    StopAll,
    StopHere,
    Stopped,
    StopWanted,
    TakeOverByHand,
    TakeOverRefused,
    Tell,
    WaitFor,
    WaitOver,
    Want,
    Weight,
    Withdraw,
)


def step(state: State, event: Event) -> tuple[State, tuple[Action, ...]]:
    """The node's next state, and what is to be done, in order."""
    turn = _Turn(state)
    turn.note(event)
    turn.look_around()
    turn.tell_if_changed(state.mine)
    return turn.state, tuple(turn.actions)


class _Turn:
    """One event being worked on."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.actions: list[Action] = []

    def change(self, **changes: Any) -> None:
        self.state = attrs.evolve(self.state, **changes)

    def mine(self, **changes: Any) -> None:
        self.change(mine=attrs.evolve(self.state.mine, **changes))

    def do(self, action: Action) -> None:
        self.actions.append(action)

    def send(self, node: str, message: Message) -> None:
        self.do(Send(node, message))

    def broadcast(self, message: Message) -> None:
        for node, _ in self.state.peers:
            self.send(node, message)

    def tell_if_changed(self, before: Status) -> None:
        """Others hear of our status after the grants and claims of this turn, but before anything of the next.

        That it was stopped everywhere, they have heard from whoever did that.
        """
        if self.state.mine != attrs.evolve(before, stops=self.state.mine.stops):
            self.broadcast(Tell(self.state.mine))

    # -- taking note

    def note(self, event: Event) -> None:
        match event:
            case Introduced(node, status):
                self._introduced(node, status)
            case Lost(node):
                self._lost(node)
            case Heard(node, message):
                if self.state.peer(node) is not None:
                    self._heard(node, message)
            case Want():
                self.mine(wanted=True, failed=None)
                self.change(eager=True, told=None, stopping_all=False)
            case StopWanted():
                known = [self.state.mine, *(status for _, status in self.state.peers)]
                self._stop_all(1 + max(status.stops for status in known))
                self.broadcast(StopAll(self.state.mine.stops))
                self.change(stopping_all=True)
            case Permit(flag):
                self.mine(permitted=flag)
                self.change(eager=self.state.eager or flag)
                if not flag:
                    self._withdraw()
            case TakeOverByHand():
                self._take_over_by_hand()
            case Started():
                self._started()
            case Failed(reason):
                self._failed(reason)
            case Stopped(handoff):
                self._stopped(handoff)
            case WaitOver(number):
                self.change(waiting=self.state.waiting and number != self.state.waits)
            case Weight(count):
                self.mine(weight=count)
            case _:
                assert_never(event)

    def _introduced(self, node: str, status: Status) -> None:
        known = dict(self.state.peers)
        known[node] = status
        self.change(peers=tuple(sorted(known.items())))
        if status.phase is Phase.RUNNING:
            self._runs_there(node)
        # What it was told of us when the two met may be out of date by now.
        self.send(node, Tell(self.state.mine))
        if self.state.stopping_all:
            self.send(node, StopAll(self.state.mine.stops))
        claim = self.state.claim
        if claim is not None:
            self.change(claim=attrs.evolve(claim, awaiting=claim.awaiting | {node}))
            self.send(node, claim.claim)

    def _lost(self, node: str) -> None:
        status = self.state.peer(node)
        if status is None:
            return
        self.change(peers=tuple(entry for entry in self.state.peers if entry[0] != node))
        self._answered(node, None)
        self._settle(node)
        if self.state.ousting == node:
            self.change(ousting=None)
        if self.state.stopping_all:
            self.broadcast(StopAll(self.state.mine.stops))  # it may be the one that said so, and not to all
        if status.phase in (Phase.RUNNING, Phase.STOPPING):
            self._ran_and_is_gone(node)

    def _ran_and_is_gone(self, node: str) -> None:
        """The node it ran on went down; whoever is not about to start it anyway waits for the node to come back."""
        self.change(last_ran_at=node)
        standing_by = self.state.claim is None and self.state.runner is None and self.state.mine.phase is Phase.IDLE
        if standing_by and self.state.settings.wait_s > 0:
            self.change(waiting=True, waits=self.state.waits + 1)
            self.do(WaitFor(self.state.waits, self.state.settings.wait_s))

    def _heard(self, node: str, message: Message) -> None:
        match message:
            case Tell(status):
                self._status(node, status)
            case Claim():
                self._settle(node)  # whatever it claimed before
                self.change(deferred=(*self.state.deferred, Asked(node, message)))
            case Grant(number, handoff):
                if self.state.claim is not None and self.state.claim.claim.number == number:
                    self._answered(node, handoff)
            case Deny(number):
                if self.state.claim is not None and self.state.claim.claim.number == number:
                    self._withdraw()
            case Withdraw(number):
                self._settle(node, number)
            case StopAll(stops):
                if stops > self.state.mine.stops:
                    self._stop_all(stops)
            case _:
                assert_never(message)

    def _status(self, node: str, status: Status) -> None:
        before = self.state.peer(node)
        self.change(peers=tuple((name, status if name == node else old) for name, old in self.state.peers))
        ran = before is not None and before.phase is Phase.RUNNING
        if ran and status.phase not in ACTIVE and status.failed is not None:
            self.change(last_ran_at=node)
        if status.phase is not Phase.RUNNING and self.state.ousting == node:
            self.change(ousting=None)
        if status.phase is Phase.RUNNING:
            self._runs_there(node)
        elif status.phase is Phase.IDLE and (
            status.failed is not None or (before is not None and before.phase in ACTIVE)
        ):
            self._settle(node)

    def _runs_there(self, node: str) -> None:
        """Somebody runs it: nobody waits for anybody, and what we handed over has arrived."""
        self._settle(node)
        self.change(waiting=False, last_ran_at=None, handoff=None, gave_to=None)
        self.mine(opened=self.state.mine.wanted, holds_handoff=False)

    # -- claims of ours

    def _claim(self, takes_over: str | None) -> None:
        """Ask everybody; `takes_over` is the node that is to stop it first."""
        state = self.state
        number = state.claims_made + 1
        order = (
            not state.by_hand,
            not state.mine.holds_handoff,
            state.settings.group_of(state.me),
            state.mine.weight,
            state.me,
        )
        claim = Claim(number, order, takes_over)
        self.change(claims_made=number, claim=MyClaim(claim, frozenset(name for name, _ in state.peers)), eager=False)
        self.mine(phase=Phase.CLAIMING)
        self.broadcast(claim)

    def _withdraw(self) -> None:
        claim = self.state.claim
        if claim is not None:
            self.change(claim=None)
            self.mine(phase=Phase.IDLE)
            self.broadcast(Withdraw(claim.claim.number))

    def _answered(self, node: str, handoff: object) -> None:
        """One node less to wait for."""
        claim = self.state.claim
        if claim is not None:
            given = claim.handoff if handoff is None else handoff
            self.change(claim=attrs.evolve(claim, awaiting=claim.awaiting - {node}, handoff=given))

    def _win(self, claim: MyClaim) -> None:
        """Everybody granted it."""
        state = self.state
        before = claim.claim.takes_over
        status = None if before is None else state.peer(before)
        both = state.settings.overlap and status is not None and status.phase is Phase.RUNNING
        self.change(claim=None, ousting=before if both else None, told=None)  # where it runs after this is news again
        self.mine(phase=Phase.STARTING, opened=True)
        if status is not None:
            self.do(StartHere(Because.TAKEOVER, before, claim.handoff))
        elif state.mine.holds_handoff:
            self.do(StartHere(Because.TAKEOVER, state.gave_to or state.me, state.handoff))
        elif state.last_ran_at is not None:
            self.do(StartHere(Because.FAILOVER, state.last_ran_at, claim.handoff))
        else:
            self.do(StartHere(Because.NORMAL))

    def _take_over_by_hand(self) -> None:
        state = self.state
        runner = state.runner
        if state.mine.phase in ACTIVE:
            self.do(TakeOverRefused("already_running_locally"))
        elif runner is None or not state.mine.wanted or not state.mine.permitted:
            self.do(TakeOverRefused("not_running_distributed"))
        else:
            self._withdraw()
            self.mine(failed=None)
            self.change(by_hand=True)

    # -- claims of others

    def _deferred_without(self, node: str) -> tuple[Asked, ...]:
        return tuple(asked for asked in self.state.deferred if asked.node != node)

    def _settle(self, node: str, number: int | None = None) -> None:
        """A claim of that node is void, or has led to something."""

        def concerned(asked: Asked | None) -> bool:
            return asked is not None and asked.node == node and number in (None, asked.claim.number)

        if concerned(self.state.promised):
            self.change(promised=None)
        if concerned(self.state.stopping_for):
            self.change(stopping_for=None)
        status = self.state.peer(node)
        if concerned(self.state.yielding_to) and (status is None or status.phase is not Phase.RUNNING):
            self.change(yielding_to=None)
        self.change(deferred=tuple(asked for asked in self.state.deferred if not concerned(asked)))

    def _answer_claims(self) -> None:
        """Grant the best of the claims that wait for us, if nothing of ours stands against it."""
        state = self.state
        if not state.deferred:
            return
        best = min(state.deferred, key=lambda asked: asked.claim.order)
        match state.mine.phase:
            case Phase.IDLE:
                if state.promised is None:
                    self._grant(best)
            case Phase.CLAIMING:
                assert state.claim is not None, "the phase says so"
                if best.claim.order < state.claim.claim.order:
                    self._withdraw()
                    self._answer_claims()
            case Phase.RUNNING:
                if state.yielding_to is None:
                    self._obey_or_deny(best)
            case Phase.STARTING | Phase.STOPPING:
                pass  # until it is settled what becomes of ours
            case _:
                assert_never(state.mine.phase)

    def _grant(self, asked: Asked) -> None:
        handoff = self.state.handoff if self.state.mine.holds_handoff else None
        self.change(promised=asked, deferred=self._deferred_without(asked.node))
        self.send(asked.node, Grant(asked.claim.number, handoff))

    def _obey_or_deny(self, asked: Asked) -> None:
        """It runs here, and somebody claims it."""
        state = self.state
        by_hand = not asked.claim.order[0]
        better = state.better_group(asked.node, state.me) or not state.mine.permitted
        if asked.claim.takes_over != state.me or not (by_hand or better):
            self.change(deferred=self._deferred_without(asked.node))
            self.send(asked.node, Deny(asked.claim.number))
        elif state.settings.overlap:
            self.change(deferred=self._deferred_without(asked.node), yielding_to=asked)
            self.send(asked.node, Grant(asked.claim.number))
        else:
            self.change(deferred=self._deferred_without(asked.node), stopping_for=asked)
            self._stop_here(ask_handoff=True)

    # -- the instance here

    def _stop_here(self, *, ask_handoff: bool = False) -> None:
        self.mine(phase=Phase.STOPPING)
        self.do(StopHere(ask_handoff))

    def _started(self) -> None:
        self.change(handoff=None, gave_to=None, last_ran_at=None, waiting=False, eager=False, by_hand=False, told=None)
        self.mine(phase=Phase.RUNNING, failed=None, holds_handoff=False, opened=True)
        if self.state.stop_after_start:
            self.change(stop_after_start=False)
            self._stop_here()

    def _failed(self, reason: str) -> None:
        ran = self.state.mine.phase is Phase.RUNNING
        self.change(last_ran_at=self.state.me if ran else self.state.last_ran_at, stop_after_start=False, eager=False)
        # What it granted while it ran, it still grants.
        self.change(promised=self.state.yielding_to or self.state.promised, yielding_to=None)
        self.change(ousting=None, by_hand=False)
        self.mine(phase=Phase.IDLE, failed=reason, opened=True)

    def _stopped(self, handoff: object) -> None:
        """As ordered: for somebody's claim, or because it is to run nowhere, or not here."""
        asked = self.state.stopping_for
        self.change(stopping_for=None, yielding_to=None)
        self.mine(phase=Phase.IDLE)
        if asked is not None:
            self.change(handoff=handoff, gave_to=asked.node, promised=asked)
            self.mine(holds_handoff=self.state.mine.wanted)
            self.send(asked.node, Grant(asked.claim.number, handoff))
        elif self.state.mine.wanted and self.state.runner is None:
            # Its claimant is gone meanwhile: what it was to have is still here.
            self.change(handoff=handoff, gave_to=None)
            self.mine(holds_handoff=handoff is not None)

    def _stop_all(self, stops: int) -> None:
        """It is to run nowhere, and nobody is to want it."""
        self._withdraw()
        self.change(stopping_all=self.state.stopping_all or self.state.mine.wanted)
        self.change(handoff=None, gave_to=None, last_ran_at=None, waiting=False, eager=False, told=None)
        self.change(yielding_to=None, ousting=None)
        self.mine(wanted=False, failed=None, stops=stops, opened=False, holds_handoff=False)
        match self.state.mine.phase:
            case Phase.RUNNING:
                self._stop_here()
            case Phase.STARTING:
                self.change(stop_after_start=True)
            case _:
                pass

    # -- the whole picture

    def look_around(self) -> None:
        self._look_whether_opened()
        self._answer_claims()
        self._look_who_waits()
        match self.state.mine.phase:
            case Phase.RUNNING:
                self._look_while_running()
            case Phase.CLAIMING:
                self._look_while_claiming()
            case Phase.IDLE:
                self._look_while_idle()
            case Phase.STARTING | Phase.STOPPING:
                pass
            case _:
                assert_never(self.state.mine.phase)

    def _look_whether_opened(self) -> None:
        """Who has it started remembers that for the others; where it is stopped, that is forgotten."""
        mine = self.state.mine
        heard = any(status.wanted and status.opened for _, status in self.state.peers)
        self.mine(opened=mine.wanted and (mine.opened or heard))

    def _look_who_waits(self) -> None:
        """For the end of a stop, or for a takeover by hand that can't be any more."""
        mine = self.state.mine
        if self.state.stopping_all and not self._is_left_anywhere():
            self.change(stopping_all=False)
            self.do(RunsNowhere(None))
        if self.state.by_hand and not (mine.wanted and mine.permitted and mine.opened):
            self.change(by_hand=False)
            self.do(TakeOverRefused("not_running_distributed"))

    def _is_left_anywhere(self) -> bool:
        """Whether what was stopped is still there. Where it was started again meanwhile, that is another."""
        mine = self.state.mine
        known = (mine, *(status for _, status in self.state.peers))
        return any(one.phase in ACTIVE and not (one.wanted and one.stops >= mine.stops) for one in known)

    def _look_while_running(self) -> None:
        """Two copies that meet: the better one stays. A copy that is not permitted stays until somebody claims it."""
        state = self.state
        if state.yielding_to is not None:
            status = state.peer(state.yielding_to.node)
            if status is not None and status.phase is Phase.RUNNING:
                self.change(yielding_to=None)
                self._stop_here()
            return
        others = [name for name, status in state.peers if status.phase is Phase.RUNNING and name != state.ousting]
        if any(state.place(name) < state.place(state.me) for name in others) or (
            not state.mine.permitted and state.next_node is None
        ):
            self._stop_here()

    def _look_while_claiming(self) -> None:
        state = self.state
        claim = state.claim
        assert claim is not None, "the phase says so"
        runner = state.runner
        if runner is not None and runner != claim.claim.takes_over:
            self._withdraw()
            self._look_while_idle()
        elif not claim.awaiting:
            self._win(claim)

    def _look_while_idle(self) -> None:
        state = self.state
        if not state.mine.wanted:
            return
        runner = state.runner
        if runner is not None:
            self._look_at_runner(runner)
            return
        if not state.mine.permitted:
            if state.next_node is None:
                self._tell(None)
        elif state.mine.failed is not None and state.next_node is None:
            self._give_up(state.mine.failed)
        elif state.promised is None and not state.waiting and state.next_node == state.me:
            self._claim(None)
            self._look_while_claiming()

    def _look_at_runner(self, runner: str) -> None:
        """Another node has it: take it over if that is our due, else stand by."""
        state = self.state
        if sum(status.phase in ACTIVE for _, status in state.peers) > 1:
            return  # it is being moved, or one of them has not been heard of for a while
        status = state.peer(runner)
        assert status is not None, "it is a peer"
        if status.phase is not Phase.RUNNING:
            return
        better = state.eager and state.better_group(state.me, runner)
        due = state.by_hand or better or (not status.permitted and state.next_node == state.me)
        if not (due and state.mine.permitted and state.mine.failed is None):
            self.change(eager=False)
            self._tell(runner)
        elif state.promised is None:
            self._claim(runner)
            self._look_while_claiming()

    def _tell(self, node: str | None) -> None:
        if self.state.told != RunsAt(node):
            self.change(told=RunsAt(node))
            self.do(RunsAt(node))

    def _give_up(self, reason: str) -> None:
        """It was tried wherever it could be: nobody is left."""
        self.change(last_ran_at=None, handoff=None, gave_to=None)
        self.mine(wanted=False, failed=None, opened=False, holds_handoff=False)
        self.do(RunsNowhere(reason))
