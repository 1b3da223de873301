"""What the nodes of a mesh say because something happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs


@attrs.define
class Said:
    """What one node has said, or several."""

    kinds: Counter[str] = attrs.field(factory=Counter[str])
    size_bytes: int = 0

    @property
    def messages(self) -> int:
        return self.kinds.total()

    def add(self, other: Said) -> None:
        self.kinds.update(other.kinds)
        self.size_bytes += other.size_bytes


@attrs.frozen
class Occasion:
    """Something that happened, and what each of the nodes that are there said."""

    what: str
    nodes: int
    by_node: Mapping[str, Said]

    @property
    def busiest(self) -> str:
        """The node that says most."""
        return max(self.by_node, key=lambda node: self.by_node[node].messages, default="")

    @property
    def by_busiest(self) -> Said:
        return self.by_node.get(self.busiest, Said())

    @property
    def by_others(self) -> Said:
        """All of them together."""
        theirs = Said()
        for node, said in self.by_node.items():
            if node != self.busiest:
                theirs.add(said)
        return theirs

    @property
    def by_all(self) -> Said:
        everything = Said()
        everything.add(self.by_busiest)
        everything.add(self.by_others)
        return everything

    def cell(self) -> str:
        """Messages of the busiest node, and of each other on average."""
        return f"{self.by_busiest.messages} / {self._each(self.by_others.messages)}"

    def kinds(self) -> list[str]:
        """The same of each kind alone; and how much it was."""
        busiest, others, size_bytes = self.by_busiest.kinds, self.by_others.kinds, self.by_all.size_bytes
        lines = [f"{kind} {busiest[kind]} / {self._each(others[kind])}" for kind in sorted(busiest | others)]
        return [*lines, f"together {size_bytes / 1000:.0f} kB"] if size_bytes else lines

    def _each(self, count: int) -> str:
        return f"{count / (self.nodes - 1):.3g}"
