"""What people say about applications: load, start, stop, and their environment. Acts on the current node."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

from ._pure.child_spec import Restart
from ._pure.manifest import Manifest
from .application_controller import ApplicationController
from .application_master import StartType
from .errors import ApplicationError
from .node import current_node
from .reasons import Custom
from .runtime import Process, here

RestartType: TypeAlias = Restart | Literal["permanent", "transient", "temporary"]


def _controller() -> ApplicationController:
    return current_node().applications


async def load(name: str) -> None:
    """Make an application known, its manifest read and its environment set up, with those it includes.

    Raises `ApplicationError` if there is no such application or it is loaded already.
    """
    _controller().load(name)


async def unload(name: str) -> None:
    """Forget an application and its environment, with those it includes.

    Raises `ApplicationError` if it runs, or is not loaded.
    """
    _controller().unload(name)


async def start(name: str, type: RestartType = "temporary") -> None:
    """Start an application whose dependencies run; load it first if need be.

    Returns once its top supervisor is up and its start phases are done. A distributed application may run on
    another node then. `type` says what its end means for the node: nothing (`temporary`), its end too after an
    abnormal one (`transient`), or always (`permanent`). Raises `ApplicationError`.
    """
    await _controller().start(name, Restart(type))


async def ensure_started(name: str, type: RestartType = "temporary") -> None:
    """As `start`, but an application that is started already is fine."""
    await _controller().ensure_started(name, Restart(type))


async def ensure_all_started(name: str, type: RestartType = "temporary") -> list[str]:
    """Start an application and, before it, all that it needs and is not started yet.

    Returns the names of those it started, in order. If one fails, those are stopped again and
    `ApplicationError` is raised; a cycle among the dependencies is an error that names it.
    """
    return await _controller().ensure_all_started(name, Restart(type))


async def stop(name: str) -> None:
    """Stop an application: `prep_stop`, its tree in reverse, `stop`, then whatever of it is left.

    Applications that depend on it are not asked, and the node goes on, whatever its restart type is. One that
    had ended by itself counts as stopped afterwards. Raises `ApplicationError` if it is not started.
    """
    await _controller().stop(name)


def which_applications() -> list[str]:
    """The applications that run on this node, newest first."""
    return list(reversed(_controller().running))


def loaded_applications() -> list[str]:
    """The applications this node knows, in the order they were loaded."""
    return list(_controller().loaded)


def get_application() -> str | None:
    """The application that the current process belongs to."""
    me = here()
    return me.application if isinstance(me, Process) else None


def get_env(app: str, key: str, default: object = None) -> Any:
    """A value of an application's environment.

    What the manifest says yields to the node's configuration, that to the command line, that to `set_env`.
    """
    return _controller().environments.get(app, key, default)


def set_env(app: str, key: str, value: object, persistent: bool = False) -> None:
    """Set a value of an application's environment; a persistent one survives loading and unloading.

    Loading overwrites what was set before and is not persistent, where the manifest has a value of its own.
    Raises `TypeError` for names that are no names.
    """
    _controller().environments.set(app, key, value, persistent=persistent)


def unset_env(app: str, key: str, persistent: bool = False) -> None:
    """Remove a value from an application's environment; a persistent one only comes back if it is not told to go."""
    _controller().environments.unset(app, key, persistent=persistent)


async def reload_config() -> list[str]:
    """Read the node's configuration file again: environments change, and `config_change` of those that run is called.

    Each environment is made anew from the manifest, the file and what is persistent; what else was set since is gone.
    Returns the names of the applications that were told, in the order of their start. Raises `ConfigError` with all
    mistakes, and leaves all as it was; `ApplicationError` if a `config_change` failed, once all have been told.
    """
    return await current_node().reload_config()


def get_key(app: str, key: str) -> Any:
    """An entry of a loaded application's manifest, such as `"description"`; `None` if there is none."""
    loaded = _controller().loaded.get(app)
    return getattr(loaded.manifest, key) if loaded is not None and key in attrs.fields_dict(Manifest) else None


def start_type() -> StartType | None:
    """How the application of the current process was started; `None` outside of any."""
    name = get_application()
    loaded = None if name is None else _controller().loaded.get(name)
    return None if loaded is None else loaded.start_type


async def takeover(name: str) -> None:
    """Run a distributed application on this node, whatever the precedence says; returns once it does.

    The node it runs on stops it first, unless the configuration says `overlap`. Raises `ApplicationError` if it
    was not started here, runs nowhere, or runs here already; or why it could not be started here.
    """
    distribution = current_node().distribution
    if distribution is None:
        raise ApplicationError(name, Custom("not_running_distributed"))
    await distribution.takeover(name)


async def permit(name: str, flag: bool) -> None:
    """Say whether an application may run on this node, from now on; returns once that is so.

    Where a distributed one may not run any more it is moved to the next node that may have it. One that is not
    distributed stops, and stands by until it may run again; started meanwhile, it stands by from the first. Unloading
    it forgets what was said. Raises `ApplicationError`: `not_loaded`, or why it does not start where it may now.
    """
    await _controller().permit(name, flag)
