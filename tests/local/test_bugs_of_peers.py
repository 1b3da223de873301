"""What other libraries of this kind got wrong, each as a test; most of them stand where they belong.

- A call to a server that crashes fails at once, with its reason:
  `test_a_server_that_ends_in_a_call_is_seen_at_once_with_its_reason`.
- A late reply harms neither the server nor the mailbox of the caller:
  `test_a_call_waits_five_seconds_and_gives_up_only_the_waiting`.
- Other mail that arrives during a call is kept, in order: `test_mail_that_arrives_during_a_call_is_kept_in_order`.
- Calls go by pid and by name: `test_a_server_is_called_by_every_kind_of_address`.
- A call to a dead pid is `noproc` at once: `test_a_call_to_nobody_fails_at_once`.
- A cast to oneself or to a busy server never blocks: `test_a_cast_to_oneself_is_handled_in_its_turn`,
  `test_a_cast_neither_waits_nor_fails`.
- What `init` raises is what the start raises, and the name is free:
  `test_a_failed_init_is_the_starters_exception_and_leaves_nothing`.
- An `init` that raises in a restart counts, and escalates:
  `test_a_restart_that_fails_is_tried_again_and_each_try_counts`,
  `test_a_child_whose_start_fails_for_good_brings_down_level_after_level`.
- A permanent child that ends normally is restarted, spends the budget, and brings its supervisor down:
  `test_a_permanent_child_that_always_ends_normally_spends_the_budget_as_well`.
- Who is killed is restarted, and who ends how by restart type: `test_a_permanent_child_is_restarted_after_any_end`,
  `test_a_transient_child_is_restarted_only_after_an_abnormal_end`,
  `test_a_temporary_child_is_never_restarted_and_forgotten_at_once`.
- The restart of a group is one restart, stops in reverse and starts in order, and no sibling serves meanwhile:
  `test_the_restart_of_a_whole_group_counts_once`,
  `test_one_for_all_stops_all_in_reverse_order_and_starts_all_in_order`,
  `test_no_sibling_answers_between_the_crash_and_the_end_of_the_group_restart`.
- Two crashes at once: `test_of_two_crashes_at_once_the_second_counts_only_if_the_first_did_not_cover_it`.
- A supervisor that gives up ends with `shutdown`, and its parent goes by its own strategy:
  `test_one_restart_too_many_stops_the_rest_in_reverse_order_and_ends_with_shutdown`,
  `test_a_parent_applies_its_own_strategy_to_a_supervisor_that_gave_up`. At the top the program fails: below, and for
  `regrow run` `test_a_node_whose_permanent_application_gives_up_exits_1`.
- The budget is a true sliding window: `test_it_gives_up_exactly_when_the_last_period_held_too_many`.
- A child that never started does not hold up the shutdown: `test_children_that_do_not_run_do_not_hold_up_the_shutdown`.
- A copy of a pid is that pid: `test_identities_survive_copying_and_pickling`.
- Two names in the registry: below, and `test_a_process_has_one_name_at_most`.
- The package needs no extras: below, and `test_the_package_needs_neither_trio_nor_the_tools_of_tests`.
- The examples of the README run: `test_a_program_runs_and_prints_what_the_page_shows`.
- What it needs is on PyPI: below.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from regrow import Node, child, gen_call, registered, start, stop, whereis
from tests.local.gen_server_kit import Counter

ROOT = Path(__file__).parents[2]


def test_what_is_said_to_stand_elsewhere_does() -> None:
    """A test that was given another name would be missed here."""
    named = re.findall(r"`(test_\w+)`", __doc__ or "")
    there = {
        name
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert set(named) - there == set()
    assert len(named) > 20


async def test_two_names_lead_to_two_processes() -> None:
    """The second does not replace the first, and the end of one leaves the other."""
    async with Node():
        first = await start(child(Counter, 1).named("first"))
        second = await start(child(Counter, 2).named("second"))
        assert registered() == ["first", "second"]
        assert (whereis("first"), whereis("second")) == (first.pid, second.pid)
        assert await gen_call("first", "value") == ("value", 1)
        assert await gen_call("second", "value") == ("value", 2)
        await stop(first)
        assert registered() == ["second"]
        assert await gen_call("second", "value") == ("value", 2)


# A crash at the top, again and again: what becomes of the program.
GIVES_UP = """
import sys
import anyio
from regrow import Node, Supervisor, GenServer, child, monitor, receive, send, start_link

class Worker(GenServer):
    async def handle_info(self, message):
        raise ValueError(message)

class Top(Supervisor):
    def init(self):
        return [child(Worker).named("worker")]

async def main():
    async with Node():
        top = await start_link(Top)
        send("worker", "once")
        monitor("worker")
        await receive()
        await Supervisor.count_children(top)  # answered when it is there again
        send("worker", "and once too often")
        await anyio.sleep_forever()

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_top_supervisor_that_gives_up_fails_the_program(loop: str) -> None:
    """Its end is a clean reason, `shutdown`; whoever is linked with it is not to be taken for done."""
    run = subprocess.run([sys.executable, "-c", GIVES_UP, loop], capture_output=True, text=True)
    assert run.returncode == 1
    assert "gives up: worker ended (ValueError: and once too often)" in run.stderr
    assert run.stderr.splitlines()[-1] == "regrow.errors.ProcessExited: shutdown"


# No extra is installed, and no tool of the tests: each module of the package can be imported all the same.
WITHOUT_EXTRAS = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"trio", "pytest", "hypothesis", "uvloop", "structlog"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import importlib, pkgutil, regrow
names = [module.name for module in pkgutil.walk_packages(regrow.__path__, "regrow.")]
for name in names:
    if not name.startswith("regrow._backends._trio") and name != "regrow.__main__":
        importlib.import_module(name)
print(len(names))
"""


def test_every_module_can_be_imported_without_extras() -> None:
    """All but those for trio."""
    run = subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 50


def test_what_the_package_needs_comes_from_pypi_by_name() -> None:
    """No address of a file, a repository or an index: `pip install` is all it takes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    needed = [*project["project"]["dependencies"], *(each for extra in extras for each in extra)]
    assert [each for each in needed if not re.fullmatch(r"[a-z][a-z0-9-]*>=[0-9.]+", each)] == []
    assert "index" not in str(project.get("tool", {}).get("pip", "")) + str(project.get("tool", {}).get("uv", ""))
