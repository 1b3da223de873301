"""What the workers do: functions that the benchmark calls on them, and the server these talk to."""

from __future__ import annotations

import anyio

from regrow import GenServer, Name, call, cast, child, current_node, portable, start

CALLERS = 64
NUMBERS = 5_000  # added up by one computation: some 200 µs


class Server(GenServer):
    def __init__(self) -> None:
        self.heard = 0

    @call
    async def echo(self, number: int) -> int:
        return number

    @call
    async def compute(self) -> int:
        return sum(number * number for number in range(NUMBERS))

    @cast
    async def hear(self, number: int) -> None:
        self.heard += number


SERVER = Name("server", Server)


@portable
async def prepare() -> None:
    await start(child(Server).named("server"))


@portable
async def compute(count: int) -> None:
    """Have the worker's own server compute so many times."""
    for _ in range(count):
        await Server.compute(SERVER)


@portable
async def converse(count: int) -> None:
    """Many callers of the worker's own server, with so many calls in all."""
    await ask(current_node().name, CALLERS, count)


@portable
async def ask(node: str, callers: int, count: int) -> None:
    """So many callers of the server of some node, with so many calls in all."""
    server = SERVER.at(node)

    async def calls() -> None:
        for number in range(count // callers):
            await Server.echo(server, number)

    async with anyio.create_task_group() as group:
        for _ in range(callers):
            group.start_soon(calls)


@portable
async def tell(node: str, count: int) -> None:
    """So many casts, and a call behind them."""
    for number in range(count):
        Server.hear(SERVER.at(node), number)
    await Server.echo(SERVER.at(node), 0)
