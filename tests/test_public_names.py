"""The façade: what `regrow` offers, no less and no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

import regrow
import regrow.reasons

REASONS = "Reason Normal Shutdown Kill Killed NoProc NoConnection Crash Custom RemoteError".split()

INTERFACE = {
    "processes": """Node spawn spawn_link spawn_monitor self_pid current_node make_ref send receive flush link unlink
        monitor demonitor send_exit trap_exit register unregister whereis registered Pid Reference Exit Down NodeUp
        NodeDown Timeout Stop Ignore monitor_node monitor_nodes nodes connect disconnect portable NotPortable""",
    "reasons": " ".join(REASONS),
    "servers": """GenServer Behaviour call cast Deferred NO_REPLY reply gen_call gen_cast start start_link start_monitor
        stop ServerRef Name Via ViaRegistry Global global_name global_lock NameConflict this_request time_left
        gen_send_request SentRequest RequestCollection multi_call abcast Replies
        Bounded OnFull Drop send_wait SpawnOptions""",
    "timers": """send_after send_at start_timer send_interval exit_after kill_after cancel_timer read_timer TimerRef
        TimerFired""",
    "supervisors": """Supervisor DynamicSupervisor PartitionSupervisor child ChildSpec TypedChild ChildInfo Strategy
        AutoShutdown Restart""",
    "applications": "Application NormalStart Failover Takeover StartType application",
    "other nodes": "rpc peer workers",
    "system messages": "sys",
    "errors": """CallError CallCycle CallTimeout NoProcess CallingSelf ServerExited MailboxFull StartFailed
        AlreadyStarted StartTimeout Ignored ApplicationError""",
}
# What stands beside the interface: the errors and types that its names raise and return, and what helps with them.
BESIDE = """ChildCounts From NameTaken NotAProcess NotInNode ProcessExited StartError UnknownRequest AlreadyPresent
    CallbackFailed ChildError ChildNotFound ChildRunning ChildRestarting ConfigError ManifestError
    CookieError MandatoryNodesMissing MaxChildren NoRequest NodeNameTaken ancestors check_portable
    RpcRefused CalleeExited BootFailed PeerDown"""

PUBLIC = sorted(name for names in [*INTERFACE.values(), BESIDE] for name in names.split())


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_can_be_imported_from_the_package(name: str) -> None:
    """Programs are written against these names, and import them from nowhere else."""
    assert getattr(regrow, name) is not None


@pytest.mark.parametrize("name", REASONS)
def test_a_reason_can_be_imported_from_its_module_too(name: str) -> None:
    """Many of them read better with their module: `reasons.Normal()`."""
    assert getattr(regrow.reasons, name) is getattr(regrow, name)


def test_the_package_lists_exactly_its_public_names() -> None:
    """A name that appears or disappears is a decision, written down here."""
    assert sorted([*regrow.__all__, "sys"]) == PUBLIC


def test_to_import_all_names_takes_none_of_pythons_away() -> None:
    """A program that imports `*` goes on to say `sys.argv`."""
    assert not set(regrow.__all__) & sys.stdlib_module_names


@pytest.mark.parametrize("name", [name for name in PUBLIC if isinstance(getattr(regrow, name, None), type)])
def test_a_public_class_has_a_docstring(name: str) -> None:
    """What it gives stands with it."""
    assert (getattr(regrow, name).__doc__ or "").strip()


# Stands in front of all other finders: the modules named are not to be had.
BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"trio", "pytest", "hypothesis"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
"""
CRASH_AND_RETURN = """
import anyio, regrow
async def main():
    async with regrow.Node():
        ref = regrow.monitor(regrow.spawn(anyio.sleep, 0))
        assert (await regrow.receive(regrow.Down)).ref == ref
anyio.run(main)
"""


def test_the_package_needs_neither_trio_nor_the_tools_of_tests() -> None:
    """A service on asyncio installs the core dependencies and no more."""
    command = [sys.executable, "-c", BLOCKED + CRASH_AND_RETURN]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
