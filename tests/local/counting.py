"""Work as a number that no clock disturbs: how often which function was called."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def counted_calls() -> Generator[Counter[str]]:
    """Count the calls of Python functions while this lasts, by their full names; a coroutine's each time it goes on."""
    count: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, _arg: object) -> None:
        if event == "call":
            count[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield count
    finally:
        sys.setprofile(before)


TICKER = ("regrow.timers.", "regrow.testing.clock.", "regrow.node._Running._tick")
"""What keeps a node's timers. When it wakes, and when it sweeps, depends on which task the loop runs first."""


def of_regrow(count: Counter[str]) -> Counter[str]:
    """The part of it that is ours, without that of the event loop and of the ticker."""
    ours = {name: times for name, times in count.items() if name.startswith("regrow.")}
    return Counter({name: times for name, times in ours.items() if not name.startswith(TICKER)})
