"""Identity of processes and references: plain data, equal by value on every node."""

from __future__ import annotations

import re
from typing import Any, NewType

import attrs

UNNAMED_NODE = "nonode@nohost"  # the name of a node that has none, as in OTP

_PID_TEXT = re.compile(r"<?(?P<node>0|[^<>\s]+@[^<>\s]+?)\.(?P<id>\d+)\.(?P<serial>\d+)>?")


class ProcessName:
    """What names a process and is more than a string of its node's registry: the base of such addresses."""

    __slots__ = ()

    name: Any
    """What the process is called there."""


@attrs.frozen(repr=False)
class Pid:
    """The identity of one process of one incarnation of one node.

    `id` and `serial` count the processes of a node, `creation` tells its incarnations apart: a pid of an
    earlier incarnation never addresses a process of a later one. All three are unsigned 32-bit numbers.
    """

    node: str
    id: int
    serial: int
    creation: int

    def __hash__(self) -> int:
        return hash((self.id, self.creation))  # not kept: that would be one more object for each process

    def __str__(self) -> str:
        node = "0" if self.node == UNNAMED_NODE else self.node
        return f"<{node}.{self.id}.{self.serial}>"

    __repr__ = __str__


@attrs.frozen(repr=False)
class Reference:
    """A name for one event (a monitor, an alias, a timer), unique across nodes and incarnations."""

    node: str
    creation: int
    words: tuple[int, int, int]

    def __hash__(self) -> int:
        return hash((self.words, self.creation))

    def __str__(self) -> str:
        return f"#Ref<{self.node}.{'.'.join(map(str, self.words))}>"

    __repr__ = __str__


TimerRef = NewType("TimerRef", Reference)  # of a timer, and so no other reference can be cancelled as one


@attrs.frozen
class PidText:
    """What the printed form of a pid says; the incarnation is not printed."""

    node: str
    id: int
    serial: int


def parse_pid(text: str) -> PidText | None:
    """Read a pid as printed, `<jc1@localhost.9.0>` or `<0.9.0>`; `None` if the text is no pid."""
    found = _PID_TEXT.fullmatch(text.strip())
    if found is None:
        return None
    node = UNNAMED_NODE if found["node"] == "0" else found["node"]
    return PidText(node, int(found["id"]), int(found["serial"]))
