"""What the tests of dynamic supervisors are played with: pools of scripted children."""

from __future__ import annotations

from collections.abc import Iterable

from regrow import DynamicSupervisor, Pid, ServerRef, start_link, trap_exit
from regrow.runtime import Runtime
from tests.local.supervisor_kit import Script, Worker, worker

ENDLESS = 1_000_000  # restarts


class Pool(DynamicSupervisor):
    """A dynamic supervisor that is told its flags."""

    def __init__(self, **flags: object) -> None:
        for flag, value in flags.items():
            setattr(self, flag, value)


async def start_pool(**flags: object) -> ServerRef[Pool]:
    """A pool whose parent is this process, which survives its end."""
    trap_exit(True)
    return await start_link(Pool, **flags)


async def add(pool: ServerRef[Pool], script: Script, id_: str, **changes: object) -> ServerRef[Worker]:
    """One more scripted child."""
    return await DynamicSupervisor.start_child(pool, worker(script, id_, **changes))


async def add_all(pool: ServerRef[Pool], script: Script, ids: Iterable[str], **changes: object) -> dict[str, Pid]:
    """One for each letter; their pids."""
    return {id_: (await add(pool, script, id_, **changes)).pid for id_ in ids}


async def pids(pool: ServerRef[Pool]) -> dict[str, Pid | None]:
    """The ids and pids, oldest first. Asked after a `Down`, the answer comes after what the end of it led to."""
    return {info.id: info.pid for info in reversed(await DynamicSupervisor.which_children(pool))}


def living(runtime: Runtime) -> dict[str, Pid]:
    """The scripted workers that live, by id; their supervisor may be too busy to be asked."""
    servers = {pid: process.server for pid, process in runtime.processes.items()}
    return {server.id: pid for pid, server in servers.items() if isinstance(server, Worker)}
