"""A bounded mailbox step by step: each short history of what may happen to one, against a model. No loop runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from regrow import Bounded, Drop, MailboxFull, OnFull, Pid
from regrow._backends import Backend
from regrow.bounded_mailbox import BoundedMailbox, Drops
from regrow.messages import NO_KWARGS, Call, Failure
from regrow.reports import Reports
from regrow.sent_requests import NOTHING, Outcome
from regrow.testing import ManualClock
from regrow.timers import Timers
from tests.pure.exhaustive import Exhaustive

OWNER = Pid("a@h", 1, 0, 1)
EVENTS = ("plain", "call", "deliver", "system", "take", "pick", "sweep", "give up")
DEPTH = 4


def a_mailbox(bound: Bounded) -> BoundedMailbox:
    drops = Drops(Timers(ManualClock()), Reports("a@h"), "Owner", OWNER)
    return BoundedMailbox(cast(Backend, SimpleNamespace()), bound, drops)


class Model:
    """What should be so, in the plainest words: lists of numbers."""

    def __init__(self, bound: Bounded) -> None:
        self.bound = bound
        self.queue: list[int] = []
        self.line: list[int] = []
        self.kinds: dict[int, str] = {}
        self.told: dict[int, str] = {}  # what senders who wait know
        self.dropped = 0

    def is_full(self) -> bool:
        return sum(self.kinds[n] != "system" for n in self.queue) >= self.bound.size

    def arrive(self, n: int, kind: str) -> None:
        self.kinds[n] = kind
        if kind == "system" or not self.is_full():
            self._enter(n)
        elif kind != "plain":
            if self.bound.on_full is OnFull.WAIT:
                self.line.append(n)
            else:
                self.told[n] = "full"
        else:
            self.dropped += 1
            plain = [n for n in self.queue if self.kinds[n] == "plain"]
            if plain and not self.line and self.bound.drop is Drop.OLDEST:
                self.queue.remove(plain[0])
                self._enter(n)

    def leave(self, leaving: list[int]) -> None:
        self.queue = [n for n in self.queue if n not in leaving]
        while self.line and not self.is_full():
            self._enter(self.line.pop(0))

    def give_up(self, n: int) -> None:
        if n in self.line:
            self.line.remove(n)

    def _enter(self, n: int) -> None:
        self.queue.append(n)
        if self.kinds[n] == "deliver":
            self.told[n] = "there"


class Run:
    """The mailbox and its model, to which the same happens."""

    def __init__(self, bound: Bounded) -> None:
        self.mailbox = a_mailbox(bound)
        self.model = Model(bound)
        self.calls: dict[int, Call] = {}
        self.count = 0

    def happen(self, event: str) -> None:
        match event:
            case "plain" | "system" | "call" | "deliver":
                self.count += 1
                self.model.arrive(self.count, event)
                self._arrive(self.count, event)
            case "take" if self.model.queue:
                self.model.leave(self.model.queue[:1])
                self.mailbox.queue.popleft()
            case "pick" if self.model.queue:
                self.model.leave(self.model.queue[-1:])
                del self.mailbox.queue[len(self.mailbox.queue) - 1]
            case "sweep":
                plain = [n for n in self.model.queue if self.model.kinds[n] == "plain"]
                self.model.leave(plain)
                assert self.mailbox.take(lambda message: message in plain) == plain
            case "give up" if self.model.line:
                n = self.model.line[0]
                self.model.give_up(n)
                self.calls[n].withdraw()
            case _:
                pass

    def _arrive(self, n: int, kind: str) -> None:
        call = self.calls[n] = Call(None, Outcome(), "method", (n,), NO_KWARGS)

        ways: dict[str, Callable[[], None]] = {
            "plain": lambda: self.mailbox.post(n),
            "system": lambda: self.mailbox.post_system(n),
            "call": lambda: self.mailbox.post(call),
            "deliver": lambda: self.mailbox.deliver(call),
        }
        ways[kind]()

    def check(self) -> None:
        mailbox, model = self.mailbox, self.model
        assert [each.args[0] if isinstance(each, Call) else each for each in mailbox.queue] == model.queue
        assert mailbox.drops.count == model.dropped
        assert mailbox.is_full() == model.is_full()
        assert {n: said for n, call in self.calls.items() if (said := told(call))} == model.told


def told(call: Call) -> str | None:
    value: Any = cast(Outcome, call.promise).value
    if isinstance(value, Failure):
        assert isinstance(value.error, MailboxFull)
        return "full"
    return None if value is NOTHING else "there"


@pytest.mark.parametrize("drop", Drop)
@pytest.mark.parametrize("on_full", OnFull)
@pytest.mark.parametrize("size", [1, 2])
def test_each_history_leads_where_the_model_says(
    size: int, on_full: OnFull, drop: Drop, caplog: pytest.LogCaptureFixture
) -> None:
    """What is held, in its order; who was told what; how many were dropped."""
    caplog.set_level(logging.ERROR, logger="regrow")  # a hundred thousand histories, each with its warning
    for _ in (every := Exhaustive()).runs():
        run = Run(Bounded(size, on_full=on_full, drop=drop))
        for kind in [every.choose(("plain", "call")), "plain"][:size]:
            run.happen(kind)  # it gets interesting when it is full
        for _ in range(DEPTH):
            run.happen(every.choose(EVENTS))
        run.check()


def test_those_who_gave_up_do_not_pile_up_before_a_full_mailbox() -> None:
    """Callers of a stuck server come and go; what is kept of them is bounded by those who still wait."""
    run = Run(Bounded(1, on_full="wait"))
    run.happen("plain")
    for _ in range(1000):
        run.happen("call")
        run.happen("give up")
    assert len(run.mailbox._line) <= 17  # pyright: ignore[reportPrivateUsage]
    run.happen("call")
    run.happen("take")
    run.check()
