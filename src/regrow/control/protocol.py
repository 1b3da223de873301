"""What both ends of a control socket know: how a request is refused, and the limits."""

from __future__ import annotations

import enum

REQUEST_BYTES_MAX = 1024 * 1024
ANSWER_BYTES_MAX = 64 * 1024 * 1024


class ExitCode(enum.IntEnum):
    """What a command exits with."""

    DONE = 0
    """It was done."""
    REFUSED = 1
    """It was refused, or failed."""
    USAGE = 2
    """The command line or the configuration is wrong."""
    NOT_FOUND = 3
    """There is no such node, application or process."""
    TIMED_OUT = 4
    """It was not done in time."""


class Refused(Exception):
    """A request was not carried out: one clear line that says why, and what the command exits with."""

    def __init__(self, text: str, exit_code: ExitCode = ExitCode.REFUSED, detail: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code
        self.detail = detail
        """More lines for those who ask for them, such as a traceback."""
