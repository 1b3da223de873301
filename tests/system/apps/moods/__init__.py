"""An application for tests of whole nodes: its environment says how it behaves as it starts and stops."""

from __future__ import annotations

import logging
import threading

import anyio

from regrow import (
    Application,
    ChildSpec,
    GenServer,
    Name,
    Reason,
    ServerRef,
    StartType,
    Supervisor,
    application,
    call,
    child,
    start_link,
    trap_exit,
)

LOGGER = logging.getLogger("moods")


class Counter(GenServer):
    """Counts, and stops in the mood of its application."""

    def __init__(self) -> None:
        self.value = 0

    async def init(self) -> None:
        trap_exit(True)

    @call
    async def add(self, n: int) -> int:
        self.value += n
        return self.value

    @call
    async def wait(self) -> None:
        await anyio.sleep_forever()

    @call
    async def block(self) -> None:
        threading.Event().wait()

    async def terminate(self, reason: Reason) -> None:
        mood = application.get_env("moods", "mood")
        LOGGER.info("stopping in a %s mood", mood)
        if mood == "stubborn":
            await anyio.sleep_forever()
        elif mood == "blocking":
            threading.Event().wait()


class Top(Supervisor):
    """One counter."""

    intensity = 1
    period = 3600.0

    def init(self) -> list[ChildSpec]:
        shutdown = "infinity" if application.get_env("moods", "patient") else 5.0
        return [child(Counter).named("counter").with_(shutdown=shutdown)]


class Moods(Application):
    """The application itself."""

    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Supervisor]:
        mood = application.get_env("moods", "mood")
        if mood == "bad":
            raise ValueError("not today")
        if mood == "hesitant":
            LOGGER.info("hesitating")
            await anyio.sleep_forever()
        return await start_link(child(Top).named("top"))

    async def handoff(self) -> object:
        if application.get_env("moods", "mood") == "clinging":
            LOGGER.info("clinging to what it has")
            await anyio.sleep_forever()
        return None


class Stuck(GenServer):
    """Gets nowhere."""

    async def init(self) -> None:
        LOGGER.info("stuck in init")
        await anyio.sleep_forever()


class Waiting(Supervisor):
    """Waits for its only child to be ready."""

    def init(self) -> list[ChildSpec]:
        return [child(Stuck)]


async def wait_for_ever() -> None:
    """Start a supervisor outside of any application, which never has its child."""
    await start_link(Waiting)


async def add(n: int) -> int:
    """Add to the counter of this node."""
    return await Counter.add(Name("counter", Counter), n)


async def wait() -> None:
    """Make the counter wait for ever."""
    await Counter.wait(Name("counter", Counter))


async def block() -> None:
    """Make the counter block the event loop of its node."""
    await Counter.block(Name("counter", Counter))
