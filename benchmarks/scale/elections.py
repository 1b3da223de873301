"""The elections of a mesh alone, without the nodes around them: for more nodes than an interpreter holds.

One application is listed on all of them. Each node's part is the state machine that a real one has; what it sends
arrives in the order in which it was sent, and what it is to start has started as soon as everything before has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from regrow._pure.dist_app import (
    Event,
    Groups,
    Heard,
    Introduced,
    Lost,
    Phase,
    Send,
    Settings,
    Started,
    StartHere,
    State,
    Status,
    Want,
)
from regrow._pure.election import step

from .said import Occasion, Said


class Elections:
    """One application, as each node sees it."""

    def __init__(self, names: Sequence[str], groups: Groups) -> None:
        settings = Settings(groups)
        known = [(name, Status()) for name in sorted(names)]
        self._states = {
            name: State(name, settings, peers=tuple(entry for entry in known if entry[0] != name)) for name in names
        }
        self._settings = settings
        self._todo: deque[tuple[str, Event]] = deque()
        self._said: dict[str, Said] = {}

    @property
    def up(self) -> int:
        return len(self._states)

    def news(self) -> dict[str, Said]:
        """What each node has said; from now on it is counted anew."""
        said, self._said = self._said, {}
        return said

    def come(self, name: str) -> None:
        """A node comes, and meets all others; both sides say who they are, and answer when the other does."""
        new = self._states[name] = State(name, self._settings)
        for other, state in [*self._states.items()]:
            if other != name:
                self._todo += [(name, Introduced(other, state.mine)), (other, Introduced(name, new.mine))] * 2
        self._settle()

    def want(self, names: Sequence[str]) -> None:
        """The application is started on these nodes."""
        self._todo += [(name, Want()) for name in names]
        self._settle()

    def lose(self, name: str) -> None:
        """A node is gone, and all others see it."""
        del self._states[name]
        self._todo += [(other, Lost(name)) for other in self._states]
        self._settle()

    def runs(self) -> list[str]:
        """Where the application runs."""
        return [name for name, state in self._states.items() if state.mine.phase is Phase.RUNNING]

    def _settle(self) -> None:
        while self._todo:
            name, event = self._todo.popleft()
            if name in self._states:
                self._feed(name, event)

    def _feed(self, name: str, event: Event) -> None:
        self._states[name], actions = step(self._states[name], event)
        for action in actions:
            match action:
                case Send(to, message):
                    self._said.setdefault(name, Said()).kinds[f"dist_ac {type(message).__name__}"] += 1
                    self._todo.append((to, Heard(name, message)))
                case StartHere():
                    self._todo.append((name, Started()))
                case _:
                    pass  # who waits for it on a node, and for how long, is no matter here


def elections(count: int) -> list[Occasion]:
    """The same happens to so many nodes as in a mesh of real ones: all are equals, but for the first."""
    names = [f"n{number}@localhost" for number in range(1, count + 1)]
    nodes = Elections(names[:-1], ((names[0],), tuple(names[1:])))
    found: list[Occasion] = []

    def happened(what: str) -> None:
        found.append(Occasion(what, nodes.up, nodes.news()))

    nodes.come(names[-1])
    happened("a node comes")
    nodes.want(names)
    happened("an application starts, listed and wanted on all")
    assert nodes.runs() == names[:1], "its best node"
    nodes.lose(names[0])
    happened("its node dies: failover")
    assert len(nodes.runs()) == 1
    return found
