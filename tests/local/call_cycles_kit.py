"""What the tests of circles of calls share."""

from __future__ import annotations

from regrow import Pid, current_node, self_pid


async def holds(processes: tuple[Pid, ...]) -> None:
    """Each of those named waits for the next, but for the first, who has just been told and is here."""
    assert processes[0] == self_pid()
    there = [current_node().runtime.processes[pid] for pid in processes]
    for process, following in zip(there[1:], [*there[2:], there[0]], strict=True):
        assert process.waits_for is not None
        assert process.waits_for.is_open
        assert process.waits_at is following
