"""Questions from a service of one node to the same of another, each answered once, unless the connection is lost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import attrs

from ._pure.codec import SealsItself
from .kinds import word
from .messages import Promise
from .runtime import Runtime


@attrs.frozen
class Ask(SealsItself):
    """A question, and the number that its answer is to bear."""

    number: int
    question: object


@attrs.frozen
class Answer:
    """The answer to the question of this number."""

    number: int
    value: object


KINDS = (word(Ask, int, object), word(Answer, int, object))


class Questions:
    """Those of one service that have not been answered."""

    def __init__(self, runtime: Runtime, tell: Callable[[str, object], None]) -> None:
        self._runtime = runtime
        self._tell = tell
        self._numbers = count(1)
        self._open: dict[int, tuple[str, Promise]] = {}

    async def ask(self, node: str, question: object) -> object:
        """Ask a node that is connected; `None` if it is lost before it has answered. Raises `NotPortable`."""
        number, promise = next(self._numbers), self._runtime.backend.promise()
        self._tell(node, Ask(number, question))
        self._open[number] = (node, promise)
        try:
            return await promise
        finally:
            del self._open[number]

    def answered(self, node: str, answer: Answer) -> None:
        """An answer has come; nobody may be waiting for it any more."""
        asked, promise = self._open.get(answer.number, ("", None))
        if promise is not None and asked == node:
            promise.settle(answer.value)

    def lost(self, node: str) -> None:
        """The node will not answer."""
        for asked, promise in self._open.values():
            if asked == node:
                promise.settle()
