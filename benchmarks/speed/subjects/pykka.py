"""pykka: actors that are threads."""

from __future__ import annotations

import threading
from typing import Any

import pykka

from benchmarks.speed.rounds import CALLERS, run, serve


class Counter(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.value = 0

    def on_receive(self, message: int) -> int:
        self.value += message
        return self.value


class Works:
    def __init__(self) -> None:
        self.server: Any = Counter.start()

    async def call(self, count: int) -> None:
        self._calls(count)

    def _calls(self, count: int) -> None:
        for number in range(count):
            self.server.ask(number, timeout=5.0)

    async def callers(self, count: int) -> None:
        threads = [threading.Thread(target=self._calls, args=(count // CALLERS,)) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    async def cast(self, count: int) -> None:
        for number in range(count):
            self.server.tell(number)
        self.server.ask(1)


async def main() -> None:
    works = Works()
    await serve({"call": works.call, "callers": works.callers, "cast": works.cast})
    pykka.ActorRegistry.stop_all()


if __name__ == "__main__":
    run(main)
