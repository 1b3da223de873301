"""What is wrong before a node is up, or with what it is asked: one clear line for each mistake, and the exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .nodes import APPS, ROOT, Machine, Outcome, RunningNode, Say

A = "a@localhost"

# -- manifests and configuration


def test_all_mistakes_of_a_configuration_are_told_at_once(machine: Machine) -> None:
    """Each with its place."""
    config = machine.config('[kernel]\nsync_nodes_timout = 1\nnet_tick_time = "long"\n[mods]\nmood = "good"\n')
    outcome = machine.regrow("run", "--sname", "a@localhost", "--path", str(APPS), "--config", config)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert len(outcome.stderr.splitlines()) == 3
    assert "kernel.sync_nodes_timout" in outcome.stderr
    assert "did you mean 'sync_nodes_timeout'" in outcome.stderr
    assert "kernel.net_tick_time" in outcome.stderr
    assert "mods" in outcome.stderr
    assert "Traceback" not in outcome.stderr


PRECEDENCE = """
[[kernel.distributed]]
application = "mods"
nodes = ["a@localhost", ["a@localhost", "b"], []]
takeover = "gently"
wait = true
[[kernel.distributed]]
nodes = "a@localhost"
"""


def test_all_mistakes_of_a_precedence_list_are_told_at_once(machine: Machine) -> None:
    """Each with its place, also inside of the groups; and what was meant, where that can be guessed."""
    config = machine.config(PRECEDENCE)
    outcome = machine.regrow("run", "--sname", A, "--path", str(APPS), "--config", config)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    places = [line.removeprefix("regrow: ").removeprefix(f"{config}: kernel.") for line in outcome.stderr.splitlines()]
    assert places == [
        "distributed[0].application: there is no application 'mods' to be found, did you mean 'moods'?",
        "distributed[0].nodes[1][0]: 'a@localhost' is listed twice, first at kernel.distributed[0].nodes[0]",
        "distributed[0].nodes[1][1]: must be a node name, such as 'jc1@localhost', not 'b'",
        "distributed[0].nodes[2]: must name at least one node",
        "distributed[0].wait: must be seconds, at least 0, or inf, not True",
        "distributed[0].takeover: must be 'stop_first' or 'overlap', not 'gently'",
        "distributed[1].application: is missing",
        "distributed[1].nodes: must be a list, not 'a@localhost'",
    ]


@pytest.fixture
def shop(machine: Machine) -> Shop:
    return Shop(machine.folder / "apps" / "shop")


class Shop:
    """An application that a test writes wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    @property
    def path(self) -> str:
        return str(self.folder.parent)

    def write(self, manifest: str, module: str = "") -> None:
        (self.folder / "application.toml").write_text(f"[application]\nname = 'shop'\n{manifest}\n")
        (self.folder / "__init__.py").write_text(module)


def test_the_mistakes_of_manifests_are_told_without_a_configuration_too(machine: Machine, shop: Shop) -> None:
    """Before anything starts, and of whichever application."""
    shop.write("modul = 'shop:Shop'\napplications = 'moods'")
    outcome = machine.regrow("run", "--sname", A, "--path", str(APPS), "--path", shop.path, "--start", "moods")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    first, second = outcome.stderr.splitlines()
    assert first.endswith("application.toml: application.modul: unknown key, did you mean 'module'?")
    assert second.endswith("application.toml: application.applications: must be a list, not 'moods'")


def test_a_manifest_that_goes_wrong_while_the_node_runs_is_a_mistake_all_the_same(
    machine: Machine, shop: Shop, say: Say
) -> None:
    """It is read again when the application is loaded."""
    shop.write("")
    with machine.node("--path", shop.path):
        shop.write("args = 1")
        refused = say("app", "start", "shop")
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
        assert "application.args: must be a list, not 1" in refused.stderr


def test_a_mark_on_what_cannot_be_portable_is_a_mistake(machine: Machine, shop: Shop, backend: str) -> None:
    """The class is named."""
    shop.write("portable = ['shop']", "from regrow import portable\n@portable\nclass Till:\n    pass\n")
    outcome = machine.regrow("run", "--sname", A, "--path", shop.path, "--backend", backend)
    line = (
        "regrow: portable: shop.Till cannot be portable: it is no attrs class, dataclass, enum, behaviour or function\n"
    )
    assert outcome == Outcome(2, "", line)


def test_a_module_that_cannot_be_imported_costs_its_application_and_no_node(
    machine: Machine, shop: Shop, say: Say
) -> None:
    """What is portable in it is missing, which the log says; starting the application says why."""
    shop.write("portable = ['shop']\nmodule = 'shop:Shop'", "Shop =\n")
    with machine.node("--path", shop.path) as node:
        node.log_until("nothing of module shop is portable: SyntaxError")
        refused = say("app", "start", "shop")
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
        assert refused.stderr.startswith("regrow: application shop: SyntaxError: ")


def test_a_configuration_that_is_not_there_is_a_mistake(say: Say) -> None:
    """Of the command line."""
    outcome = say("run", "--sname", "a@localhost", "--config", "nowhere.toml")
    assert (outcome.exit_code, outcome.stderr) == (2, "regrow: nowhere.toml: No such file or directory\n")


def test_a_name_in_use_says_by_which_os_process(machine: Machine) -> None:
    """And the node that has it goes on."""
    with machine.node() as node:
        outcome = machine.regrow("run", "--sname", "a@localhost")
        assert (outcome.exit_code, outcome.stdout) == (1, "")
        assert f"the name a@localhost is in use by OS process {node.os_pid}" in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1
        assert node.stopped_by(signal.SIGTERM).exit_code == 0


# -- what cannot be sent


def test_a_job_that_is_not_portable_is_refused_and_not_queued(machine: Machine, backend: str, say: Say) -> None:
    """On the node of the job center itself, where it would be found out only when that moves."""
    example = str(ROOT / "examples" / "job_center")
    with machine.node("--backend", backend, "--path", example, "--start", "job_center"):
        assert say("app", "start", "job_center").exit_code == 0
        job = "__import__('functools').partial(job_center.jobs.multiply, 6, object())"
        refused = say("rpc", f"await job_center.add_job({job})")
        assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
        assert refused.stderr.startswith("regrow: NotPortable: an object of builtins.object can't leave this node")
        assert refused.stderr.endswith("(at args[1])\n")
        assert json.loads(say("rpc", "--json", "await job_center.statistics()").stdout)["waiting"] == 0


# -- the machine


def test_an_address_that_is_not_ours_is_named(machine: Machine) -> None:
    """With the port, and why."""
    config = machine.config('node.listen = { host = "192.0.2.1", port_min = 9100 }\n')
    outcome = machine.regrow("run", "--sname", A, "--config", config)
    line = f"regrow: {A} cannot start: cannot listen at 192.0.2.1:9100: Cannot assign requested address\n"
    assert outcome == Outcome(1, "", line)


@pytest.mark.parametrize(("mode", "exit_code"), [(0o400, 0), (0o600, 0), (0o440, 1), (0o404, 1)])
def test_a_cookie_that_others_can_read_is_refused(machine: Machine, mode: int, exit_code: int) -> None:
    """It says which file, and what its mode should be; one that is made is right from the start."""
    with machine.node() as node:
        assert node.stopped_by(signal.SIGTERM).exit_code == 0
    cookie = machine.folder / ".regrow.cookie"
    assert cookie.stat().st_mode & 0o777 == 0o400
    cookie.chmod(mode)
    with RunningNode(machine.popen("run", "--sname", A)) as node:
        up = node.first_line
        outcome = node.stopped_by(signal.SIGTERM)
    assert (outcome.exit_code, bool(up)) == (exit_code, not exit_code)
    if exit_code:
        text = f"others can read cookie file {cookie}: its mode is {mode:04o}, not 0400"
        assert outcome.stderr == f"regrow: {A} cannot start: {text}\n"


def test_a_wrong_cookie_is_refused_on_both_sides_and_harms_nobody(machine: Machine, backend: str) -> None:
    """Each says it once, however often it is tried; who shares the cookie is still welcome."""
    config = machine.config('node.cookie_file = "~/another.cookie"\n')
    loop = ("--backend", backend)
    with (
        machine.node(*loop, name="a") as a,
        machine.node(*loop, name="b"),
        machine.node(*loop, "--config", config, name="c") as c,
    ):
        refused = machine.regrow("ping", "c", "--node", "a")
        text = "a@localhost cannot connect to c@localhost: it hung up on our proof: our cookies may differ"
        assert refused == Outcome(3, "", f"regrow: {text}\n")
        assert machine.regrow("ping", "c", "--node", "a") == refused
        assert machine.regrow("ping", "b", "--node", "a").exit_code == 0
        assert machine.regrow("nodes", "--node", "c") == Outcome(0, "none\n", "")
        logs = [node.stopped_by(signal.SIGTERM).stderr for node in (a, c)]
    told = [[line.partition("WARNING ")[2] for line in log.splitlines() if "WARNING" in line] for log in logs]
    assert told == [
        ["no connection to c@localhost: it hung up on our proof: our cookies may differ"],
        ["a connection was refused: who calls itself a@localhost has another cookie than we"],
    ]


WITHOUT = "import sys; sys.modules['{}'] = None; from regrow.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize(("option", "loop"), [("--backend", "trio"), ("--loop", "uvloop")])
def test_a_loop_that_is_not_installed_is_one_clear_line(machine: Machine, option: str, loop: str) -> None:
    """It says how to get it."""
    command = [sys.executable, "-c", WITHOUT.format(loop), "run", "--sname", "a@localhost", option, loop]
    outcome = subprocess.run(command, capture_output=True, text=True, env=machine.environment)
    assert outcome.returncode == 2
    assert outcome.stderr == f"regrow: {loop} is not installed: pip install 'regrow[{loop}]'\n"


def test_trio_runs_on_no_other_loop(say: Say) -> None:
    """Whoever asks for both has one of them in mind."""
    text = "--loop uvloop is a loop for --backend asyncio: trio brings its own"
    assert say("run", "--sname", A, "--backend", "trio", "--loop", "uvloop") == Outcome(2, "", f"regrow: {text}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("run",),
        ("run", "--sname", "a b"),
        ("run", "--sname", "a" * 201),
        ("run", "--sname", "a@h", "--path", "nowhere"),
        ("run", "--sname", "a@h", "--type", "eternal"),
        ("run", "--sname", "a@h", "--backend", "curio"),
        ("run", "--sname", "a@h", "--workers", "0"),
        ("run", "--sname", "a@h", "--workers", "two"),
        ("app",),
        ("app", "start"),
        ("tree", "--timeout", "0"),
        ("tree", "--timeout", "soon"),
        ("crashes", "-n", "none"),
        ("crashes", "-n", "0"),
    ],
)
def test_a_wrong_command_line_exits_2(say: Say, arguments: tuple[str, ...]) -> None:
    """Before anything is done."""
    outcome = say(*arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert "invalid _" not in outcome.stderr, "names of functions are no help"


def test_a_runtime_directory_of_others_is_a_mistake(machine: Machine, say: Say) -> None:
    """Of the environment."""
    machine.runtime_directory.mkdir(mode=0o777)
    (machine.runtime_directory / "something").write_text("")
    machine.runtime_directory.chmod(0o777)
    outcome = say("tree")
    assert outcome.exit_code == 2
    assert "others can get into" in outcome.stderr
