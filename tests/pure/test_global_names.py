"""Global names: what each node says, and what it makes of what it hears. Whole histories are in `tests/sim`."""

from __future__ import annotations

from collections import deque

from regrow._pure.global_names import (
    Action,
    Done,
    Drop,
    Echo,
    Entry,
    Freed,
    GlobalNames,
    Lost,
    Meet,
    Message,
    Probe,
    Put,
    Resolve,
    Tell,
    shown,
)
from regrow._pure.ids import Pid
from tests.harness import row


def pid_on(node: str, number: int = 1) -> Pid:
    return Pid(node, number, 0, 1)


class Pair:
    """Two nodes and what is between them, delivered when the test says so."""

    def __init__(self, *, joined: bool = True) -> None:
        self.nodes = {"a": GlobalNames("a"), "b": GlobalNames("b")}
        self.sent: deque[Tell] = deque()
        self.seen: list[Action] = []
        if joined:
            self.join()

    def join(self) -> None:
        self.do(self.nodes["a"].up("b"))
        self.do(self.nodes["b"].up("a"))
        self.deliver()

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            if not isinstance(action, Tell):
                self.seen.append(action)
            elif action.node in self.nodes:
                self.sent.append(action)

    def deliver(self) -> None:
        while self.sent:
            said = self.sent.popleft()
            sender = "b" if said.node == "a" else "a"
            self.do(self.nodes[said.node].told(sender, said.message))

    def news(self) -> list[Action]:
        """What is to be done besides telling, since this was asked last."""
        self.deliver()
        news, self.seen = self.seen, []
        return news


A, B = pid_on("a"), pid_on("b")


def told(actions: list[Action]) -> list[Message]:
    return [action.message for action in actions if isinstance(action, Tell)]


def test_alone_a_name_is_registered_at_once() -> None:
    """Nobody has to be asked."""
    names = GlobalNames("a")
    assert names.register("x", A, 5, 1) == [Done(1, A)]
    assert (names.whereis("x"), names.names(), names.holders("x")) == (A, ["x"], [A])
    assert names.release("x", A) == [Freed("x", A)]
    assert (names.whereis("x"), names.names(), names.quiet) == (None, [], True)


def test_a_registration_is_claimed_then_settled_and_shown_only_then() -> None:
    """Two rounds; the other node answers each of them."""
    names = GlobalNames("a")
    assert names.up("b") == [Tell("b", Meet(()))]
    claim = Entry("x", A, (5, "a"))
    assert told(names.register("x", A, 5, 1)) == [Put(claim), Probe(1)]
    assert names.whereis("x") is None
    settled = Entry("x", A, (5, "a"), settled=True)
    assert told(names.told("b", Echo(1))) == [Put(settled), Probe(2)]
    assert names.whereis("x") == A
    assert names.told("b", Echo(2)) == [Done(1, A)]
    assert names.quiet


def test_a_name_that_is_taken_or_claimed_is_refused_at_once() -> None:
    """Here and on the other node; the refusal says who has it, or is about to."""
    pair = Pair()
    other = pid_on("a", 2)
    pair.do(pair.nodes["a"].register("x", A, 1, 1))
    assert pair.nodes["a"].register("x", other, 2, 2) == [Freed("x", other), Done(2, A)]
    assert pair.news() == [Done(1, A)]
    assert pair.nodes["b"].register("x", B, 3, 3) == [Freed("x", B), Done(3, A)]


def test_a_lost_node_is_not_waited_for() -> None:
    """A round is over when all have answered that are still there."""
    names = GlobalNames("a")
    names.up("b")
    names.up("c")
    names.register("x", A, 1, 1)
    names.told("b", Echo(1))
    assert Put(Entry("x", A, (1, "a"), settled=True)) in told(names.down("c"))
    assert names.down("b") == [Done(1, A)]


@row("GLB-006")
def test_a_registration_under_way_reaches_a_node_that_joins_midway() -> None:
    """It hears of the claim first of all, refuses another, and is waited for."""
    pair = Pair(joined=False)
    pair.nodes["a"].up("c")
    pair.do(pair.nodes["a"].register("x", A, 1, 1))
    pair.sent.clear()
    pair.join()
    assert pair.nodes["b"].register("x", B, 2, 2) == [Freed("x", B), Done(2, A)]
    assert pair.nodes["a"].told("c", Echo(1))[0] == Tell("c", Put(Entry("x", A, (1, "a"), settled=True)))
    assert pair.nodes["a"].told("c", Echo(2)) == [], "the second round is for the new node too"


def test_a_process_that_ends_during_its_registration_never_has_the_name() -> None:
    """Its claim goes, and whoever waited is told that nobody has it."""
    pair = Pair()
    pair.do(pair.nodes["a"].register("x", A, 1, 1))
    pair.do(pair.nodes["a"].release("x", A))
    assert pair.news() == [Freed("x", A), Done(1, None)]
    assert pair.nodes["b"].whereis("x") is None
    assert pair.nodes["a"].quiet


def test_a_process_that_loses_the_name_before_its_registration_is_over_is_told_so() -> None:
    """Settled, and in its second round: who waited does not hear that it has the name."""
    names = GlobalNames("a")
    names.up("b")
    names.register("x", A, 1, 1)
    names.told("b", Echo(1))
    assert names.whereis("x") == A
    assert names.told("b", Lost("x", (1, "a")))[1:] == [Freed("x", A), Done(1, None)]
    assert names.told("b", Echo(2)) == []


def test_a_registration_that_nobody_waits_for_any_more_is_undone() -> None:
    """At any time until it is over; after that it stands."""
    pair = Pair()
    pair.do(pair.nodes["a"].register("x", A, 1, 1))
    pair.do(pair.nodes["a"].withdraw(1))
    assert pair.news() == [Freed("x", A), Done(1, None)]
    pair.do(pair.nodes["a"].register("x", A, 2, 2))
    assert pair.news() == [Done(2, A)]
    assert pair.nodes["a"].withdraw(2) == []
    assert pair.nodes["b"].whereis("x") == A


@row("GLB-010")
def test_a_name_that_was_dropped_does_not_come_back() -> None:
    """The owner alone says what it has, and says it anew at each meeting."""
    pair = Pair()
    pair.do(pair.nodes["a"].register("x", A, 1, 1))
    assert pair.news() == [Done(1, A)]
    pair.nodes["a"].down("b")
    assert pair.nodes["a"].unregister("x", 2) == [Freed("x", A), Done(2, None)]
    pair.nodes["b"].down("a")
    assert pair.nodes["b"].whereis("x") is None
    pair.join()
    assert pair.nodes["b"].whereis("x") is None
    assert pair.news() == []


@row("GLB-003")
def test_the_names_of_a_lost_node_go_with_it() -> None:
    """And those of others stay."""
    pair = Pair()
    pair.do(pair.nodes["a"].register("x", A, 1, 1))
    pair.do(pair.nodes["b"].register("y", B, 1, 2))
    pair.news()
    assert sorted(pair.nodes["b"].names()) == ["x", "y"]
    pair.nodes["b"].down("a")
    assert pair.nodes["b"].names() == ["y"]


def clashing() -> Pair:
    """Two nodes that meet, and both have the name; that of `a` is older, by its stamp."""
    pair = Pair(joined=False)
    pair.nodes["a"].register("x", A, 10, 1)
    pair.nodes["b"].register("x", B, 20, 2)
    pair.join()
    return pair


OLDER, YOUNGER = Entry("x", A, (10, "a"), settled=True), Entry("x", B, (20, "b"), settled=True)


@row("GLB-008", translated="the default keeps the older, not one of both at random, and kills the other as OTP does")
def test_a_clash_is_put_to_the_owner_of_the_older_and_to_nobody_else() -> None:
    """Once; until it is resolved both show the older."""
    pair = clashing()
    assert pair.news() == [Resolve(OLDER, YOUNGER)]
    assert [node.whereis("x") for node in pair.nodes.values()] == [A, A]
    assert sorted(pair.nodes["a"].holders("x"), key=str) == [A, B]
    pair.do(pair.nodes["a"].resolved(OLDER, YOUNGER, A))
    assert pair.news() == [Freed("x", B)]
    assert [node.holders("x") for node in pair.nodes.values()] == [[A], [A]]


@row("GLB-008", translated="the default keeps the older, not one of both at random, and kills the other as OTP does")
def test_a_clash_may_leave_the_younger_or_nobody() -> None:
    """What the resolver says, both do."""
    pair = clashing()
    assert pair.news() == [Resolve(OLDER, YOUNGER)]
    pair.do(pair.nodes["a"].resolved(OLDER, YOUNGER, B))
    assert pair.news() == [Freed("x", A)]
    assert [node.whereis("x") for node in pair.nodes.values()] == [B, B]
    pair = clashing()
    pair.news()
    pair.do(pair.nodes["a"].resolved(OLDER, YOUNGER, None))
    assert pair.news() == [Freed("x", A), Freed("x", B)]
    assert [node.whereis("x") for node in pair.nodes.values()] == [None, None]


@row("GLB-011")
def test_a_verdict_on_what_is_gone_means_nothing() -> None:
    """One of the two may end, or register again, while the clash is resolved."""
    pair = clashing()
    pair.news()
    again = pid_on("b", 2)
    pair.do(pair.nodes["a"].resolved(OLDER, YOUNGER, A))
    pair.nodes["b"].release("x", B)
    pair.nodes["b"].down("a")
    pair.nodes["b"].register("x", again, 30, 3)
    assert pair.nodes["b"].told("a", Lost("x", YOUNGER.stamp)) == []
    assert pair.nodes["b"].whereis("x") == again
    assert pair.nodes["a"].told("b", Drop("x", (99, "b"))) == []
    pair.nodes["a"].release("x", A)
    assert pair.nodes["a"].resolved(OLDER, YOUNGER, A) == []


@row("GLB-007")
def test_a_process_that_both_sides_knew_is_no_clash() -> None:
    """Its node tells both of them of it again and again; there is one entry all the same."""
    pair = Pair()
    third = Meet((Entry("x", pid_on("c"), (1, "c"), settled=True),))
    for node in pair.nodes.values():
        node.up("c")
        node.told("c", third)
        assert node.told("c", third) == []
    pair.nodes["a"].down("b")
    pair.nodes["b"].down("a")
    pair.join()
    assert pair.news() == []
    assert pair.nodes["b"].whereis("x") == pid_on("c")


def test_who_has_a_name_keeps_it_against_a_claim_that_is_older() -> None:
    """A claim that has not been settled when the nodes meet is dropped; nobody has seen it."""
    pair = Pair(joined=False)
    pair.nodes["b"].up("silent")
    pair.do(pair.nodes["b"].register("x", B, 5, 2))
    pair.sent.clear()
    pair.nodes["a"].register("x", A, 10, 1)
    pair.join()
    assert pair.news() == [Freed("x", B), Done(2, A)]


@row("GLB-004")
def test_a_registration_in_place_of_another_replaces_it_without_a_gap() -> None:
    """The old one is shown until the new one is settled, and loses the name without a clash."""
    pair = Pair()
    pair.do(pair.nodes["a"].register("x", A, 1, 1))
    pair.news()
    pair.do(pair.nodes["b"].register("x", B, 2, 2, replace=True))
    seen: set[Pid | None] = set()
    while pair.sent:
        said = pair.sent.popleft()
        sender = "b" if said.node == "a" else "a"
        pair.do(pair.nodes[said.node].told(sender, said.message))
        seen |= {node.whereis("x") for node in pair.nodes.values()}
    assert seen == {A, B}
    assert pair.news() == [Done(2, B), Freed("x", A)]
    assert [node.whereis("x") for node in pair.nodes.values()] == [B, B]


def test_a_claim_in_place_of_another_is_not_harmed_by_hearing_of_that_again() -> None:
    """Its owner may have been lost and met anew meanwhile."""
    pair = Pair()
    pair.do(pair.nodes["a"].register("x", A, 1, 1))
    pair.news()
    pair.nodes["b"].up("silent")
    pair.do(pair.nodes["b"].register("x", B, 2, 2, replace=True))
    assert pair.news() == []
    pair.nodes["a"].down("b")
    pair.nodes["b"].down("a")
    pair.join()
    assert pair.news() == []
    pair.do(pair.nodes["b"].down("silent"))
    assert pair.news() == [Done(2, B), Freed("x", A)]


@row("GLB-004")
def test_a_replaced_entry_that_its_owner_has_not_dropped_yet_is_not_shown() -> None:
    """A third node may hear of the new one first."""
    new = Entry("x", B, (2, "b"), replaces=((1, "a"),), settled=True)
    assert shown([Entry("x", A, (1, "a"), settled=True), new]) == new
    assert shown([Entry("x", A, (1, "a"), settled=True), Entry("x", B, (2, "b"), settled=False)]) == Entry(
        "x", A, (1, "a"), settled=True
    )


def test_a_registration_is_younger_than_all_that_its_node_has_heard_of() -> None:
    """However the clocks of the nodes differ."""
    pair = Pair()
    pair.do(pair.nodes["a"].register("x", A, 1_000, 1))
    pair.news()
    assert told(pair.nodes["b"].register("y", B, 5, 2))[0] == Put(Entry("y", B, (1_001, "b")))


def test_sync_returns_when_both_have_heard_all() -> None:
    """What the other had said before is known then, too."""
    pair = Pair(joined=False)
    pair.nodes["b"].register("y", B, 1, 1)
    pair.do(pair.nodes["a"].up("b"))
    pair.do(pair.nodes["b"].up("a"))
    pair.do(pair.nodes["a"].sync(2))
    assert pair.news() == [Done(2, None)]
    assert pair.nodes["a"].whereis("y") == B
