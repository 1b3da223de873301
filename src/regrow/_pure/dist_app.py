"""Where a distributed application runs: what one node decides about one application.

Every node tells the others what it is doing about the application (its `Status`), and each decides by the same
rules from what it knows. Who finds itself to be next *claims* the application and starts it when every other
node has granted that; a grant is a promise not to start it meanwhile. Of two claims the better one counts. A
node that runs it grants a claim that takes over by stopping first; its grant carries what it hands over.

Nothing here waits: an election under way is a state, and every event may move it on.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias

import attrs

Groups: TypeAlias = tuple[tuple[str, ...], ...]
NO_HANDOFF = None


class Phase(enum.Enum):
    """What a node is doing about the application."""

    IDLE = "idle"
    """It does not run here."""
    CLAIMING = "claiming"
    """This node wants to start it and waits for the others' grants."""
    STARTING = "starting"
    """It is being started here."""
    RUNNING = "running"
    """It runs here."""
    STOPPING = "stopping"
    """It is being stopped here."""


ACTIVE = (Phase.STARTING, Phase.RUNNING, Phase.STOPPING)  # no set: the hash of an enum's member costs more than a look
"""In these phases there are, or may be, processes of the application on the node."""


def _places_in(settings: Settings) -> Mapping[str, int]:
    return {node: place for place, group in enumerate(settings.groups) for node in group}


@attrs.frozen
class Settings:
    """What all nodes have to agree on."""

    groups: Groups
    """Groups of equal nodes, the best first."""
    wait_s: float = 0.0
    """How long the next node waits for one that went down."""
    overlap: bool = False
    """Whether a takeover starts the new instance before it stops the old one, as OTP does."""
    _places: Mapping[str, int] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_places_in, takes_self=True)
    )
    """The place of each node's group. It is asked for all nodes at each event, and so not looked for each time."""

    def group_of(self, node: str) -> int:
        """The place of the node's group; behind the last for a node that is not listed."""
        return self._places.get(node, len(self.groups))

    def lists(self, node: str) -> bool:
        return self.group_of(node) < len(self.groups)


@attrs.frozen
class Status:
    """What a node tells of itself."""

    wanted: bool = False
    """Whether the application was started on this node, so that it may run here."""
    permitted: bool = True
    phase: Phase = Phase.IDLE
    failed: str | None = None
    """Why it does not work here: it was tried, and is not again until somebody starts it anew."""
    weight: int = 0
    """How many applications run on the node."""
    stops: int = 0
    """How often it was stopped everywhere, as far as the node knows."""
    opened: bool = False
    """Whether it has run, or was tried, anywhere since it was started on this node."""
    holds_handoff: bool = False
    """Whether it gave the application away, and nobody runs it yet."""


# -- messages between nodes


@attrs.frozen
class Tell:
    """The sender's status."""

    status: Status


@attrs.frozen
class Claim:
    """The sender wants to start the application."""

    number: int
    order: tuple[bool, bool, int, int, str]
    """Of two claims the smaller counts: by hand first, then who gave it away, group, weight, name."""
    takes_over: str | None
    """The node that is to stop it first."""


@attrs.frozen
class Grant:
    """The sender will not start it before the claim is settled; what it hands over, if it ran it."""

    number: int
    handoff: object = NO_HANDOFF


@attrs.frozen
class Deny:
    """The sender runs it and has no reason to stop."""

    number: int


@attrs.frozen
class Withdraw:
    """The claim is void."""

    number: int


@attrs.frozen
class StopAll:
    """Somebody stopped the application, everywhere."""

    stops: int
    """How often that was done by now."""


Message: TypeAlias = Tell | Claim | Grant | Deny | Withdraw | StopAll


# -- events


@attrs.frozen
class Introduced:
    """A node was met, or met again."""

    node: str
    status: Status


@attrs.frozen
class Lost:
    """The connection to a node is lost."""

    node: str


@attrs.frozen
class Heard:
    """A node said something."""

    node: str
    message: Message


@attrs.frozen
class Want:
    """Somebody starts the application on this node."""


@attrs.frozen
class StopWanted:
    """Somebody stops the application."""


@attrs.frozen
class Permit:
    """Somebody says whether it may run here."""

    flag: bool


@attrs.frozen
class TakeOverByHand:
    """Somebody wants it here, whatever the precedence says."""


@attrs.frozen
class Started:
    """It runs here now."""


@attrs.frozen
class Failed:
    """It could not be started here, or ended by itself."""

    reason: str


@attrs.frozen
class Stopped:
    """It was stopped here, as ordered."""

    handoff: object = NO_HANDOFF


@attrs.frozen
class WaitOver:
    """The time for which `WaitFor` was asked has passed."""

    number: int


@attrs.frozen
class Weight:
    """So many applications run on this node now."""

    count: int


Event: TypeAlias = (
    Introduced
    | Lost
    | Heard
    | Want
    | StopWanted
    | Permit
    | TakeOverByHand
    | Started
    | Failed
    | Stopped
    | WaitOver
    | Weight
)


# -- actions


@attrs.frozen
class Send:
    """Say this to a node."""

    node: str
    message: Message


class Because(enum.Enum):
    """Why an application is started."""

    NORMAL = "normal"
    FAILOVER = "failover"
    TAKEOVER = "takeover"


@attrs.frozen
class StartHere:
    """Start it on this node."""

    because: Because
    node: str | None = None
    """Where it ran before."""
    handoff: object = NO_HANDOFF


@attrs.frozen
class StopHere:
    """Stop the instance on this node."""

    ask_handoff: bool


@attrs.frozen
class WaitFor:
    """Come back with `WaitOver` of that number after that time."""

    number: int
    seconds: float


@attrs.frozen
class RunsAt:
    """Tell whoever started it here that it runs on that node; `None` if it is not permitted anywhere."""

    node: str | None


@attrs.frozen
class RunsNowhere:
    """Tell whoever started it here that it was stopped, or has failed everywhere, for that reason."""

    reason: str | None


@attrs.frozen
class TakeOverRefused:
    """Tell whoever asked for a takeover by hand that there is nothing to take over."""

    why: str


Action: TypeAlias = Send | StartHere | StopHere | WaitFor | RunsAt | RunsNowhere | TakeOverRefused


# -- the state of one node


@attrs.frozen
class MyClaim:
    """The claim this node has made."""

    claim: Claim
    awaiting: frozenset[str]
    """Nodes that have not answered yet."""
    handoff: object = NO_HANDOFF


@attrs.frozen
class Asked:
    """Somebody else's claim."""

    node: str
    claim: Claim


@attrs.frozen
class State:
    """All that a node knows and has promised about one application."""

    me: str
    settings: Settings
    mine: Status = Status()
    peers: tuple[tuple[str, Status], ...] = ()
    """The nodes that are there, by name."""
    claims_made: int = 0
    claim: MyClaim | None = None
    promised: Asked | None = None
    """The claim that was granted and is not settled yet."""
    deferred: tuple[Asked, ...] = ()
    """Claims to be answered when the promised one, or our own start, is settled."""
    stopping_for: Asked | None = None
    """The claim that is granted when the instance here is stopped."""
    ousting: str | None = None
    """The node whose instance ours replaces, and which stops as soon as it knows that ours runs (overlap)."""
    yielding_to: Asked | None = None
    """The claim whose instance replaces ours as soon as it runs (overlap)."""
    last_ran_at: str | None = None
    """Where it ran last, if that is not here and nobody runs it now."""
    waits: int = 0
    """How often it was waited for a node to come back."""
    waiting: bool = False
    """Whether the node it ran on went down and may come back."""
    handoff: object = NO_HANDOFF
    """What our instance handed over, until somebody runs it."""
    gave_to: str | None = None
    eager: bool = False
    """Started here, or permitted here, and not yet compared with who runs it."""
    by_hand: bool = False
    """Somebody wants it here whatever the precedence says, and waits for that."""
    stop_after_start: bool = False
    stopping_all: bool = False
    """It was stopped everywhere, and whoever started it here is told when it is."""
    told: RunsAt | None = None
    """What the starter was told last."""

    def peer(self, node: str) -> Status | None:
        return next((status for name, status in self.peers if name == node), None)

    @property
    def runner(self) -> str | None:
        """Another node where it is, or may be, running: the best of them."""
        active = [name for name, status in self.peers if status.phase in ACTIVE]
        return min(active, key=self.place, default=None)

    @property
    def next_node(self) -> str | None:
        """Whose turn it is to start it; before anybody has tried, maybe a node where it is yet to be started."""
        first = not self.mine.opened
        known = [(self.me, self.mine), *self.peers]
        orders = [
            (not status.holds_handoff, self.settings.group_of(node), status.weight, node)
            for node, status in known
            if status.permitted and status.failed is None and (status.wanted or first) and self.settings.lists(node)
        ]
        return min(orders)[-1] if orders else None

    def place(self, node: str) -> tuple[int, str]:
        return self.settings.group_of(node), node

    def better_group(self, node: str, other: str) -> bool:
        return self.settings.group_of(node) < self.settings.group_of(other)
