"""Ticks: who is silent is noticed in time, and nobody who is not."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow._pure.membership import TICKS_PER_TIME, Beat, Ticker

TIME = 60.0
QUARTER = TIME / TICKS_PER_TIME


def ticker(heard_at: float = 0.0, sent_at: float = 0.0) -> Ticker:
    return Ticker(TIME, heard_at=heard_at, sent_at=sent_at)


def test_a_peer_is_looked_at_four_times_in_the_tick_time() -> None:
    """As in OTP: one lost tick is no lost peer."""
    assert ticker().interval_s == QUARTER == 15.0


@pytest.mark.parametrize(("silence_s", "lost"), [(0.0, False), (59.9, False), (60.0, True), (1e6, True)])
def test_a_peer_is_lost_when_it_was_silent_for_the_tick_time(silence_s: float, lost: bool) -> None:
    """Not before, whatever it was that was heard last."""
    assert ticker(heard_at=100.0).look(100.0 + silence_s).lost is lost


@pytest.mark.parametrize(("quiet_s", "due"), [(0.0, False), (10.0, False), (14.9, True), (15.0, True), (40.0, True)])
def test_a_tick_is_due_if_nothing_was_sent_since_the_last_look(quiet_s: float, due: bool) -> None:
    """What is sent anyway is sign of life enough; a look that comes a little early must not put it off to the next."""
    assert ticker(sent_at=100.0).look(100.0 + quiet_s).send_tick is due


def test_who_has_just_been_heard_and_spoken_to_is_left_alone() -> None:
    """Nothing is due."""
    assert ticker().look(0.0) == Beat(send_tick=False, lost=False)


@given(st.floats(0.5, 600.0), st.lists(st.floats(0.0, 1.0), min_size=8, max_size=40), st.floats(0.0, 0.05))
def test_two_peers_with_nothing_to_say_never_lose_each_other(time_s: float, delays: list[float], late: float) -> None:
    """Ticks sent at each look keep the other from giving up, though each takes up to one interval to arrive."""
    here = there = Ticker(time_s, heard_at=0.0, sent_at=0.0)
    now, arriving = 0.0, list[float]()
    for delay in delays:
        now += here.interval_s * (1 + late)
        for arrival in [at for at in arriving if at <= now]:
            there = attrs.evolve(there, heard_at=arrival)
            arriving.remove(arrival)
        assert not there.look(now).lost
        if here.look(now).send_tick:
            here = attrs.evolve(here, sent_at=now)
            arriving.append(now + delay * here.interval_s)


@given(st.floats(0.5, 600.0), st.floats(0.0, 1.0))
def test_silence_is_noticed_within_a_quarter_more_than_the_tick_time(time_s: float, phase: float) -> None:
    """The looks are an interval apart; the last word may have come right after one."""
    heard = Ticker(time_s, heard_at=0.0, sent_at=0.0)
    looks = [phase * heard.interval_s + number * heard.interval_s for number in range(2 * TICKS_PER_TIME)]
    noticed = next(now for now in looks if heard.look(now).lost)
    assert time_s <= noticed <= time_s + heard.interval_s * 1.001
