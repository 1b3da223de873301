"""When a chain of waits is a circle, and when it only looks like one."""

from __future__ import annotations

import pytest

from regrow._pure.call_path import HOPS_MAX, Circle, Hop, Path, followed
from regrow._pure.ids import Pid, Reference

LENGTHS = range(2, 6)


def hop(process: int, request: int = 0, name: str = "") -> Hop:
    """A wait of that process; another request is another wait of it."""
    return Hop(Pid("a@h", process, 0, 1), Reference("a@h", 1, (process, request, 0)), name)


def walk(hops: list[Hop]) -> list[Path | Circle | None]:
    """What comes of each of the hops after the first, until it is decided."""
    path: Path = (hops[0],)
    found: list[Path | Circle | None] = []
    for each in hops[1:]:
        found.append(followed(path, each))
        if not isinstance(found[-1], tuple):
            return found
        path = found[-1]
    return found


@pytest.mark.parametrize("length", LENGTHS)
def test_a_circle_is_certain_once_each_wait_was_seen_twice(length: int) -> None:
    """Not before the look is back at its beginning the second time, where somebody can be told."""
    ring = [hop(number) for number in range(length)]
    found = walk([*ring, *ring, *ring])
    assert len(found) == 2 * length
    assert found[-1] == Circle(tuple(ring))
    assert found[-2] == (*ring, *ring)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_wait_that_is_over_when_the_look_comes_by_again_was_none_of_a_circle(length: int) -> None:
    """Whichever it is, also the first: its process has begun another, or the same with somebody else."""
    ring = [hop(number) for number in range(length)]
    for changed in range(length):
        again = [hop(number, request=1) if number == changed else each for number, each in enumerate(ring)]
        found = walk([*ring, *again, *again])
        assert found[-1] is None
        assert len(found) == length + (changed or 1)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_circle_that_the_first_is_not_in_is_for_others_to_find(length: int) -> None:
    """The look must not go round it for ever."""
    tail, ring = [hop(99)], [hop(number) for number in range(length)]
    found = walk([*tail, *ring, *ring])
    assert found[-1] is None
    assert len(found) == length + 1


def test_a_circle_that_was_joined_by_another_in_the_meantime_is_none() -> None:
    """The second round has to meet the same processes in the same order."""
    a, b, c = hop(1), hop(2), hop(3)
    assert walk([a, b, a, c])[-1] is None
    assert walk([a, b, a, b, c])[-1] is None
    assert walk([a, b, c, a, b, a])[-1] is None


def test_a_very_long_chain_is_not_followed_to_its_end() -> None:
    """What travels must stay small."""
    chain = [hop(number) for number in range(HOPS_MAX + 1)]
    found = walk(chain)
    assert found[-1] is None
    assert len(found) == HOPS_MAX
    ring = chain[:HOPS_MAX]
    assert isinstance(walk([*ring, *ring, *ring])[-1], Circle)


def test_what_a_process_is_called_does_not_matter() -> None:
    """The first hop may not know it, the second time round it does: the circle has the names of the last round."""
    named = [hop(1, name="one"), hop(2, name="two")]
    found = walk([hop(1), named[1], *named, *named])[-1]
    assert isinstance(found, Circle)
    assert [each.name for each in found.hops] == ["one", "two"]
