"""The locks that a node gives: one requester at a time, counted for each process."""

from __future__ import annotations

from regrow._pure.ids import Pid
from regrow._pure.locks import Lock, Locks
from tests.harness import row

ME, OTHER, FAR = Pid("a", 1, 0, 1), Pid("a", 2, 0, 1), Pid("b", 1, 0, 1)
MINE, THEIRS = Lock("printer", "mine"), Lock("printer", "theirs")


@row("GLB-012")
def test_a_resource_has_one_requester_at_a_time() -> None:
    """Processes that name the same one share it; other resources are not concerned."""
    locks = Locks()
    assert locks.take(MINE, ME)
    assert locks.take(MINE, FAR)
    assert not locks.take(THEIRS, OTHER)
    assert locks.take(Lock("scanner", "theirs"), OTHER)
    locks.free(MINE, ME)
    assert not locks.take(THEIRS, OTHER)
    locks.free(MINE, FAR)
    assert locks.take(THEIRS, OTHER)


@row("GLB-012")
def test_what_is_taken_twice_is_freed_twice() -> None:
    """Freeing what one does not have changes nothing."""
    locks = Locks()
    assert locks.take(MINE, ME)
    assert locks.take(MINE, ME)
    locks.free(MINE, OTHER)
    locks.free(THEIRS, ME)
    locks.free(MINE, ME)
    assert not locks.take(THEIRS, OTHER)
    locks.free(MINE, ME)
    assert len(locks) == 0
    locks.free(MINE, ME)
    assert len(locks) == 0


@row("GLB-012")
def test_the_locks_of_a_lost_node_are_free() -> None:
    """Each of them, however often it was taken; those of others stay."""
    locks = Locks()
    for _ in range(3):
        assert locks.take(MINE, FAR)
    assert locks.take(Lock("scanner", "shared"), FAR)
    assert locks.take(Lock("scanner", "shared"), ME)
    locks.lost("b")
    assert locks.take(THEIRS, OTHER)
    assert not locks.take(Lock("scanner", "theirs"), OTHER)
