"""The configuration of a node: the same for the whole cluster, read and checked as a whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias, TypeGuard

import attrs

from .checks import DocumentError, Mistakes, Names, Table, hint, is_text, layered, read_only

_NODE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.:-]+")
NODE_NAME_MAX: Final = 200  # characters; what the name of a file can hold, with room for its ending
_ADDRESS: Final = re.compile(r"(?:\[([^\s\[\]]+)\]|([^\s:\[\]]+)):([0-9]{1,5})")
ARBITERS: Final = ("none", "majority", "etcd", "postgres")
ARBITERS_THERE_ARE: Final = ("none",)
TAKEOVERS: Final = ("stop_first", "overlap")
RpcWord: TypeAlias = Literal["off", "portable"]
RPC_WORDS: Final[tuple[RpcWord, ...]] = ("off", "portable")
UnixWord: TypeAlias = Literal["off", "also", "only"]
UNIX_WORDS: Final[tuple[UnixWord, ...]] = ("off", "also", "only")
WATCHDOG_LEAST_S: Final = 0.01
PORT_MAX: Final = 65_535

Groups: TypeAlias = tuple[tuple[str, ...], ...]


class ConfigError(DocumentError):
    """A configuration is wrong; `mistakes` lists all that is."""


@attrs.frozen
class Address:
    """Where a node on another host listens."""

    host: str
    port: int


@attrs.frozen
class Listen:
    """Where a node accepts other nodes: the first free port of the range, a Unix socket, or both."""

    host: str = "127.0.0.1"
    port_min: int = 9100
    port_max: int = 9199
    unix: str = "off"
    """Whether nodes of this user on this machine come through a Unix socket: "off", "also", or "only", and no port."""


@attrs.frozen
class Distributed:
    """Where an application may run: groups of equal nodes, the best first."""

    application: str
    groups: Groups
    wait: float = 0.0
    """Seconds that the next node gives the one that went down to come back; infinite: it never starts by itself."""
    takeover: str = "stop_first"
    arbiter: str = "none"

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(node for group in self.groups for node in group)


@attrs.frozen
class NodeConfig:
    """What a configuration file says; each field as if the file were empty."""

    cookie_file: str = "~/.regrow.cookie"
    listen: Listen = Listen()
    peers: Mapping[str, Address] = attrs.field(factory=dict[str, Address], converter=read_only)
    """Where nodes on other hosts are, by name."""
    watchdog: float = 0.5
    """Seconds that something may block the loop before it is named; infinite for no watchdog."""
    rpc: str = "off"
    """Whether other nodes may call the portable functions of this one: "portable", or "off"."""
    sync_nodes_mandatory: tuple[str, ...] = ()
    sync_nodes_optional: tuple[str, ...] = ()
    sync_nodes_timeout: float = 0.0
    """Seconds that boot waits for those nodes; 0 for no waiting, as if none were listed."""
    net_tick_time: float = 60.0
    """Seconds of silence after which another node counts as gone."""
    shutdown_timeout: float = 30.0
    """Seconds that an orderly stop of the node may take before what is left is killed."""
    distributed: tuple[Distributed, ...] = ()
    env: Mapping[str, Mapping[str, object]] = attrs.field(factory=dict[str, Mapping[str, object]], converter=read_only)
    """The environments of applications, by name."""


def parse_config(documents: Iterable[tuple[str, Mapping[str, object]]], applications: Collection[str]) -> NodeConfig:
    """Read a configuration from the parsed TOML of its files, each with its name; of one key the last one counts.

    `applications` are those that can be found: a table named otherwise is a mistake. Raises `ConfigError` with all
    mistakes.
    """
    whole, origins = layered(documents)
    mistakes = Mistakes("configuration", origins)
    top = Table(mistakes, "", whole)
    node, kernel = top.table("node"), top.table("kernel")
    node.only("cookie_file", "listen", "peers", "watchdog", "rpc")
    kernel.only(
        "sync_nodes_mandatory", "sync_nodes_optional", "sync_nodes_timeout", "net_tick_time", "shutdown_timeout",
        "distributed",
    )  # fmt: skip
    sync_nodes = _node_names()  # one for both lists: a node cannot be mandatory and optional
    config = NodeConfig(
        cookie_file=node.text("cookie_file", "~/.regrow.cookie"),
        listen=_listen(node.table("listen")),
        peers=_peers(node.table("peers")),
        watchdog=node.seconds("watchdog", 0.5, least=WATCHDOG_LEAST_S),
        rpc=node.word("rpc", RPC_WORDS, "off"),
        sync_nodes_mandatory=kernel.names("sync_nodes_mandatory", sync_nodes),
        sync_nodes_optional=kernel.names("sync_nodes_optional", sync_nodes),
        sync_nodes_timeout=kernel.seconds("sync_nodes_timeout", 0.0),
        net_tick_time=kernel.seconds("net_tick_time", 60.0, least=0.1, forever=False),
        shutdown_timeout=kernel.seconds("shutdown_timeout", 30.0),
        distributed=_distributed(kernel, applications),
        env=_environments(top, applications),
    )
    if mistakes.found:
        raise ConfigError(mistakes.found)
    return config


def _listen(table: Table) -> Listen:
    table.only("host", "port_min", "port_max", "unix")
    expected = f"a port, 1 to {PORT_MAX}"
    host = table.text("host", "127.0.0.1")
    port_min = table.get("port_min", _is_port, expected, 9100)
    port_max = table.get("port_max", _is_port, expected, max(port_min, 9199))
    if port_min > port_max and table.sound("port_min"):
        table.mistake("port_max", f"{port_max} is below port_min, which is {port_min}")
    return Listen(host, port_min, port_max, table.word("unix", UNIX_WORDS, "off"))


def _peers(table: Table) -> dict[str, Address]:
    names = _node_names()
    found: dict[str, Address] = {}
    for name in table.data:
        names.read(table, name, "", name)
        found[name] = _address(table.get(name, _is_address, "'host:port'", "unknown:0"))
    return found


def _distributed(kernel: Table, applications: Collection[str]) -> tuple[Distributed, ...]:
    names = Names(is_text, "the name of an application")
    found: list[Distributed] = []
    for table in kernel.tables("distributed"):
        table.only("application", "wait", "nodes", "takeover", "arbiter")
        table.required("application", "nodes")
        found.append(
            Distributed(
                application=_distributed_application(table, names, applications),
                groups=_groups(table),
                wait=table.seconds("wait", 0.0),
                takeover=table.word("takeover", TAKEOVERS, "stop_first"),
                arbiter=_arbiter(table),
            )
        )
    return tuple(found)


def _distributed_application(table: Table, names: Names, applications: Collection[str]) -> str:
    if "application" not in table.data:
        return ""
    for name in names.read(table, "application", "", table.data["application"]):
        if name not in applications:
            table.mistake("application", f"there is no application {name!r} to be found{hint(name, applications)}")
        return name
    return ""


def _groups(table: Table) -> Groups:
    """`["a@h", ["b@h", "c@h"]]`: names, and lists of names that are equal."""
    names = _node_names()
    groups: list[tuple[str, ...]] = []
    entries: list[Any] = table.entries("nodes")
    if not entries and "nodes" in table.data and table.sound("nodes"):
        table.mistake("nodes", "must name at least one node")
    for index, entry in enumerate(entries):
        place = f"[{index}]"
        match entry:
            case []:
                table.mistake("nodes", "must name at least one node", place)
            case [*members]:
                places = [f"{place}[{inner}]" for inner in range(len(members))]
                read = [names.read(table, "nodes", *each) for each in zip(places, members, strict=True)]
                groups.append(tuple(name for found in read for name in found))
            case _:
                groups.append(names.read(table, "nodes", place, entry))
    return tuple(groups)


def _arbiter(table: Table) -> str:
    """Those that are planned are refused by name: running without the one that was asked for would not be safe."""
    word = table.word("arbiter", ARBITERS, "none")
    if word not in ARBITERS_THERE_ARE:
        there_is = ", ".join(map(repr, ARBITERS_THERE_ARE))
        table.mistake("arbiter", f"{word!r} is not there yet in this version; there is {there_is}")
    return word


def _environments(top: Table, applications: Collection[str]) -> dict[str, Mapping[str, object]]:
    found: dict[str, Mapping[str, object]] = {}
    for name in top.data:
        if name in ("node", "kernel"):
            continue
        if name in applications:
            found[name] = read_only(top.table(name).data)
        else:
            known = ("node", "kernel", *applications)
            top.mistake(name, f"neither a table of the node nor an application to be found{hint(name, known)}")
    return found


def _node_names() -> Names:
    return Names(is_node_name, "a node name, such as 'jc1@localhost'")


def is_node_name(value: object) -> TypeGuard[str]:
    """Whether it is of the form `name@host`, and not too long for what is named after it."""
    return isinstance(value, str) and len(value) <= NODE_NAME_MAX and _NODE_NAME.fullmatch(value) is not None


def _is_port(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 < value <= PORT_MAX


def _is_address(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _ADDRESS.fullmatch(value) is not None and _is_port(_address(value).port)


def _address(text: str) -> Address:
    """`host:port`; the host of an IPv6 address stands in brackets."""
    match = _ADDRESS.fullmatch(text)
    assert match is not None, "checked before"
    bracketed, plain, port = match.groups()
    return Address(bracketed or plain, int(port))
