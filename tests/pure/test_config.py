"""Reading the configuration of nodes: what each key gives, and every mistake in its place."""

from __future__ import annotations

import copy
import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow._pure.config import Address, ConfigError, Distributed, Listen, NodeConfig, parse_config

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
[EXAMPLE] = re.findall(r"^```toml\n(\[node\]\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FULL: dict[str, Any] = tomllib.loads(EXAMPLE)
WHERE = "config/sys.toml"
APPLICATIONS = ("job_center", "shop")
JC1, JC2, JC3, JC4 = (f"jc{n}@localhost" for n in (1, 2, 3, 4))


def parsed(document: dict[str, Any]) -> NodeConfig:
    return parse_config([(WHERE, document)], APPLICATIONS)


def mistakes(document: dict[str, Any]) -> list[str]:
    """What is wrong, without the name of the file, which each mistake begins with."""
    with pytest.raises(ConfigError) as caught:
        parsed(document)
    found = list(caught.value.mistakes)
    assert str(caught.value) == "\n".join(found)
    assert all(mistake.startswith(f"{WHERE}: ") for mistake in found)
    return [mistake.removeprefix(f"{WHERE}: ") for mistake in found]


def distributed(**keys: Any) -> dict[str, Any]:
    return {"kernel": {"distributed": [{"application": "shop", "nodes": [JC1], **keys}]}}


def test_the_example_of_the_documentation_is_read_as_it_says() -> None:
    """It is the file of the worked example, with every key there is."""
    assert parsed(FULL) == NodeConfig(
        cookie_file="~/.regrow.cookie",
        listen=Listen("127.0.0.1", 9100, 9199),
        peers={"jc9@h2": Address("10.0.0.2", 9100)},
        rpc="off",
        sync_nodes_mandatory=(JC1,),
        sync_nodes_optional=(JC2, JC3, JC4),
        sync_nodes_timeout=15.0,
        net_tick_time=60.0,
        shutdown_timeout=30.0,
        distributed=(Distributed("job_center", ((JC1,), (JC2, JC3), (JC4,)), 1.0, "stop_first", "none"),),
        env={"job_center": {"greeting": "bonjour"}},
    )
    assert parsed(FULL).distributed[0].nodes == (JC1, JC2, JC3, JC4)


def test_the_example_and_the_documentation_have_every_key() -> None:
    """No key that only the code knows, and none that only the page knows."""
    listen = [f"listen.{field.name}" for field in attrs.fields(Listen)]
    settings = [field.name for field in attrs.fields(NodeConfig) if field.name != "env"]
    of_distributed = [field.name.replace("groups", "nodes") for field in attrs.fields(Distributed)]
    described = re.findall(r"^\| `([\w.]+)`", PAGE[PAGE.index("### [node]") :], re.MULTILINE)
    assert sorted(described) == sorted(listen + settings + of_distributed)
    assert sorted([*FULL["node"], *FULL["kernel"]]) == sorted(settings)
    assert sorted(FULL["kernel"]["distributed"][0]) == sorted(of_distributed)


def test_the_mistakes_that_the_documentation_shows_are_those_that_are_reported() -> None:
    """Word for word."""
    document = copy.deepcopy(FULL)
    document["kernel"]["sync_nodes_timout"] = document["kernel"].pop("sync_nodes_timeout")
    document["kernel"]["distributed"][0]["nodes"][1][1] = JC1
    document["job_centre"] = document.pop("job_center")
    shown = re.findall(r"^config/sys\.toml: (.*)$", PAGE, re.MULTILINE)
    assert mistakes(document) == shown


def test_an_empty_file_gives_the_defaults() -> None:
    """Those that the documentation shows; all of them are safe on one machine."""
    assert parsed({}) == NodeConfig()
    assert parsed({"node": {}, "kernel": {}}) == NodeConfig()
    defaults = dict(re.findall(r"^\| `([\w.]+)` \| [^|]+ \| `([^`]+)`", PAGE[PAGE.index("### [node]") :], re.MULTILINE))
    assert defaults.pop("takeover") == f'"{Distributed("shop", ()).takeover}"'
    assert defaults.pop("arbiter") == f'"{Distributed("shop", ()).arbiter}"'
    assert float(defaults.pop("wait")) == Distributed("shop", ()).wait == 0.0
    for key, value in defaults.items():
        section = "kernel" if hasattr(NodeConfig(), key) and key not in FULL["node"] else "node"
        table, _, inner = key.rpartition(".")
        given = {inner: tomllib.loads(f"x = {value}")["x"]}
        assert parsed({section: {table: given} if table else given}) == NodeConfig()


def test_a_distributed_application_needs_a_name_and_nodes() -> None:
    """The rest is as in OTP, but for the order of a takeover."""
    [entry] = parsed(distributed()).distributed
    assert entry == Distributed("shop", ((JC1,),), wait=0.0, takeover="stop_first", arbiter="none")
    assert mistakes({"kernel": {"distributed": [{}]}}) == [
        "kernel.distributed[0].application: is missing",
        "kernel.distributed[0].nodes: is missing",
    ]


@pytest.mark.parametrize("key", ["sync_nodes_timeout", "shutdown_timeout"])
@pytest.mark.parametrize("seconds", [0, 0.0, 15, 0.5, math.inf])
def test_times_may_be_whole_nothing_or_without_end(key: str, seconds: float) -> None:
    """As OTP's `infinity`; a float comes out in any case."""
    value = getattr(parsed({"kernel": {key: seconds}}), key)
    assert value == seconds
    assert type(value) is float


@pytest.mark.parametrize("wrong", [-1, -0.1, -math.inf, math.nan, True, "15", "infinity", None, [15], {}, 10**400])
@pytest.mark.parametrize("key", ["sync_nodes_timeout", "shutdown_timeout"])
def test_other_times_are_refused(key: str, wrong: object) -> None:
    """A negative time is a mistake, not a way to say never; and no number is too big to be refused in order."""
    [mistake] = mistakes({"kernel": {key: wrong}})
    assert mistake.startswith(f"kernel.{key}: must be seconds, at least 0, or inf, not {repr(wrong)[:50]}")


@pytest.mark.parametrize("wrong", [0, 0.05, -1, math.inf, math.nan, "60"])
def test_a_tick_takes_some_time_and_not_for_ever(wrong: object) -> None:
    """A silent node must be noticed sooner or later, and ticking must not be all there is."""
    [mistake] = mistakes({"kernel": {"net_tick_time": wrong}})
    assert mistake == f"kernel.net_tick_time: must be seconds, at least 0.1, not {wrong!r}"


@pytest.mark.parametrize("wait", [0, 1.0, math.inf])
def test_the_next_node_may_wait_for_ever(wait: float) -> None:
    """Then only people move the application."""
    assert parsed(distributed(wait=wait)).distributed[0].wait == wait


WRONG: list[tuple[dict[str, Any], str]] = [
    # tables
    ({"node": 1}, "node: must be a table, not 1"),
    ({"kernel": [{}]}, "kernel: must be a table, not [{}]"),
    ({"job_center": "bonjour"}, "job_center: must be a table, not 'bonjour'"),
    ({"node": {"listen": 9100}}, "node.listen: must be a table, not 9100"),
    ({"node": {"peers": ["jc9@h2"]}}, "node.peers: must be a table, not ['jc9@h2']"),
    # misspelt keys and tables
    ({"node": {"cookie": "x"}}, "node.cookie: unknown key, did you mean 'cookie_file'?"),
    ({"node": {"zzz": 1}}, "node.zzz: unknown key; known are cookie_file, listen, peers, rpc, watchdog"),
    ({"node": {"rpc": "all"}}, "node.rpc: must be 'off' or 'portable', not 'all'"),
    ({"node": {"watchdog": 0}}, "node.watchdog: must be seconds, at least 0.01, or inf, not 0"),
    ({"node": {"watchdog": False}}, "node.watchdog: must be seconds, at least 0.01, or inf, not False"),
    ({"node": {"listen": {"port": 1}}}, "node.listen.port: unknown key, did you mean 'port_min'?"),
    (
        {"kernel": {"net_ticktime": 1}},
        "kernel.net_ticktime: unknown key, did you mean 'net_tick_time'?",
    ),
    (
        {"kernel": {"peers": {}}},
        "kernel.peers: unknown key; known are distributed, net_tick_time, shutdown_timeout, sync_nodes_mandatory,"
        " sync_nodes_optional, sync_nodes_timeout",
    ),
    (
        {"kernal": {}},
        "kernal: neither a table of the node nor an application to be found, did you mean 'kernel'?",
    ),
    (
        {"jobcenter": {"greeting": "hi"}},
        "jobcenter: neither a table of the node nor an application to be found, did you mean 'job_center'?",
    ),
    (
        {"zzz": 1},
        "zzz: neither a table of the node nor an application to be found; known are job_center, kernel, node, shop",
    ),
    (
        {"my app": {}},
        '"my app": neither a table of the node nor an application to be found;'
        " known are job_center, kernel, node, shop",
    ),
    (
        distributed(zzz=[]),
        "kernel.distributed[0].zzz: unknown key; known are application, arbiter, nodes, takeover, wait",
    ),
    # cookie and addresses
    ({"node": {"cookie_file": ""}}, "node.cookie_file: must be a non-empty string, not ''"),
    ({"node": {"cookie_file": 1}}, "node.cookie_file: must be a non-empty string, not 1"),
    ({"node": {"listen": {"unix": True}}}, "node.listen.unix: must be 'off' or 'also' or 'only', not True"),
    ({"node": {"listen": {"host": ""}}}, "node.listen.host: must be a non-empty string, not ''"),
    *[
        ({"node": {"listen": {key: port}}}, f"node.listen.{key}: must be a port, 1 to 65535, not {port!r}")
        for key in ("port_min", "port_max")
        for port in (0, -1, 65_536, "9100", 9100.0, True, None)
    ],
    (
        {"node": {"listen": {"port_min": 9300, "port_max": 9200}}},
        "node.listen.port_max: 9200 is below port_min, which is 9300",
    ),
    ({"node": {"listen": {"port_max": 9000}}}, "node.listen.port_max: 9000 is below port_min, which is 9100"),
    *[
        ({"node": {"peers": {"jc9@h2": address}}}, f"node.peers.\"jc9@h2\": must be 'host:port', not {address!r}")
        for address in (
            "10.0.0.2", "10.0.0.2:", ":9100", "h2:port", "h2:0", "h2:65536", "h2:999999", "::1:9100", "h 2:1", "[::1]",
            "[]:1", "h2:9100\n", "h2:\u0661", 9100, None, ["h2", 9100],
        )
    ],
    (
        {"node": {"peers": {"jc9": "h2:9100"}}},
        "node.peers.jc9: must be a node name, such as 'jc1@localhost', not 'jc9'",
    ),
    # lists of nodes
    ({"kernel": {"sync_nodes_mandatory": JC1}}, f"kernel.sync_nodes_mandatory: must be a list, not {JC1!r}"),
    *[
        (
            {"kernel": {key: [JC1, name]}},
            f"kernel.{key}[1]: must be a node name, such as 'jc1@localhost', not {name!r}",
        )
        for key in ("sync_nodes_mandatory", "sync_nodes_optional")
        for name in ("jc1", "@localhost", "jc1@", "jc1@h@h", "jc 1@h", "", 7, None, [JC2])
    ],
    (
        {"kernel": {"sync_nodes_optional": [JC1, JC2, JC1]}},
        f"kernel.sync_nodes_optional[2]: {JC1!r} is listed twice, first at kernel.sync_nodes_optional[0]",
    ),
    (
        {"kernel": {"sync_nodes_mandatory": [JC1], "sync_nodes_optional": [JC2, JC1]}},
        f"kernel.sync_nodes_optional[1]: {JC1!r} is listed twice, first at kernel.sync_nodes_mandatory[0]",
    ),
    # distributed applications
    (
        {"kernel": {"distributed": {"application": "shop", "nodes": [JC1]}}},
        "kernel.distributed: must be a list of tables, as [[kernel.distributed]] gives,"
        f" not {{'application': 'shop', 'nodes': [{JC1!r}]}}",
    ),
    ({"kernel": {"distributed": ["shop"]}}, "kernel.distributed[0]: must be a table, not 'shop'"),
    (
        distributed(application="shops"),
        "kernel.distributed[0].application: there is no application 'shops' to be found, did you mean 'shop'?",
    ),
    *[
        (
            distributed(application=name),
            f"kernel.distributed[0].application: must be the name of an application, not {name!r}",
        )
        for name in ("", 7, None, ["shop"])
    ],
    *[
        (distributed(wait=wait), f"kernel.distributed[0].wait: must be seconds, at least 0, or inf, not {wait!r}")
        for wait in (-1, math.nan, "1", True, "infinity")
    ],
    *[
        (distributed(takeover=word), f"kernel.distributed[0].takeover: must be 'stop_first' or 'overlap', not {word!r}")
        for word in ("", "start_first", 1, None, ["overlap"], {})
    ],
    *[
        (
            distributed(arbiter=word),
            f"kernel.distributed[0].arbiter: must be 'none' or 'majority' or 'etcd' or 'postgres', not {word!r}",
        )
        for word in ("", "zookeeper", None, ["none"])
    ],
    *[
        (
            distributed(arbiter=word),
            f"kernel.distributed[0].arbiter: {word!r} is not there yet in this version; there is 'none'",
        )
        for word in ("majority", "etcd", "postgres")
    ],
    # precedence lists
    (distributed(nodes=JC1), f"kernel.distributed[0].nodes: must be a list, not {JC1!r}"),
    (distributed(nodes=[]), "kernel.distributed[0].nodes: must name at least one node"),
    (distributed(nodes=[JC1, []]), "kernel.distributed[0].nodes[1]: must name at least one node"),
    (
        distributed(nodes=[JC1, "jc2"]),
        "kernel.distributed[0].nodes[1]: must be a node name, such as 'jc1@localhost', not 'jc2'",
    ),
    (
        distributed(nodes=[[JC1, 5]]),
        "kernel.distributed[0].nodes[0][1]: must be a node name, such as 'jc1@localhost', not 5",
    ),
    (
        distributed(nodes=[JC1, [JC2, [JC3]]]),
        f"kernel.distributed[0].nodes[1][1]: must be a node name, such as 'jc1@localhost', not [{JC3!r}]",
    ),
    (
        distributed(nodes=[{"name": JC1}]),
        f"kernel.distributed[0].nodes[0]: must be a node name, such as 'jc1@localhost', not {{'name': {JC1!r}}}",
    ),
    (
        distributed(nodes=[JC1, JC2, JC1]),
        f"kernel.distributed[0].nodes[2]: {JC1!r} is listed twice, first at kernel.distributed[0].nodes[0]",
    ),
    (
        distributed(nodes=[[JC1, JC1]]),
        f"kernel.distributed[0].nodes[0][1]: {JC1!r} is listed twice, first at kernel.distributed[0].nodes[0][0]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("document", "expected"), [pytest.param(*each, id=each[1][:60]) for each in WRONG])
def test_a_mistake_is_named_with_its_place(document: dict[str, Any], expected: str) -> None:
    """One mistake is one line, which says what belongs there and what was found."""
    assert mistakes(document) == [expected]


def test_an_application_is_distributed_once() -> None:
    """Two lists for one application would contradict each other."""
    entry = {"application": "shop", "nodes": [JC1]}
    other = {"application": "job_center", "nodes": [JC1]}
    assert mistakes({"kernel": {"distributed": [entry, other, entry]}}) == [
        "kernel.distributed[2].application: 'shop' is listed twice, first at kernel.distributed[0].application"
    ]
    assert [each.application for each in parsed({"kernel": {"distributed": [entry, other]}}).distributed] == [
        "shop", "job_center",
    ]  # fmt: skip


def test_a_port_range_may_be_given_by_its_beginning() -> None:
    """Then its end is not below it."""
    assert parsed({"node": {"listen": {"port_min": 9150}}}).listen == Listen("127.0.0.1", 9150, 9199)
    assert parsed({"node": {"listen": {"port_min": 12000}}}).listen == Listen("127.0.0.1", 12000, 12000)
    assert parsed({"node": {"listen": {"port_min": 1, "port_max": 65_535}}}).listen == Listen("127.0.0.1", 1, 65_535)
    assert parsed({"node": {"listen": {"unix": "only"}}}).listen == Listen(unix="only")


def test_a_wrong_port_is_not_compared_with_the_other() -> None:
    """A mistake is not told twice in other words."""
    assert len(mistakes({"node": {"listen": {"port_min": "x", "port_max": 80}}})) == 1
    assert len(mistakes({"node": {"listen": {"port_min": 9300, "port_max": "x"}}})) == 1


def test_peers_are_addresses() -> None:
    """By name, by number, and with the brackets of IPv6."""
    peers = {"a@h": "h:1", "b@h": "10.0.0.2:9100", "c@h": "[::1]:65535"}
    assert dict(parsed({"node": {"peers": peers}}).peers) == {
        "a@h": Address("h", 1),
        "b@h": Address("10.0.0.2", 9100),
        "c@h": Address("::1", 65_535),
    }


def test_environments_keep_their_form_and_cannot_be_changed() -> None:
    """They are the applications' own business; and several nodes may have been given the same configuration."""
    odd = {"list": [1, {"x": []}], "node": "kernel"}
    config = parsed({"shop": odd, "job_center": {}})
    assert {name: dict(env) for name, env in config.env.items()} == {"shop": odd, "job_center": {}}
    with pytest.raises(TypeError):
        config.env["shop"]["list"] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        config.env["other"] = {}  # type: ignore[index]


def test_all_mistakes_are_reported_at_once() -> None:
    """Nobody should have to start a node once for each."""
    found = mistakes(
        {
            "node": {"cookie": 1, "listen": {"port_min": 0}, "peers": {"jc9": 7}},
            "kernel": {
                "sync_nodes_mandatory": ["jc1", JC2, JC2],
                "sync_nodes_timout": 1,
                "net_tick_time": "60",
                "distributed": [{"application": "nobody", "nodes": [JC1, [JC1]], "takeover": "never", "wait": -1}, 7],
            },
            "jobcenter": {},
            "shop": 1,
        }
    )
    assert [mistake[: mistake.index(": ")] for mistake in found] == [
        "node.cookie",
        "kernel.sync_nodes_timout",
        "node.listen.port_min",
        "node.peers.jc9",
        "node.peers.jc9",
        "kernel.sync_nodes_mandatory[0]",
        "kernel.sync_nodes_mandatory[2]",
        "kernel.net_tick_time",
        "kernel.distributed[0].application",
        "kernel.distributed[0].nodes[1][0]",
        "kernel.distributed[0].wait",
        "kernel.distributed[0].takeover",
        "kernel.distributed[1]",
        "jobcenter",
        "shop",
    ]


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(),
    st.sampled_from([JC1, JC2, "shop", "overlap", "etcd", "h:1", 10**400]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KNOWN = [
    "node",
    "kernel",
    "shop",
    *FULL["node"],
    *FULL["kernel"],
    *FULL["kernel"]["distributed"][0],
    "port_min",
    "host",
]


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Each container in a document, with each key or index of it."""
    if isinstance(document, dict | list):
        entries = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in list(entries):
            yield document, key
            yield from places(value)


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """The example with up to three changes: something replaced, left out, added or listed again."""
    document = copy.deepcopy(FULL)
    for _ in range(draw(st.integers(0, 3))):
        found = list(places(document))
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                container[key] = draw(values)
            case "remove":
                del container[key]
            case _ if isinstance(container, list):
                container.append(draw(values | st.just(container[0])))
            case _:
                container[draw(st.sampled_from(KNOWN) | st.text(max_size=8))] = draw(values)
    return document


def outcome(document: dict[str, Any]) -> NodeConfig | ConfigError:
    try:
        return parsed(document)
    except ConfigError as error:
        return error


@settings(deadline=None, database=None, max_examples=300)
@given(spoilt() | st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=5), values, max_size=4))
def test_any_document_is_a_configuration_or_a_list_of_mistakes(document: dict[str, Any]) -> None:
    """Never anything else, whatever people write."""
    result = outcome(document)
    if isinstance(result, ConfigError):
        assert result.mistakes
        assert all(mistake.startswith(f"{WHERE}: ") and "\n" not in mistake for mistake in result.mistakes)
    else:
        assert result.listen.port_min <= result.listen.port_max
        assert all(len(set(each.nodes)) == len(each.nodes) > 0 for each in result.distributed)
        assert set(result.env) <= set(APPLICATIONS)
