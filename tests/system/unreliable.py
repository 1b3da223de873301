"""A subject of the speed suite that no figure can be had of in each round."""

from __future__ import annotations

import anyio

from benchmarks.speed.rounds import run, serve


class Works:
    """All that may go wrong."""

    def __init__(self) -> None:
        self.done = 0

    async def call(self, _count: int) -> None:
        """Fail the second time."""
        self.done += 1
        if self.done == 2:
            raise TimeoutError("on purpose")

    async def cast(self, _count: int) -> None:
        """Hang, and for those who ask."""
        await anyio.sleep_forever()


async def main() -> None:
    works = Works()
    async with anyio.create_task_group():
        await serve({"call": works.call, "cast": works.cast})


if __name__ == "__main__":
    run(main)
