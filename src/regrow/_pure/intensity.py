"""How many restarts are too many: a sliding window over the times of the last ones."""

from __future__ import annotations

from bisect import bisect_left

import attrs


@attrs.frozen
class RestartIntensity:
    """The restarts of one supervisor that still count.

    A restart counts until it is older than `period_s`: one exactly that old still does, as in OTP. Where OTP
    compares whole seconds, this window slides in floats. Times are seconds of one monotonic clock and never
    go back.
    """

    intensity: int
    """Restarts accepted within `period_s`."""
    period_s: float
    stamps: tuple[float, ...] = ()
    """When they happened, oldest first; never more than it takes to be over the limit."""

    def add(self, now: float) -> RestartIntensity:
        """One more restart, at `now`; those that are too old are forgotten."""
        recent = self.stamps[self._first_recent(now) :] + (now,)  # noqa: RUF005 - in a third of the time if they are many
        return RestartIntensity(self.intensity, self.period_s, recent[-(self.intensity + 1) :])

    @property
    def exceeded(self) -> bool:
        """Whether the restart added last was one too many: the supervisor gives up."""
        return len(self.stamps) > self.intensity

    def left(self, now: float) -> int:
        """How many more restarts would be accepted at `now`."""
        return max(0, self.intensity - len(self.stamps) + self._first_recent(now))

    def _first_recent(self, now: float) -> int:
        if not self.stamps or self.stamps[0] - now >= -self.period_s:
            return 0  # as it mostly is
        return bisect_left(self.stamps, -self.period_s, key=lambda stamp: stamp - now)
