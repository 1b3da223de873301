"""The application that is measured: it stamps when it stops and when it runs, on the clock that a host has one of."""

from __future__ import annotations

import json
import os
import time

from regrow import (
    Application,
    ChildSpec,
    GenServer,
    Reason,
    ServerRef,
    StartType,
    Supervisor,
    application,
    child,
    current_node,
    spawn,
    start_link,
    trap_exit,
)


class Server(GenServer):
    """Stops in order, and at once."""

    async def init(self) -> None:
        trap_exit(True)

    async def terminate(self, reason: Reason) -> None:
        pass


class Top(Supervisor):
    """Three prompt servers."""

    def init(self) -> list[ChildSpec]:
        return [child(Server).with_(id=f"server {number}") for number in range(3)]


class Probe(Application):
    """Tells the benchmark, which left a socket open for it, when it begins to stop and when it runs."""

    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Supervisor]:
        return await start_link(Top)

    async def start_phase(self, phase: str, start_type: StartType, args: object) -> None:
        spawn(_runs, str(start_type))  # gets its turn when the start is over

    async def handoff(self) -> object:
        return {"jobs": list(range(100))}

    async def prep_stop(self) -> None:
        _stamp("stopping", "")


async def _runs(start_type: str) -> None:
    assert "probe" in application.which_applications(), "its start is over"
    _stamp("running", start_type)


def _stamp(what: str, how: str) -> None:
    at = time.monotonic()
    socket = application.get_env("probe", "stamps")
    assert isinstance(socket, int), "the configuration says which"
    os.write(socket, json.dumps({"at": at, "node": current_node().name, "what": what, "how": how}).encode())
