"""Whether a peer still lives: ticks sent when there is nothing to say, and silence that lasts too long."""

from __future__ import annotations

import attrs

TICKS_PER_TIME = 4  # of these four chances to be heard within the tick time, as in OTP


@attrs.frozen
class Beat:
    """What is to be done at one look at the peer."""

    send_tick: bool
    lost: bool


@attrs.frozen
class Ticker:
    """One connection's ticks. A peer that is silent for `tick_time_s` is lost.

    Silence is noticed at the next look, of which there are four in the tick time: not before `tick_time_s`, and
    not later than a quarter after it.
    """

    tick_time_s: float
    heard_at: float
    """When something last came from the peer."""
    sent_at: float
    """When something was last sent to it."""

    @property
    def interval_s(self) -> float:
        """How long until the next look."""
        return self.tick_time_s / TICKS_PER_TIME

    def look(self, now: float) -> Beat:
        """Whether a tick is due, and whether the peer is lost."""
        return Beat(
            send_tick=now - self.sent_at >= self.interval_s * 0.9,  # looks come late, never early: one in time counts
            lost=now - self.heard_at >= self.tick_time_s,
        )
