"""Which process waits for which, and what is done about a circle of them, which would wait for ever.

A behaviour handles nothing while its own task waits for an answer; other tasks that it has started may wait as long as
they like. So whoever has asked it something waits for that answer as well, unless the reply was put off: then it may
come from anybody. A start is waited for like a reply, and it is the new process that has to give it.

Each node knows the waits of its own processes. A look along them begins where a request meets a server that waits. It
follows what that waits for, and so on; where it leads to another node, a probe carries the path there. Of the requests
in a circle one is the last to arrive, and at that moment all of the circle is there to be found.

A request is passed over if nobody waits for its caller, as far as is known, and somebody did wait for the server as its
own wait began. For then a look has begun with that wait, and it comes by the caller if that is in a circle. One that
was sent, to be waited for later, is passed over as well when it arrives: the look begins with the wait for it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ._pure.call_path import Circle, Hop, Path, followed
from ._pure.ids import Pid, Reference
from .errors import CallCycle, CallingSelf
from .messages import Failure, From
from .runtime import Process, Runtime, current
from .signals import GiveUp, Item, Probe, node_of, target_of


@contextmanager
def waiting(runtime: Runtime, request: From, at: Process | Item | None) -> Generator[Process | None]:
    """While somebody who asked through that node waits for this answer; if that holds up a process, here it is."""
    held_up = held_up_by(runtime, request, at)
    try:
        yield held_up
    finally:
        if held_up is not None:
            held_up.waits_for = None


def held_up_by(runtime: Runtime, request: From, at: Process | Item | None) -> Process | None:
    """The process that is held up by waiting for this answer, as `begin_wait` gives it, if it is one that asks."""
    me = current.get(None)
    # A process that asked through another node of this interpreter is an outsider there.
    if isinstance(me, Process) and me.runner is not None and (me.runtime is runtime or isinstance(at, Process)):
        return begin_wait(me, request, at)
    return None


def begin_wait(caller: Process, request: From, at: Process | Item | None) -> Process | None:
    """A behaviour begins to wait for an answer. Gives it if that holds it up; `waits_for = None` then ends the wait.

    Raises `CallCycle` if that closes a circle on this node; one over several nodes is the answer, a little later.
    """
    if caller.runtime.backend.current_task() is not caller.task:
        return None
    if at is caller:
        raise CallingSelf(caller.pid)
    nested = _is_asked(caller)
    was_sent_before = request.reference is not None
    if (nested or was_sent_before) and not (isinstance(at, Process) and at.waits_for is None):
        _look_ahead(caller, request, at)
    caller.waits_for, caller.waits_at, caller.waits_nested = request, at, nested
    return caller


def _is_asked(process: Process) -> bool:
    """Whether somebody waits for it, as far as is known: of what lies in its mailbox it is taken for granted."""
    in_hand = process.in_hand()
    return bool(process.requests or process.mailbox.queue) or (isinstance(in_hand, From) and in_hand.is_open)


def _look_ahead(caller: Process, request: From, at: Process | Item | None) -> None:
    """Follow the waits of this node, and have them followed where they leave it."""
    if request.is_put_off:
        return
    waits = {caller: request}
    while isinstance(at, Process):
        if at is caller:
            raise CallCycle([(_called(process), process.pid) for process in waits])
        wait = _wait_of(at)
        if wait is None or at in waits:
            return
        waits[at] = wait
        at = at.waits_at
    if at is not None and (len(waits) > 1 or request.reference is not None):
        # Else the request is still to be sent to another node, and looked at as it arrives.
        *_, last = waits
        _send_probe(last.runtime, at, tuple(map(_hop, waits, waits.values())))


def request_arrived(process: Process, caller: Pid, reference: Reference, nested: bool) -> None:
    """A request from another node, which holds its caller up, is in the mailbox of this process."""
    if process.waits_for is not None and (nested or not process.waits_nested):
        _follow(process, (Hop(caller, reference, str(caller)),))


def probe_arrived(runtime: Runtime, probe: Probe) -> None:
    """The last process of the path waits for one of this node, if that is still so."""
    process = runtime.lookup(probe.to if isinstance(probe.to, Pid) else (probe.to, runtime.node_name))
    if process is None or process.waits_for is None:
        return
    reference = probe.path[-1].request
    request = next((each for each in process.open_requests() if each.reference == reference), None)
    if request is not None and not request.is_put_off:
        _follow(process, probe.path)


def _follow(process: Process, path: Path) -> None:
    """Go on with the wait of a process for which the last one of the path waits."""
    while (wait := _wait_of(process)) is not None:
        at, found = process.waits_at, followed(path, _hop(process, wait))
        if at is None or found is None:
            return
        if isinstance(found, Circle):
            wait.answer(Failure(CallCycle([(hop.name, hop.pid) for hop in found.hops])))
            if not isinstance(at, Process):
                process.runtime.dispatch(node_of(at), GiveUp(found.hops[0].request))
            return
        if not isinstance(at, Process):
            _send_probe(process.runtime, at, found)
            return
        process, path = at, found


def _wait_of(process: Process) -> From | None:
    """What holds the process up for certain: an answer that only its server can give."""
    wait = process.waits_for
    return wait if wait is not None and wait.is_open and not wait.is_put_off and process.exiting is None else None


def _hop(process: Process, wait: From) -> Hop:
    if wait.reference is None:
        wait.reference = process.runtime.make_ref()
    return Hop(process.pid, wait.reference, _called(process))


def _called(process: Process) -> str:
    """Its name, or what it runs, as a text that can travel."""
    return (process.name or process.label).encode(errors="backslashreplace").decode()


def _send_probe(runtime: Runtime, at: Item, path: Path) -> None:
    runtime.dispatch(node_of(at), Probe(target_of(at), path))
