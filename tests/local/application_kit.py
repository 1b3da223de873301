"""What the tests of applications share: applications that note what happens to them, and do what a test scripts."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import pytest

from regrow import (
    Application,
    ChildSpec,
    GenServer,
    Node,
    Reason,
    ServerRef,
    StartType,
    Supervisor,
    application,
    child,
    start_link,
    stop,
    trap_exit,
)
from regrow._pure.config import NodeConfig
from regrow.application_master import MasterRunner
from regrow.runtime import Process

from .supervisor_kit import ended, settled

Action = Callable[[], Awaitable[object]]

SCRIPTED = "tests.local.application_kit:Scripted"


class Script:
    """What is to happen at the steps of applications, and what has happened."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.actions: dict[str, Action] = {}

    def at(self, step: str, action: Action) -> None:
        """Do this at a step such as `"a start"`; what it returns, other than `None`, is the step's result."""
        self.actions[step] = action

    def taken(self) -> list[str]:
        """What has happened since this was last asked."""
        log, self.log = self.log, []
        return log


SCRIPT: ContextVar[Script] = ContextVar("script")  # tasks inherit it, so each test sees its own


async def step(name: str, detail: str = "") -> object:
    script = SCRIPT.get()
    script.log.append(f"{name}{detail}")
    action = script.actions.get(name)
    return None if action is None else await action()


def name_here() -> str:
    name = application.get_application()
    assert name is not None
    return name


class Scripted(Application):
    """An application with one supervisor, `a_sup`, which has one server, `a_worker`, for an application named `a`."""

    def __init__(self) -> None:
        self.name = name_here()

    async def start(self, start_type: StartType, args: tuple[object, ...]) -> ServerRef[Supervisor]:
        result: Any = await step(f"{self.name} start", f" {start_type} {list(args)}")
        return await start_tree() if result is None else result

    async def start_phase(self, phase: str, start_type: StartType, args: object) -> None:
        await step(f"{self.name} phase {phase}", f" {start_type} {args}")

    async def config_change(
        self, changed: Mapping[str, object], new: Mapping[str, object], removed: tuple[str, ...]
    ) -> None:
        await step(f"{self.name} config_change", f" {dict(changed)} {dict(new)} {list(removed)}")

    async def handoff(self) -> object:
        return await step(f"{self.name} handoff")

    async def prep_stop(self) -> None:
        await step(f"{self.name} prep_stop")

    async def stop(self) -> None:
        await step(f"{self.name} stop")


async def start_tree() -> ServerRef[Supervisor]:
    return await start_link(child(Top).named(f"{name_here()}_sup"))


class Top(Supervisor):
    """Gives up when its worker ends."""

    intensity = 0

    def init(self) -> Iterable[ChildSpec]:
        return [child(Worker).named(f"{name_here()}_worker")]


class Worker(GenServer):
    """Notes its end."""

    async def init(self) -> None:
        trap_exit(True)
        await step(f"{name_here()} worker init")

    async def handle_call(self, request: object, from_: object) -> object:
        return name_here()

    async def terminate(self, reason: Reason) -> None:
        await step(f"{name_here()} worker stops")


def started(name: str) -> list[str]:
    """What an application notes of a normal start."""
    return [f"{name} start normal []", f"{name} worker init"]


def stopped(name: str) -> list[str]:
    """What it notes of a stop in order."""
    return [f"{name} prep_stop", f"{name} worker stops", f"{name} stop"]


async def crash() -> object:
    raise ValueError("boom")


def waiting_for(event: anyio.Event) -> Action:
    async def wait() -> None:
        await event.wait()

    return wait


class Apps:
    """Applications in a folder, to be found by nodes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = Script()

    def add(self, name: str, *applications: str, module: str | None = SCRIPTED, **keys: object) -> None:
        """Write the manifest of an application that needs these; `module=None` makes it a library."""
        keys = {"name": name, "applications": list(applications), "module": module, **keys}
        lines = [f"{key} = {_toml(value)}" for key, value in keys.items() if value is not None]
        (self.folder / name).mkdir()
        (self.folder / name / "application.toml").write_text("\n".join(["[application]", *lines]), "utf-8")

    def node(self, **settings: Any) -> Node:
        """A node that finds them; `settings` are the node's, or those of its configuration."""
        SCRIPT.set(self.script)
        of_node: dict[str, Any] = {key: settings.pop(key) for key in ("config", "clock") if key in settings}
        config: dict[str, Any] = {"config": NodeConfig(**settings)} if settings else {}
        return Node("here@localhost", path=[self.folder], **config, **of_node)


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


@pytest.fixture
def apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apps:
    monkeypatch.syspath_prepend(str(tmp_path))  # puts back at the end what nodes add to it
    return Apps(tmp_path)


@pytest.fixture
def script(apps: Apps) -> Script:
    return apps.script


def reason_of(caught: pytest.ExceptionInfo[BaseException]) -> str:
    """The reason of the error that was caught, in words."""
    return str(getattr(caught.value, "reason", None))


async def end_tree(node: Node, name: str, reason: Reason) -> None:
    """Let an application's top supervisor end by itself; returns when the application is gone."""
    master = master_of(node, name)
    await stop(f"{name}_sup", reason)
    await master.wait_ended()
    await settled()


def master_of(node: Node, name: str) -> Process:
    master = node.applications.loaded[name].master
    assert master is not None and isinstance(master.runner, MasterRunner)
    return master


__all__ = [
    "SCRIPT",
    "Apps",
    "Script",
    "Scripted",
    "Top",
    "Worker",
    "apps",
    "crash",
    "end_tree",
    "ended",
    "master_of",
    "reason_of",
    "script",
    "settled",
    "start_tree",
    "started",
    "stopped",
    "waiting_for",
]
