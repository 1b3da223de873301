"""What becomes of messages that find a mailbox full."""

from __future__ import annotations

from typing import Any

import pytest
from exhaustive import Exhaustive

from regrow import Bounded, Drop, OnFull
from regrow._pure.bounds import Fate, Lane, fate_of


def test_each_lane_has_its_fates_and_no_others() -> None:
    """Every bound, every number that is held, every lane."""
    found: dict[Lane, set[Fate]] = {lane: set() for lane in Lane}
    for _ in (every := Exhaustive()).runs():
        size = every.choose([1, 2, 3])
        bound = Bounded(size, on_full=every.choose(list(OnFull)), drop=every.choose(list(Drop)))
        held, replaceable = every.choose(range(5)), every.choose([True, False])
        lane = every.choose(list(Lane))
        fate = fate_of(lane, bound, held, replaceable=replaceable)
        found[lane].add(fate)
        assert (fate is Fate.ENTERS) == (lane is Lane.SYSTEM or held < size)
        assert fate is not Fate.FAILS or bound.on_full is OnFull.FAIL
        assert fate is not Fate.WAITS or bound.on_full is OnFull.WAIT
        assert fate is not Fate.REPLACES or (bound.drop is Drop.OLDEST and replaceable)
        assert fate is not Fate.DROPPED or bound.drop is Drop.NEWEST or not replaceable
    assert found == {
        Lane.SYSTEM: {Fate.ENTERS},
        Lane.AWAITED: {Fate.ENTERS, Fate.FAILS, Fate.WAITS},
        Lane.PLAIN: {Fate.ENTERS, Fate.REPLACES, Fate.DROPPED},
    }


def test_a_bound_takes_words_as_well() -> None:
    """As child specifications do; what is not said refuses calls and drops what comes."""
    assert Bounded(3, on_full="wait", drop="oldest") == Bounded(3, on_full=OnFull.WAIT, drop=Drop.OLDEST)
    assert (Bounded(3).on_full, Bounded(3).drop) == (OnFull.FAIL, Drop.NEWEST)


@pytest.mark.parametrize("size", [0, -1, 1.0, True, None, "1"])
def test_a_size_below_one_is_none(size: Any) -> None:
    """A mailbox that takes nothing would be a process that nobody can reach."""
    with pytest.raises(ValueError, match="at least 1"):
        Bounded(size)


@pytest.mark.parametrize("words", [{"on_full": "block"}, {"drop": "all"}])
def test_a_word_that_is_none_is_refused(words: Any) -> None:
    """With the word itself."""
    with pytest.raises(ValueError, match=r"block|all"):
        Bounded(1, **words)
