"""An oracle that watches every process of a node, whatever befalls its supervision tree.

It knows nothing of how a supervisor works. It sees each process begin and end, each report, and in quiet moments
the whole table; and it checks what has to hold whatever happened.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from regrow import Down, Normal, Pid, Reason, Reference, Restart, Shutdown, flush, self_pid, trap_exit
from regrow.children import Child
from regrow.dynamic_supervisor import DynamicSupervisorRunner
from regrow.owner import OwnerRunner
from regrow.reports import GaveUpReport, Report, RestartReport
from regrow.runtime import Process, Runtime
from regrow.signals import node_of
from tests.local.supervisor_world import World


class Oracle:
    """Watches every process of a node."""

    def __init__(self, world: World, runtime: Runtime) -> None:
        self.world = world
        self.runtime = runtime
        self.body = runtime.processes[self_pid()]
        trap_exit(True)
        self.wrong = world.wrong
        self._watched: dict[Reference, Pid] = {}  # whose `Down` has not come yet
        self._ended: dict[Pid, Reason] = {}
        self._clean: set[tuple[Pid, str]] = set()  # children that had a clean end, with their supervisor
        self._due: dict[Pid, set[str]] = defaultdict(set)  # dynamic children that have to come back
        self._stamps: dict[Pid, list[float]] = defaultdict(list)
        self._tap()

    def _tap(self) -> None:
        """Be told of each process as it begins and ends, and of each report."""
        runtime, reports = self.runtime, self.runtime.reports
        spawn_, forget, add = runtime.spawn, runtime.forget, reports.add

        def tapped_spawn(*args: Any, **kwargs: Any) -> Process:
            process = spawn_(*args, **kwargs)
            self._watched[self.body.monitor(process.pid)] = process.pid
            return process

        def tapped_forget(process: Process) -> None:
            self._process_ends(process)
            forget(process)

        def tapped_add(report: Report, error: BaseException | None = None) -> None:
            match report:
                case RestartReport():
                    self._restart(report)
                case GaveUpReport():
                    self._surrender(report)
                case _:
                    pass
            add(report, error)

        runtime.spawn = tapped_spawn  # type: ignore[method-assign]
        runtime.forget = tapped_forget  # type: ignore[method-assign]
        reports.add = tapped_add  # type: ignore[method-assign]

    # -- as it happens

    def _process_ends(self, process: Process) -> None:
        self.world.counts["ends"] += 1
        assert process.ended is not None
        self._ended[process.pid] = process.ended
        if isinstance(process.runner, OwnerRunner):
            for other in self.runtime.processes.values():
                if process.pid in other.ancestors:
                    self.wrong.append(f"{other} outlives its supervisor {process}")
        supervisor = self.runtime.processes.get(process.ancestors[0]) if process.ancestors else None
        if supervisor is not None and isinstance(supervisor.runner, DynamicSupervisorRunner):
            child = supervisor.runner.by_pid.get(process.pid)
            if child is not None and child.pid is not None and child.spec.restart is Restart.PERMANENT:
                self._due[supervisor.pid].add(child.spec.id)
        name = self.runtime.registry.name_of(process.pid)
        if name is not None and process.ancestors and isinstance(process.ended, Normal | Shutdown):
            self._clean.add((process.ancestors[0], name))

    def _window(self, supervisor: str) -> tuple[int, int]:
        """One more restart, now: how many there are within the period, and how many may be."""
        now = self.world.clock.now()
        pid = self.runtime.registry.whereis(supervisor)
        assert pid is not None
        runner = self.runtime.processes[pid].runner
        assert isinstance(runner, OwnerRunner)
        stamps = self._stamps[pid]
        stamps.append(now)
        recent = sum(now - stamp <= runner.flags.period_s for stamp in stamps)
        return recent, runner.flags.intensity

    def _restart(self, report: RestartReport) -> None:
        self.world.counts["restarts"] += 1
        recent, intensity = self._window(report.supervisor)
        if report.budget_left != intensity - recent:
            self.wrong.append(f"{report.supervisor} says {report.budget_left}, but {recent} of {intensity} are spent")

    def _surrender(self, report: GaveUpReport) -> None:
        self.world.counts["gave up"] += 1
        recent, intensity = self._window(report.supervisor)
        if recent != intensity + 1:
            self.wrong.append(f"{report.supervisor} gave up at {recent} of {intensity}")

    # -- when all is quiet

    def check(self, root: Pid | None) -> None:
        """Everything that must hold while nothing happens; `root` is the supervisor of the tree, if it lives."""
        self._check_downs()
        living = {self.body.pid}
        if root in self.runtime.processes:
            self._check_tree(self.runtime.processes[root], self.body, living)
        for pid in self.runtime.processes.keys() - living:
            self.wrong.append(f"{self.runtime.processes[pid]} belongs to nobody")
        named = {self.runtime.registry.name_of(pid) for pid in living - {self.body.pid}}
        if set(self.runtime.registry) != named:
            self.wrong.append(f"names {set(self.runtime.registry)}, but processes {named}")
        if len(self.runtime.timers) != self.timers_at_rest():
            self.wrong.append(f"{len(self.runtime.timers)} timers run on")
        for calls in (self.runtime.aliases, self.runtime.incoming):
            if calls:
                self.wrong.append(f"calls to or of other nodes are not over: {calls}")
        self._forget_the_dead()

    def timers_at_rest(self) -> int:
        """How many timers run while nothing happens."""
        return 0

    def _forget_the_dead(self) -> None:
        """Of supervisors that are gone nothing is asked any more; a long run would fill the memory with them."""
        self._clean = {(supervisor, name) for supervisor, name in self._clean if supervisor in self.runtime.processes}
        for of_supervisor in (self._due, self._stamps):
            for pid in of_supervisor.keys() - self.runtime.processes.keys():
                del of_supervisor[pid]

    def _check_downs(self) -> None:
        for message in flush():
            if isinstance(message, Down):
                pid = self._watched.pop(message.ref, None)
                if pid is None:
                    self.wrong.append(f"a second {message}")
                elif (reason := self._ended.pop(pid, None)) != message.reason:
                    self.wrong.append(f"{message}, but it ended with {reason}")
        waiting = set(self._watched.values())
        alive = self.runtime.processes.keys() - {self.body.pid}
        if waiting != alive:
            self.wrong.append(f"monitors of {waiting - alive} did not fire, of {alive - waiting} fired too early")

    def _check_tree(self, process: Process, parent: Process, living: set[Pid]) -> None:
        living.add(process.pid)
        expected = {parent.pid}
        if isinstance(process.runner, OwnerRunner):
            siblings = {sibling.spec.id: sibling for sibling in process.runner.all_children()}
            if isinstance(process.runner, DynamicSupervisorRunner):
                self._check_flock(process.pid, siblings)
            elif process.pid in self.world.interrupted:
                # Whoever stops a child by hand between two tries stops the restart of its whole group.
                self.world.excused.update(siblings)
            for id_, sibling in siblings.items():
                if sibling.process is None:
                    self._check_absent(process.pid, id_, sibling.spec.restart)
                elif sibling.process.pid not in self.runtime.processes:
                    self.wrong.append(f"{process} takes {id_} for alive")
                else:
                    self.world.excused.discard(id_)
                    expected.add(sibling.process.pid)
                    self._check_tree(sibling.process, process, living)
        if {pid for pid in process.links if self.runtime.is_local(pid)} != expected:
            self.wrong.append(f"{process} has links {list(process.links)}, not {expected}")
        monitors = [item for item in process.monitors.values() if node_of(item) == self.runtime.node_name]
        watchers = [pid for pid, _ in process.watchers.values() if self.runtime.is_local(pid)]
        if monitors or watchers != [self.body.pid]:
            self.wrong.append(f"{process} monitors {monitors} and is monitored by {watchers}")
        if process.mailbox.queue or process.open_requests() or process.sent:
            self.wrong.append(f"{process} has something left: {process.mailbox.queue}, {process.open_requests()}")

    def _check_flock(self, supervisor: Pid, siblings: dict[str, Child]) -> None:
        for id_ in self._due.pop(supervisor, set()) - siblings.keys() - self.world.excused:
            self.wrong.append(f"{id_} of {supervisor} ought to be back")

    def _check_absent(self, supervisor: Pid, id_: str, restart: Restart) -> None:
        done = restart is Restart.TRANSIENT and (supervisor, id_) in self._clean
        if restart is Restart.TEMPORARY or not (done or id_ in self.world.excused):
            self.wrong.append(f"{id_} ({restart}) of {supervisor} ought to be up")
