"""A dog and a cat, on a node each: they meet, talk, and the cat is gone. What the dog hears of it, in order.

Run it with `python examples/dog_and_cat.py [asyncio|trio]`. The cat lives in an operating-system process of its own,
which is killed with the signal that nothing survives.
"""

from __future__ import annotations

import sys
from typing import TypeGuard

import anyio

from regrow import (
    Node,
    Pid,
    connect,
    link,
    monitor,
    monitor_node,
    monitor_nodes,
    nodes,
    receive,
    register,
    self_pid,
    send,
    trap_exit,
)

DOG, CAT = "dog@localhost", "cat@localhost"
COOKIE = "what dogs and cats have in common"


async def cat() -> None:
    """Says hello to the dog, and waits."""
    async with Node(CAT, cookie=COOKIE):
        register("cat", self_pid())
        await connect(DOG)
        send(("dog", DOG), ("Hello!", self_pid()))
        print(f"the cat hears {await receive()}", flush=True)
        send(("dog", DOG), "purr")
        await anyio.sleep_forever()


async def dog(backend: str) -> None:
    """Watches the cat in every way there is."""
    async with Node(DOG, cookie=COOKIE):
        register("dog", self_pid())
        command = [sys.executable, __file__, backend, "cat"]
        async with await anyio.open_process(command, stdout=None, stderr=None) as os_process:
            hello, pid = await receive(is_greeting)
            print(f"the dog hears {hello} from {pid}; it is connected with {nodes()}", flush=True)
            send(pid, "Woof!")
            print(f"the dog hears {await receive()}")
            watch(pid)
            os_process.kill()
            print("the cat is killed; the dog hears")
            for _ in range(6):
                print(f"  {await receive()}")
            print(f"and is connected with {nodes()}; what it sends now vanishes")
            send(pid, "Woof?")


def is_greeting(message: object) -> TypeGuard[tuple[str, Pid]]:
    return isinstance(message, tuple)


def watch(pid: Pid) -> None:
    trap_exit(True)
    link(pid)
    monitor(pid)
    monitor(("cat", CAT))
    monitor_node(CAT)
    monitor_node(CAT)  # asked for twice, told twice
    monitor_nodes()


if __name__ == "__main__":
    backend = sys.argv[1] if len(sys.argv) > 1 else "asyncio"
    if "cat" in sys.argv:
        anyio.run(cat, backend=backend)
    else:
        anyio.run(dog, backend, backend=backend)
