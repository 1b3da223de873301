"""The commands that talk to a running node: one entry in `COMMANDS` for each."""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import attrs

from ..control import ExitCode, Refused
from . import output
from .client import ask, pick

READ_S = 10.0  # what a node gets to answer a command that reads
RESTARTS = ("permanent", "transient", "temporary")

T = TypeVar("T", int, float)
Options: TypeAlias = argparse.Namespace


@attrs.frozen
class Argument:
    """One argument or option of a command, in argparse's terms."""

    flags: tuple[str, ...]
    settings: dict[str, Any]


@attrs.frozen
class Command:
    """One command: its words, what it takes, and what carries it out, raising `Refused`."""

    words: str
    help: str
    run: Callable[[Options], None]
    arguments: Sequence[Argument] = ()


def argument(*flags: str, **settings: Any) -> Argument:
    return Argument(flags, settings)


def say(text: str) -> None:
    """Print a line to standard output, at once; what its encoding has no bytes for, escaped."""
    encoding = sys.stdout.encoding
    sys.stdout.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


# -- what they have in common

NODE = argument("--node", metavar="NAME", default=argparse.SUPPRESS, help="the node to ask, if several run here")
JSON = argument("--json", action="store_true", help="print JSON")


def _patience(default_s: float | None) -> Argument:
    waits = "for as long as it takes" if default_s is None else f"{default_s:g} s"
    text = f"wait this long for the answer, then exit with {ExitCode.TIMED_OUT.value} (otherwise: {waits})"
    return argument("--timeout", metavar="SECONDS", type=_seconds, default=default_s, help=text)


def _seconds(text: str) -> float:
    value = _number(float, text)
    if not value > 0:  # so put, it catches NaN as well
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return min(value, threading.TIMEOUT_MAX)


def _count(text: str) -> int:
    value = _number(int, text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def _number(kind: Callable[[str], T], text: str) -> T:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None


def reads(
    words: str, help: str, show: Callable[[Any], str], *arguments: Argument, patience_s: float | None = READ_S
) -> Command:
    """A command that asks the verb of the same name, and prints what it gives."""
    names = [_dest(each) for each in arguments]

    def run(options: Options) -> None:
        given = {name: getattr(options, name) for name in names}
        result = ask(pick(options.node), words, given, options.timeout)
        say(json.dumps(result, indent=2) if options.json else show(result))

    return Command(words, help, run, (*arguments, NODE, JSON, _patience(patience_s)))


def _dest(each: Argument) -> str:
    return str(each.settings.get("dest") or each.flags[-1].lstrip("-").replace("-", "_"))


PROCESS = argument("process", metavar="PROCESS", help="a registered name, or a pid as printed")
APPLICATION = argument("name", metavar="NAME", help="the application")


def acts(words: str, help: str, done: str, what: Argument = APPLICATION) -> Command:
    """A command about one thing that gives nothing but that it was done."""

    def run(options: Options) -> None:
        name = getattr(options, _dest(what))
        ask(pick(options.node), words, {_dest(what): name}, options.timeout)
        say(f"{done} {name}")

    return Command(words, help, run, (what, NODE, _patience(None)))


# -- those that are not like the others


def _rpc(options: Options) -> None:
    arguments = {"expression": options.expression, "as_json": options.json}
    try:
        result = ask(pick(options.node), "rpc", arguments, options.timeout)
    except Refused as refused:
        if options.traceback and refused.detail:
            sys.stderr.write(refused.detail)
            raise Refused("", refused.exit_code) from None  # all has been said
        raise
    say(json.dumps(result, indent=2) if options.json else result)


def _app_start(options: Options) -> None:
    arguments = {"name": options.name, "type": options.type}
    started = ask(pick(options.node), "app start", arguments, options.timeout)
    if options.json:
        say(json.dumps(started))
    else:
        say(f"started {', '.join(started)}" if started else f"{options.name} was started already")


def _halt(options: Options) -> None:
    node = pick(options.node)

    def wait_for_the_end(connection: socket.socket) -> None:
        try:
            while connection.recv(1):
                continue
        except ConnectionError:
            return  # it ended all the more abruptly
        except TimeoutError:
            text = f"{node.name} has not stopped within {options.timeout:g} s"
            raise Refused(text, ExitCode.TIMED_OUT) from None

    ask(node, "halt", {"hard": options.hard}, options.timeout, then=wait_for_the_end)
    say(f"{node.name} stopped")


COMMANDS: Sequence[Command] = (
    reads(
        "tree",
        "show applications with their supervisors and workers",
        output.tree,
        argument("app", metavar="APP", nargs="?", help="this application alone"),
    ),
    reads(
        "ps",
        "list processes",
        output.processes,
        argument("--all", action="store_true", help="also the node's own"),
    ),
    reads("state", "look into a process, even while it is stuck", output.state, PROCESS),
    acts("suspend", "have a process handle no messages", "suspended", PROCESS),
    acts("resume", "let a suspended process go on", "resumed", PROCESS),
    reads(
        "trace",
        "write what a process handles to the node's log",
        output.tracing,
        PROCESS,
        argument("--off", action="store_true", help="no more"),
    ),
    reads("kill", "kill a process and tell what its supervisor did", output.killing, PROCESS),
    reads(
        "crashes",
        "show the newest crashes, newest first",
        output.crashes,
        argument("-n", dest="count", metavar="N", type=_count, help="this many at most"),
    ),
    Command(
        "rpc",
        "evaluate a Python expression in the node",
        _rpc,
        (
            argument("expression", metavar="EXPRESSION", help="knows what regrow offers, `node`, and the applications"),
            argument("--traceback", action="store_true", help="print the traceback of an exception"),
            NODE,
            JSON,
            _patience(None),
        ),
    ),
    reads(
        "ping",
        "connect the node with another one",
        output.ping,
        argument("target", metavar="NODE", help="the other node"),
    ),
    reads("nodes", "list the nodes that are connected", output.lines),
    reads("cluster", "show the nodes, and who runs each distributed application", output.cluster),
    reads("app list", "list the applications that are loaded", output.applications),
    Command(
        "app start",
        "start an application and all it needs",
        _app_start,
        (
            APPLICATION,
            argument("--type", choices=RESTARTS, default="temporary", help="what its end means for the node"),
            NODE,
            JSON,
            _patience(None),
        ),
    ),
    acts("app stop", "stop an application", "stopped"),
    acts("app load", "load an application without starting it", "loaded"),
    acts("app unload", "forget an application that does not run", "unloaded"),
    reads(
        "reload",
        "read the configuration again, and tell the applications that run",
        output.reloading,
        patience_s=None,
    ),
    acts("app takeover", "run a distributed application on this node", "taken over:"),
    acts("app permit", "let an application run on this node", "permitted here:"),
    acts("app forbid", "keep an application from running on this node", "forbidden here:"),
    Command(
        "halt",
        "stop the node in order, and return when it is gone",
        _halt,
        (
            argument("--hard", action="store_true", help="exit at once, without stopping anything"),
            NODE,
            _patience(None),
        ),
    ),
)
