"""Numbers for hosts and for what is in a channel, and the smallest numbers for the claims they mention.

Claims are numbered, and only whether two of these numbers are equal ever matters. So each world is told with the
smallest: otherwise two that differ in how many claims came to nothing before would count as two, and a quarrel that
never ends would be ever new worlds instead of a circle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

import attrs

from regrow._pure.dist_app import Asked, Claim, Deny, Grant, Withdraw

from .hosts import Down, Host, Item, Queue

T = TypeVar("T", bound=Hashable)
Changes: TypeAlias = Mapping[str, Mapping[int, int]]
"""By the node that claims: new numbers for the old ones."""

CLAIMS_MAX = 16  # of one node, mentioned at the same time; more are a quarrel that does not end
END = Down()


class Mentioned:
    """Sets of claims as numbers, a bit for each claim of each node; on top, how many claims each has made."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._changes: dict[int, Changes] = {}

    def claims(self, node: str, *numbers: int) -> int:
        assert max(numbers, default=0) <= CLAIMS_MAX, f"{node} claims it again and again"
        return sum(1 << number - 1 for number in numbers) << CLAIMS_MAX * self._names.index(node)

    def made(self, node: str, count: int) -> int:
        return self.claims(node, *range(1, count + 1)) << CLAIMS_MAX * len(self._names)

    def changes(self, mentioned: int) -> Changes:
        """What has to be changed for the claims of each node to be 1, 2, 3 and so on."""
        changes = self._changes.get(mentioned)
        if changes is None:
            changes = self._changes[mentioned] = dict(self._find_changes(mentioned))
        return changes

    def _find_changes(self, mentioned: int) -> Iterator[tuple[str, Mapping[int, int]]]:
        made = mentioned >> CLAIMS_MAX * len(self._names)
        for place, name in enumerate(self._names):
            bits, all_bits = (which >> CLAIMS_MAX * place & (1 << CLAIMS_MAX) - 1 for which in (mentioned, made))
            if bits != all_bits:
                numbers = [number for number in range(1, CLAIMS_MAX + 1) if bits >> number - 1 & 1]
                yield name, {old: new for new, old in enumerate(numbers, 1)}


class Table(ABC, Generic[T]):
    """The number of each value, and what has to be known of it."""

    def __init__(self, nothing: T, mentioned: Mentioned) -> None:
        self.values: list[T] = []
        self.mentions: list[int] = []
        """Which claims each of them mentions."""
        self.marked: list[bool] = []
        """Whether the application is on the host; whether a node's end is in the channel."""
        self._numbers: dict[T, int] = {}
        self._mentioned = mentioned
        self.number(nothing)

    def number(self, value: T) -> int:
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
            self.mentions.append(self.mentions_of(value))
            self.marked.append(self.is_marked(value))
        return number

    def changed(self, number: int, changes: Changes) -> int:
        """The number of the same with other claims."""
        return self.number(self.with_claims(self.values[number], changes))

    @abstractmethod
    def mentions_of(self, value: T) -> int: ...

    @abstractmethod
    def is_marked(self, value: T) -> bool: ...

    @abstractmethod
    def with_claims(self, value: T, changes: Changes) -> T: ...


class Hosts(Table[Host | None]):
    """What one host may be; `None` is down."""

    def __init__(self, mentioned: Mentioned) -> None:
        super().__init__(None, mentioned)

    def is_marked(self, value: Host | None) -> bool:
        return value is not None and value.is_active

    def mentions_of(self, value: Host | None) -> int:
        if value is None:
            return 0
        state = value.state
        bits = self._mentioned.made(state.me, state.claims_made)
        if state.claim is not None:
            bits |= self._mentioned.claims(state.me, state.claim.claim.number)
        for asked in (state.promised, *state.deferred, state.stopping_for, state.yielding_to):
            if asked is not None:
                bits |= self._mentioned.claims(asked.node, asked.claim.number)
        return bits

    def with_claims(self, value: Host | None, changes: Changes) -> Host | None:
        if value is None:
            return None
        state = value.state
        mine = changes.get(state.me)
        claim = state.claim
        state = attrs.evolve(
            state,
            claims_made=state.claims_made if mine is None else len(mine),
            claim=claim and attrs.evolve(claim, claim=_claim(claim.claim, mine)),
            promised=state.promised and _asked(state.promised, changes),
            deferred=tuple(_asked(asked, changes) for asked in state.deferred),
            stopping_for=state.stopping_for and _asked(state.stopping_for, changes),
            yielding_to=state.yielding_to and _asked(state.yielding_to, changes),
        )
        return attrs.evolve(value, state=state)


class Queues(Table[Queue]):
    """What may be in one channel."""

    def __init__(self, mentioned: Mentioned, sender: str, receiver: str) -> None:
        self._sender = sender
        self._receiver = receiver
        super().__init__((), mentioned)

    def is_marked(self, value: Queue) -> bool:
        return END in value

    def mentions_of(self, value: Queue) -> int:
        bits = 0
        for item in value:
            match item:
                case Claim(number) | Withdraw(number):
                    bits |= self._mentioned.claims(self._sender, number)
                case Grant(number) | Deny(number):
                    bits |= self._mentioned.claims(self._receiver, number)
                case _:
                    pass
        return bits

    def with_claims(self, value: Queue, changes: Changes) -> Queue:
        return tuple(self._item(item, changes) for item in value)

    def _item(self, item: Item, changes: Changes) -> Item:
        match item:
            case Claim() | Withdraw():
                numbers = changes.get(self._sender)
            case Grant() | Deny():
                numbers = changes.get(self._receiver)
            case _:
                return item
        return item if numbers is None else attrs.evolve(item, number=numbers[item.number])


def _claim(claim: Claim, numbers: Mapping[int, int] | None) -> Claim:
    return claim if numbers is None else attrs.evolve(claim, number=numbers[claim.number])


def _asked(asked: Asked, changes: Changes) -> Asked:
    return attrs.evolve(asked, claim=_claim(asked.claim, changes.get(asked.node)))
