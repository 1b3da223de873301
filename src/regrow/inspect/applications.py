"""The applications of a node: which it knows, where they run, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import attrs

from ..application_controller import LoadedApplication, Phase
from ..application_master import Failover, NormalStart, StartType, Takeover
from ..node import Node

StateWord: TypeAlias = Literal["running", "standby", "starting", "loaded"]
StartWord: TypeAlias = Literal["normal", "failover", "takeover"]

STATES: Mapping[Phase, StateWord] = MappingProxyType(
    {
        Phase.LOADED: "loaded",
        Phase.STARTING: "starting",
        Phase.RUNNING: "running",
        Phase.STOPPING: "running",  # until it is gone
        Phase.STANDBY: "standby",
    }
)
_STARTS: Mapping[type[StartType], StartWord] = MappingProxyType(
    {NormalStart: "normal", Failover: "failover", Takeover: "takeover"}
)


@attrs.frozen
class ApplicationInfo:
    """One application that a node knows."""

    name: str
    state: StateWord
    running_on: str | None
    start_type: StartWord | None
    reason: str | None
    """Why it does not run, if it was started once."""
    version: str
    description: str
    restart: str
    """`permanent`, `transient` or `temporary`: what its end means for the node."""


def applications(node: Node) -> list[ApplicationInfo]:
    """The applications that the node has loaded, in that order."""
    return [_application(application) for application in node.applications.loaded.values()]


def _application(application: LoadedApplication) -> ApplicationInfo:
    start = application.start_type
    return ApplicationInfo(
        name=application.name,
        state=STATES[application.phase],
        running_on=application.runs_at,
        start_type=None if start is None else _STARTS[type(start)],
        reason=None if application.reason is None else str(application.reason),
        version=application.manifest.version,
        description=application.manifest.description,
        restart=application.restart.value,
    )
