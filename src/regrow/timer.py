"""Messages and exit signals that come later: once, or again and again. OTP's timers."""

from __future__ import annotations

import math
from collections.abc import Callable

from ._pure.ids import Pid, ProcessName, Reference, TimerRef
from .errors import NoProcess
from .messages import TimerFired
from .reasons import Kill, Reason, as_reason
from .refs import Dest, deliver, item_of, runtime_for
from .runtime import here

INTERVAL_MIN_S = 0.001  # a shorter one would keep the node busy with nothing else


def send_after(seconds: float, dest: Dest, message: object) -> TimerRef:
    """Send a message in `seconds`, never earlier. OTP's `erlang:send_after`.

    It goes to a process of this node. A timer for a pid or a reference is dropped when that process ends; a name is
    looked up when the time has come, and if nobody has it then, nothing happens. The end of whoever set the timer
    changes nothing; when the node stops, all its timers are dropped.

    Raises `ValueError` for a negative time and for a process on another node.
    """
    to = _Target(dest)
    return to.after(seconds, lambda: to.send(message))


def start_timer(seconds: float, dest: Dest, message: object) -> TimerRef:
    """The same, but what arrives is `TimerFired(ref, message)`: it tells this timer from others. OTP's
    `erlang:start_timer`."""
    to = _Target(dest)
    return to.after(seconds, lambda: to.send(TimerFired(to.ref, message)))


def send_at(when: float, dest: Dest, message: object) -> TimerRef:
    """The same as `send_after` at a time of the node's clock, `current_node().clock.now()`; at once if it is past."""
    to = _Target(dest)
    return to.at(when, lambda: to.send(message))


def send_interval(seconds: float, dest: Dest, message: object) -> TimerRef:
    """Send a message every so many seconds, for the first time after as many. OTP's `timer:send_interval`.

    It ends when it is cancelled, when the process of a pid or reference ends, and when the process that set it does.
    The intervals do not drift: messages that something kept from being sent in time come together.

    Raises `ValueError` for less than a millisecond, and for a process on another node.
    """
    if not seconds >= INTERVAL_MIN_S:  # so put, it catches NaN as well
        raise ValueError(f"an interval is at least {INTERVAL_MIN_S} s, not {seconds!r}")
    to = _Target(dest)
    return to.every(seconds, lambda: to.send(message))


def exit_after(seconds: float, dest: Dest, reason: Reason) -> TimerRef:
    """Send an exit signal in `seconds`, as `send_exit` would then. OTP's `timer:exit_after`."""
    to, reason = _Target(dest), as_reason(reason)
    return to.after(seconds, lambda: to.exit(reason))


def kill_after(seconds: float, dest: Dest) -> TimerRef:
    """Kill a process in `seconds`; others see that as `Killed`. OTP's `timer:kill_after`."""
    return exit_after(seconds, dest, Kill())


def cancel_timer(ref: TimerRef) -> float | None:
    """Cancel a timer of this node: the seconds that were left, or `None` if it does not run (any more).

    Unless it is `None`, what the timer was to send will not come. A message that was sent already stays where it is.
    """
    return here().runtime.process_timers.cancel(_checked(ref))


def read_timer(ref: TimerRef) -> float | None:
    """The seconds until a timer of this node fires; `None` if it does not run (any more)."""
    return here().runtime.process_timers.left(_checked(ref))


def _checked(ref: TimerRef) -> TimerRef:
    if not isinstance(ref, Reference):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{ref!r} is no timer")
    return ref


class _Target:
    """Whom a timer is for, who sets it, and the reference it will have."""

    def __init__(self, dest: Dest) -> None:
        self._runtime = runtime = runtime_for(dest)
        self._dest = dest
        self._sender = runtime.sender()
        self.ref = TimerRef(runtime.make_ref())
        item = None if isinstance(dest, ProcessName) else item_of(dest, runtime)  # what has to be asked is asked later
        self._pid = item if isinstance(item, Pid) else None
        if item is not None and (item.node if isinstance(item, Pid) else item[1]) != runtime.node_name:
            raise ValueError(f"{dest!r} is on another node: a timer is for processes of its own")

    def send(self, message: object) -> None:
        deliver(self._runtime, self._sender, self._dest, message)

    def exit(self, reason: Reason) -> None:
        self._runtime.exit_signal(self._sender, item_of(self._dest, self._runtime), reason)

    def at(self, when: float, act: Callable[[], None]) -> TimerRef:
        if math.isnan(when):
            raise ValueError(f"{when!r} is no time")
        return self._set(when, act)

    def after(self, seconds: float, act: Callable[[], None]) -> TimerRef:
        if not seconds >= 0:  # so put, it catches NaN as well
            raise ValueError(f"a timer runs for seconds from 0 up, not {seconds!r}")
        return self._set(self._runtime.clock.now() + seconds, act)

    def every(self, seconds: float, act: Callable[[], None]) -> TimerRef:
        return self._set(self._runtime.clock.now() + seconds, act, seconds)

    def _set(self, when: float, act: Callable[[], None], interval_s: float | None = None) -> TimerRef:
        runtime = self._runtime
        setter = self._sender if interval_s is not None and self._sender != runtime.nobody else None
        belongs_to = tuple(dict.fromkeys(pid for pid in (self._pid, setter) if pid is not None))
        if not runtime.closed and all(pid in runtime.processes for pid in belongs_to):
            runtime.process_timers.set(self.ref, when, lambda: self._fire(act), belongs_to, interval_s)
        return self.ref

    def _fire(self, act: Callable[[], None]) -> None:
        try:
            act()
        except NoProcess:
            pass  # nobody has the name now
        except Exception as error:  # noqa: BLE001 - a registry of somebody's own must not end the timers of the node
            self._runtime.reports.warning(f"a timer for {self._dest} came to nothing: {error!r}")
