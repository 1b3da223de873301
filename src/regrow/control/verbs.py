"""What a node does when a tool asks: one function for each request, listed in `VERBS`.

A verb gets the node and the arguments, and gives what JSON can hold. It runs in a process of the node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from .. import inspect, sys
from .._pure.child_spec import Restart
from .._pure.config import ConfigError
from .._pure.manifest import ManifestError
from ..errors import ApplicationError, CallError, CallTimeout, short
from ..inspect import Json, as_json
from ..node import Node, full_name
from ..reasons import Crash
from ..runtime import Process
from .evaluate import evaluate
from .kill import kill as kill_process
from .protocol import ExitCode, Refused

T = TypeVar("T")
Arguments: TypeAlias = Mapping[str, object]
Verb: TypeAlias = Callable[[Node, Arguments], Awaitable[Json]]


def argument(arguments: Arguments, name: str, kind: type[T], default: T | None = None) -> T:
    """An argument of a request. Raises `Refused` if it is missing or of another type."""
    value = arguments.get(name, default)
    if not isinstance(value, kind):
        raise Refused(f"the argument {name!r} must be {kind.__name__}, not {short(value)}", ExitCode.USAGE)
    return value


# -- looking inside


async def tree(node: Node, arguments: Arguments) -> Json:
    app = arguments.get("app")
    if app is None:
        return as_json(inspect.tree(node))
    name = argument(arguments, "app", str)
    check_known(node, name)
    trees = inspect.tree(node, name)
    if not trees:
        loaded = node.applications.loaded.get(name)
        what = "is not loaded" if loaded is None else f"is {loaded.phase.value}"
        where = "" if loaded is None or loaded.runs_at is None else f", it runs on {loaded.runs_at}"
        raise Refused(f"application {name} does not run here: it {what}{where}")
    return as_json(trees)


async def ps(node: Node, arguments: Arguments) -> Json:
    everything = argument(arguments, "all", bool, False)
    return as_json([each for each in inspect.processes(node) if everything or not each.system])


async def state(node: Node, arguments: Arguments) -> Json:
    return as_json(inspect.state(node, _process(node, arguments)))


async def crashes(node: Node, arguments: Arguments) -> Json:
    count = arguments.get("count")
    found = inspect.crashes(node)
    return as_json(found if count is None else found[: argument(arguments, "count", int)])


def _process(node: Node, arguments: Arguments) -> Process:
    text = argument(arguments, "process", str)
    process = inspect.find(node, text)
    if process is None:
        raise Refused(f"there is no process {text} on {node.name}", ExitCode.NOT_FOUND)
    return process


# -- acting


async def suspend(node: Node, arguments: Arguments) -> Json:
    await _answered(sys.suspend(_process(node, arguments).pid))
    return None


async def resume(node: Node, arguments: Arguments) -> Json:
    await _answered(sys.resume(_process(node, arguments).pid))
    return None


async def trace(node: Node, arguments: Arguments) -> Json:
    process, on = _process(node, arguments), not argument(arguments, "off", bool, False)
    await _answered(sys.trace(process.pid, on))
    return {"process": argument(arguments, "process", str), "on": on}


async def _answered(asking: Awaitable[None]) -> None:
    try:
        await asking
    except CallTimeout:
        raise Refused("it does not answer: it is stuck, or no behaviour", ExitCode.TIMED_OUT) from None
    except CallError as error:
        raise Refused(str(error)) from None


async def kill(node: Node, arguments: Arguments) -> Json:
    return as_json(await kill_process(node, _process(node, arguments)))


async def rpc(node: Node, arguments: Arguments) -> Json:
    value = await evaluate(node, argument(arguments, "expression", str))
    # Both forms, so that the one who asks decides; neither may harm the node, whatever the value does.
    return as_json(value) if argument(arguments, "as_json", bool, False) else _repr(value)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a value of the user's that cannot be printed is still an answer
        return f"<{type(value).__qualname__} whose repr raised {type(error).__name__}>"


# -- applications


def check_known(node: Node, name: str) -> None:
    """Raise `Refused` if the node can find no application of this name, `ApplicationError` if its manifest is wrong."""
    if name not in node.applications.loaded and node.manifests.find_or_none(name) is None:
        known = ", ".join(dict.fromkeys((*node.manifests.names(), *node.applications.loaded))) or "none"
        raise Refused(f"there is no application {name}; known are: {known}", ExitCode.NOT_FOUND)


def _application(node: Node, arguments: Arguments) -> str:
    name = argument(arguments, "name", str)
    check_known(node, name)
    return name


async def app_list(node: Node, arguments: Arguments) -> Json:
    return as_json(inspect.applications(node))


async def app_start(node: Node, arguments: Arguments) -> Json:
    name, word = _application(node, arguments), argument(arguments, "type", str, "temporary")
    if word not in list(Restart):
        raise Refused(f"a start is permanent, transient or temporary, not {word!r}", ExitCode.USAGE)
    return as_json(await node.applications.ensure_all_started(name, Restart(word)))


async def app_stop(node: Node, arguments: Arguments) -> Json:
    await node.applications.stop(_application(node, arguments))
    return None


async def app_load(node: Node, arguments: Arguments) -> Json:
    node.applications.load(_application(node, arguments))
    return None


async def app_unload(node: Node, arguments: Arguments) -> Json:
    node.applications.unload(_application(node, arguments))
    return None


async def reload(node: Node, arguments: Arguments) -> Json:
    try:
        return as_json(await node.reload_config())
    except ConfigError as error:
        raise Refused("\n".join(error.mistakes), ExitCode.USAGE) from None


# -- other nodes


async def ping(node: Node, arguments: Arguments) -> Json:
    try:
        target = full_name(argument(arguments, "target", str))
    except ValueError as error:
        raise Refused(str(error), ExitCode.USAGE) from None
    failure = None
    if target != node.name:
        net = node.net_kernel
        failure = "it has no name itself" if net is None else await net.failure_to_connect(target)
    if failure is not None:
        raise Refused(f"{node.name} cannot connect to {target}: {failure}", ExitCode.NOT_FOUND)
    return {"node": node.name, "connected": target}


async def nodes(node: Node, arguments: Arguments) -> Json:
    return as_json([] if node.net_kernel is None else node.net_kernel.connected())


async def cluster(node: Node, arguments: Arguments) -> Json:
    return as_json(inspect.cluster(node))


async def app_takeover(node: Node, arguments: Arguments) -> Json:
    name = _application(node, arguments)
    distribution = node.distribution
    if distribution is None or not distribution.controls(name):
        text = f"application {name} is not distributed: the configuration of {node.name} lists no nodes for it"
        raise Refused(text)
    await distribution.takeover(name)
    return None


async def app_permit(node: Node, arguments: Arguments) -> Json:
    return await _permit(node, arguments, True)


async def app_forbid(node: Node, arguments: Arguments) -> Json:
    return await _permit(node, arguments, False)


async def _permit(node: Node, arguments: Arguments, flag: bool) -> Json:
    name = _application(node, arguments)
    await node.applications.permit(name, flag)
    return None


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "tree": tree,
        "ps": ps,
        "state": state,
        "crashes": crashes,
        "suspend": suspend,
        "resume": resume,
        "trace": trace,
        "kill": kill,
        "rpc": rpc,
        "app list": app_list,
        "app start": app_start,
        "app stop": app_stop,
        "app load": app_load,
        "app unload": app_unload,
        "reload": reload,
        "app takeover": app_takeover,
        "app permit": app_permit,
        "app forbid": app_forbid,
        "ping": ping,
        "nodes": nodes,
        "cluster": cluster,
    }
)

END_WITH_CLIENT = frozenset({"rpc"})
"""These are killed when whoever asked is gone; the others are carried out all the same."""


async def run_verb(name: str, node: Node, arguments: Arguments) -> Json:
    """Carry out a request. Raises `Refused`."""
    try:
        return await VERBS[name](node, arguments)
    except ApplicationError as error:
        raise refusal_of(error) from None


def refusal_of(error: ApplicationError) -> Refused:
    """How a command says it: what is wrong with a manifest is wrong with the configuration."""
    wrong = isinstance(error.reason, Crash) and isinstance(error.reason.exception, ManifestError)
    return Refused(str(error), ExitCode.USAGE if wrong else ExitCode.REFUSED)
