"""One node of a simulated cluster: its part in the election, what is under way on it, and who waits there.

A host changes in one way only: an event is fed to `step`, and its actions are carried out as the distributed
application controller does. What has no meaning any more is forgotten at once, so that two hosts that will
behave alike are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import attrs

from regrow._pure.dist_app import (
    ACTIVE,
    Event,
    Failed,
    Heard,
    Introduced,
    Lost,
    Message,
    Permit,
    Phase,
    RunsAt,
    RunsNowhere,
    Send,
    Started,
    StartHere,
    State,
    Status,
    StopHere,
    Stopped,
    StopWanted,
    TakeOverByHand,
    TakeOverRefused,
    WaitFor,
    WaitOver,
    Want,
    Weight,
)
from regrow._pure.election import step

HANDOFF = "what was handed over"


@attrs.frozen
class Meet:
    """What a node says first to one it is connected with, and is answered: its status."""

    status: Status
    answer: bool = False


@attrs.frozen
class Down:
    """The end of all that a node has said, before it went down."""


Item: TypeAlias = Message | Meet | Down
"""What lies in a channel."""
Queue: TypeAlias = tuple[Item, ...]
Said: TypeAlias = "tuple[tuple[str, Message | Meet], ...]"
"""What a node says, and to whom."""


@attrs.frozen
class Host:
    """A node that is up."""

    state: State
    orders: tuple[str, ...] = ()
    """Starts and stops under way, in order."""
    rings: bool = False
    """Whether it waits for a node to come back, so that its timer may ring."""
    unmet: frozenset[str] = frozenset()
    """Nodes it is connected with that have not said yet what they do; meanwhile nothing is started."""
    starter: bool = False
    """Somebody waits for the application to be started."""
    stopper: bool = False
    """Somebody waits for it to be stopped."""
    taker: bool = False
    """Somebody waits for it to be taken over."""

    @property
    def name(self) -> str:
        return self.state.me

    @property
    def phase(self) -> Phase:
        return self.state.mine.phase

    @property
    def is_active(self) -> bool:
        return self.phase in ACTIVE

    @property
    def able(self) -> bool:
        """Whether the application may run here, and is to."""
        mine = self.state.mine
        return mine.wanted and mine.permitted and mine.failed is None


Outcome: TypeAlias = tuple[Host, Said]


def feed(host: Host, event: Event) -> Outcome:
    """The host after one event, and what it says."""
    state, actions = step(host.state, event)
    said: list[tuple[str, Message | Meet]] = []
    orders = host.orders
    rings, starter, stopper, taker = host.rings, host.starter, host.stopper, host.taker
    match event:
        case Started():
            starter = taker = False
        case Failed():
            taker = False
        case _:
            pass
    for action in actions:
        match action:
            case Send(to, message):
                said.append((to, message))
            case StartHere():
                orders = (*orders, "start")
            case StopHere():
                orders = (*orders, "stop")
            case WaitFor():
                rings = True
            case RunsAt():
                starter = False
            case RunsNowhere():
                starter = stopper = False
            case TakeOverRefused():
                taker = False
    # A timer that nobody waits for any more changes nothing, and its number is told from the next one only.
    rings, state = rings and state.waiting, attrs.evolve(state, waits=int(state.waiting))
    host = Host(state, orders, rings, host.unmet, starter, stopper, taker)
    return host, tuple(said)


def take(host: Host, sender: str, item: Item) -> Outcome:
    """What comes out of the channel of another node."""
    met = attrs.evolve(host, unmet=host.unmet - {sender})
    match item:
        case Meet(status, answer):
            mine = () if answer else ((sender, Meet(host.state.mine, answer=True)),)
            after, said = feed(met, Introduced(sender, status))
            return after, (*mine, *said)
        case Down():
            return feed(met, Lost(sender))
        case _ if host.state.peer(sender) is None:
            return host, ()
        case _:
            return feed(host, Heard(sender, item))


# -- what goes on by itself


def finish(host: Host) -> Outcome | None:
    """The oldest order is carried out."""
    if not host.orders:
        return None
    order, *rest = host.orders
    return feed(attrs.evolve(host, orders=tuple(rest)), Started() if order == "start" else Stopped(HANDOFF))


def ring(host: Host) -> Outcome | None:
    """It has waited long enough for a node to come back."""
    return feed(attrs.evolve(host, rings=False), WaitOver(host.state.waits)) if host.rings else None


# -- what happens to it from outside


def start(host: Host) -> Outcome | None:
    mine, busy = host.state.mine, host.state.stopping_all or host.is_active
    if busy or host.unmet or (mine.wanted and mine.failed is None):
        return None
    return feed(attrs.evolve(host, starter=True), Want())


def stop(host: Host) -> Outcome | None:
    return feed(attrs.evolve(host, stopper=True), StopWanted()) if host.state.mine.wanted else None


def permission(host: Host) -> Outcome:
    """It is forbidden to run here, or permitted again."""
    return feed(host, Permit(not host.state.mine.permitted))


def failing_start(host: Host) -> Outcome | None:
    if host.orders[:1] != ("start",):
        return None
    return feed(attrs.evolve(host, orders=host.orders[1:]), Failed("it does not start here"))


def death(host: Host) -> Outcome | None:
    """The application ends by itself."""
    return feed(host, Failed("it died")) if host.phase is Phase.RUNNING else None


def takeover(host: Host) -> Outcome:
    """By hand."""
    return feed(attrs.evolve(host, taker=True), TakeOverByHand())


def weight(host: Host) -> Outcome:
    """Another application starts here, or ends."""
    return feed(host, Weight(1 - host.state.mine.weight))


BY_ITSELF = (finish, ring)
FROM_OUTSIDE: Mapping[str, Callable[[Host], Outcome | None]] = MappingProxyType(
    {
        "start": start,
        "stop": stop,
        "permission": permission,
        "failing start": failing_start,
        "death": death,
        "takeover": takeover,
        "weight": weight,
    }
)
