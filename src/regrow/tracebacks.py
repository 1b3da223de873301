"""The traceback of a crash as data: taken at little cost when it happens, printed when somebody looks.

What costs is printing: the lines of source are read, and the place is marked in them. So what is taken is only where
each frame stood. Neither the frames, nor their locals, nor the exception live on in here.
"""

from __future__ import annotations

import linecache
from itertools import islice
from traceback import FrameSummary, TracebackException, format_exception
from types import CodeType, TracebackType
from typing import TypeAlias

FRAMES_MAX = 200  # that are kept: of more, after a recursion for example, the text is the smaller one

Place: TypeAlias = tuple[CodeType, int, int]  # where a frame stood: the code, the instruction, the line
NOWHERE = (None, None, None, None)


class Traceback:
    """Where one exception and those that led to it were raised; its `str` is what `traceback` prints of them."""

    __slots__ = ("_chain", "_text")

    def __init__(self, chain: list[tuple[TracebackException, list[Place]]]) -> None:
        self._chain = chain
        self._text: str | None = None  # once somebody has looked

    def __str__(self) -> str:
        if self._text is None:
            self._text = self._printed()
            self._chain = []
        return self._text

    def _printed(self) -> str:
        for printed, places in self._chain:
            for filename in {code.co_filename for code, _, _ in places}:
                linecache.checkcache(filename)
            printed.stack[:] = [_summary(*place) for place in places]
        return "".join(self._chain[0][0].format())


def traceback_of(error: BaseException) -> Traceback | str:
    """The traceback of the exception; already in print where that is the smaller one, and for a group."""
    chain: list[tuple[TracebackException, list[Place]]] = []
    frames = 0
    raised: BaseException | None = error
    printed: TracebackException | None = TracebackException.from_exception(error, limit=0, compact=True)
    while raised is not None and printed is not None:
        places = _places(raised.__traceback__)
        frames += len(places)
        if frames > FRAMES_MAX or printed.exceptions is not None:
            return "".join(format_exception(error))
        chain.append((printed, places))
        raised = raised.__context__ if printed.__cause__ is None else raised.__cause__
        printed = printed.__cause__ or printed.__context__
    return Traceback(chain)


def _places(traceback: TracebackType | None) -> list[Place]:
    places: list[Place] = []
    while traceback is not None:
        frame, code = traceback.tb_frame, traceback.tb_frame.f_code
        if code.co_filename not in linecache.cache:  # of a module in no file of its own, its loader is asked
            linecache.lazycache(code.co_filename, frame.f_globals)
        places.append((code, traceback.tb_lasti, traceback.tb_lineno))
        traceback = traceback.tb_next
    return places


def _summary(code: CodeType, instruction: int, line: int) -> FrameSummary:
    positions = code.co_positions() if instruction >= 0 else ()  # none yet, in a coroutine that was never begun
    first, last, column, end = next(islice(positions, max(0, instruction // 2), None), NOWHERE)
    return FrameSummary(
        code.co_filename,
        line if first is None else first,
        code.co_name,
        lookup_line=False,
        end_lineno=last,
        colno=column,
        end_colno=end,
    )
