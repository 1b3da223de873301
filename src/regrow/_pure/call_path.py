"""Whether processes that wait for each other stand in a circle: what a look along their waits has seen, and means.

A process that waits for the reply to a call waits for one server, which may wait for another. The look goes from
each to the next, on whichever node that is, so it sees each wait at a time of its own, and one that it saw may be over
when it sees the next. Therefore it goes round twice. A wait that is the same both times has lasted in between;
so, as the second round begins, every one of them lasts, and the circle is real.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from .ids import Pid, Reference

HOPS_MAX = 256  # a longer chain of waits is not followed


@attrs.frozen
class Hop:
    """One process that waits, and the request whose answer it waits for."""

    pid: Pid
    request: Reference
    name: str = attrs.field(eq=False)
    """What people call the process."""


Path: TypeAlias = tuple[Hop, ...]


@attrs.frozen
class Circle:
    """Each waits for the next, and the last for the first."""

    hops: Path


def followed(path: Path, hop: Hop) -> Path | Circle | None:
    """The path, which is not empty, and then this wait of the process that it has come to.

    A `Circle` once it is certain, back at the first hop. `None` if there is no circle with the first hop in it.
    """
    start = path[0]
    length = next((i for i, earlier in enumerate(path) if i > 0 and earlier == start), None)
    if length is None:
        goes_on = hop == start or (hop not in path and len(path) < HOPS_MAX)
        return (*path, hop) if goes_on else None
    if hop != path[len(path) - length]:
        return None
    return (*path, hop) if len(path) < 2 * length else Circle(path[length:])
