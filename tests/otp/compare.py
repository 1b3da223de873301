"""What two traces have to agree in: all, in its order, except where there is none.

- The workers of a pool that end together end in any order. So neighbours in a trace that are workers of one pool
  are put in the order of their names.
- What a worker hears of others (`info`) is its own business: where supervisors act on the same event, either may come
  first. So these lines stand behind the others of the step, by worker.
- Workers that are linked with each other end together, under different supervisors: what these do then they do at the
  same time. So from the first such link on each process is compared by itself. And one that its supervisor kills as
  another ends, with which it was linked, may have heard of that end or not: it is sent two signals by two processes.
- A supervisor that was killed: in OTP its death is told at once, and its children follow; in regrow they end first, a
  departure that docs/semantics.md names. So the ends of these processes are put in the order of their names, before
  what comes of them. side.erl holds the next supervisor still meanwhile.
- A pool whose child ignored its restart crashes in OTP 25 when it ends, over the child that it has kept without a
  process. So of its end nothing but that is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby

from .scenario import Known, Scenario

TREE, HEARD, DRIVER = ("start", "terminate", "dead"), ("info",), ("exit", "down", "unexpected")
"""The first words of lines about the tree, of what its workers heard, and of what the driver did."""


CRASH = "'-terminate_dynamic_children/"
"""What tells the crash of a pool in OTP itself."""


def agree(theirs: list[str], ours: list[str]) -> bool:
    """Whether a comparable trace of ours is as that of OTP."""
    crashed = {_subject(line) for line in theirs if CRASH in line}
    return len(theirs) == len(ours) and all(map(partial(_alike, crashed), theirs, ours))


def _alike(crashed: set[str], their: str, our: str) -> bool:
    return their == our or (_subject(their) in crashed and their.split()[:2] == our.split()[:2])


def comparable(scenario: Scenario, trace: Iterable[str]) -> list[str]:
    """The trace with what has no order in the order of names."""
    known = Known.of(scenario)
    pool_of = {worker: pool for pool in known.called("p") for worker in known.children[pool]}
    steps = (("start",), *scenario.steps, ("tree",))
    linked = False
    result: list[str] = []
    for step, (title, *lines) in zip(steps, _parts(trace), strict=True):
        result.append(title)
        if step == ("tree",):
            result += lines
            continue
        linked = linked or step[0] == "tie"
        killed = known.family(step[1]) if step[0] == "exit" and step[2] == "kill" else set[str]()
        for kind in (TREE, DRIVER):
            told = [line for line in lines if line.split()[0] in kind]
            result += sorted(told, key=_subject) if linked else _by_pool(_ends_first(told, killed), pool_of)
        cut_short = {_subject(line) for line in lines if line.startswith("dead ") and line.endswith(" killed")}
        heard = (line for line in lines if line.split()[0] in HEARD)
        result += sorted((line for line in heard if not (linked and _subject(line) in cut_short)), key=_subject)
    return result


def _parts(trace: Iterable[str]) -> Iterator[list[str]]:
    """The lines of each step; the first is its title."""
    part: list[str] = []
    for line in trace:
        if line.startswith("> ") and part:
            yield part
            part = []
        part.append(line)
    yield part


def _subject(line: str) -> str:
    return line.split()[1]


def _ends_first(lines: list[str], killed: set[str]) -> list[str]:
    """Put the ends of those who were killed first, as far as they come before the first of them starts again."""
    theirs = [at for at, line in enumerate(lines) if _subject(line) in killed]
    again = next((at for at in theirs if lines[at].startswith("start ")), len(lines))
    ends = [lines[at] for at in theirs if at < again]
    others = [line for at, line in enumerate(lines) if at >= again or at not in theirs]
    return sorted(ends, key=_subject) + others


def _by_pool(lines: list[str], pool_of: dict[str, str]) -> Iterator[str]:
    for pool, group in groupby(lines, key=lambda line: pool_of.get(_subject(line))):
        neighbours = list(group)
        yield from neighbours if pool is None else sorted(neighbours, key=_subject)
