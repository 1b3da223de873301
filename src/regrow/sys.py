"""Any behaviour from outside, without its callbacks being asked: hold it, look at it, end it. OTP's `sys`.

Used with its module: `from regrow import sys`, then `await sys.suspend(ref)`. Each verb takes any address, also one on
another node, and raises as a call does: `NoProcess`, `CallTimeout`, `ServerExited`, `CallingSelf`. A process answers
between two messages, in the order of its mailbox; one that is stuck in a callback does not.
"""

from __future__ import annotations

from .calls import CALL_TIMEOUT_S, stop, system_request
from .reasons import Reason
from .refs import Dest
from .system_words import Resume, Suspend


async def suspend(dest: Dest, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Have the process handle no messages until it is resumed; they queue. Twice is the same as once.

    It still answers system messages and obeys the end of its parent.
    """
    await system_request(dest, Suspend(), timeout)


async def resume(dest: Dest, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Have the process go on, with what has come meanwhile. One that is not suspended goes on anyway."""
    await system_request(dest, Resume(), timeout)


async def terminate(dest: Dest, reason: Reason | None = None, timeout: float | None = CALL_TIMEOUT_S) -> None:
    """Stop the process in order, also while it is suspended, and wait until it is gone. `stop`, with OTP's timeout."""
    await stop(dest, reason, timeout)
