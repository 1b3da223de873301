"""Four nodes, one application: it fails over from node to node as they are killed, and comes home with its jobs.

Run it from the root of the repository: `scripts/demo [--backend trio | --mixed]`. The nodes are OS processes of
their own, started as `regrow run` starts them; what is asked of them goes through their control sockets, as with
every other command of `regrow`. It exits with 1 if anything was not as it should be.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from regrow.cli.client import ask, pick
from regrow.control import Refused

T = TypeVar("T")

HERE = Path(__file__).parent
APP = "job_center"
JC1, JC2, JC3, JC4 = NODES = [f"jc{number}@localhost" for number in range(1, 5)]
WAIT_S = 1.0  # as in config/sys.toml: what a node that went down gets to come back
POLL_S = 0.02
PATIENCE_S = 10.0  # for anything; nothing takes nearly as long
ASK_S = 5.0
SLACK_S = 1.0  # what a failover may take over its wait on a busy machine; a quiet one needs some ten milliseconds


class Differs(Exception):
    """Something is not as the story has it."""


class Cluster:
    """The four nodes, with a home, a cookie and a runtime directory of their own. Leaving the block ends them all."""

    def __init__(self, folder: Path, backends: Mapping[str, str]) -> None:
        self._folder = folder
        self._backends = backends
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        os.environ.update(HOME=str(folder), REGROW_RUNTIME_DIR=str(folder / "run"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            self.kill(name)

    @property
    def alive(self) -> list[str]:
        return sorted(self._running)

    def run(self, name: str) -> None:
        """`regrow run`: the node boots, and waits for the others."""
        command = [sys.executable, "-m", "regrow", "run", "--sname", name, "--backend", self._backends[name]]
        command += ["--config", str(HERE / "config" / "sys.toml"), "--path", str(HERE)]
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        """`kill -9`"""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> int:
        """SIGTERM; the exit code."""
        process = self._running[name]
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_S)
        del self._running[name]
        return code

    def logs(self) -> str:
        """The last lines that each node logged."""
        texts = {name: self._log(name).read_text().splitlines()[-15:] for name in NODES if self._log(name).exists()}
        return "\n".join(f"--- {name}\n" + "\n".join(lines) for name, lines in texts.items())

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    # -- what is asked of a node

    def ask(self, name: str, command: str, **arguments: object) -> Any:
        return ask(pick(name), command, arguments, ASK_S)

    def rpc(self, name: str, expression: str) -> Any:
        """`regrow rpc --json`"""
        return self.ask(name, "rpc", expression=expression, as_json=True)

    def is_up(self, name: str) -> bool:
        if self._running[name].poll() is not None:
            raise Differs(f"{name} ended")
        try:
            self.ask(name, "nodes")
        except Refused:
            return False
        return True

    def start(self, name: str) -> threading.Thread:
        """`regrow app start`, which on a standby waits until the application runs somewhere."""

        def start() -> None:
            try:
                ask(pick(name), "app start", {"name": APP})
            except Refused as refused:
                print(f"     app start on {name}: {refused.text}")

        thread = threading.Thread(target=start, name=f"app start on {name}", daemon=True)
        thread.start()
        return thread

    def application(self, name: str) -> Any:
        """How the node sees the application: a line of `regrow app list`; `None` before it is loaded there."""
        return next((each for each in self.ask(name, "app list") if each["name"] == APP), None)

    def runners(self) -> list[str]:
        """The nodes that say they run it."""
        seen = {name: self.application(name) for name in self.alive}
        return [name for name, each in seen.items() if each is not None and each["state"] == "running"]

    def agreed_runner(self) -> str | None:
        """Who runs it, once all nodes agree."""
        views = {self.ask(name, "cluster")["applications"][APP]["running_on"] for name in self.alive}
        return views.pop() if len(views) == 1 else None


class Story:
    """What is told, measured and verified."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.began = time.monotonic()
        self.verified: list[str] = []

    def tell(self, text: str, took_s: float | None = None) -> None:
        measured = "" if took_s is None else f"  [{took_s * 1000:.0f} ms]" if took_s < 10 else f"  [{took_s:.1f} s]"
        print(f"{time.monotonic() - self.began:5.1f} s  {text}{measured}", flush=True)

    def verify(self, text: str, found: object, wanted: object = True) -> None:
        if found != wanted:
            raise Differs(f"{text}: wanted {wanted!r}, found {found!r}")
        self.verified.append(text.replace("@localhost", ""))

    def until(self, what: str, look: Callable[[], T | None]) -> tuple[T, float]:
        """Look again and again until there is something to see: that, and how long it took."""
        began, never = time.monotonic(), threading.Event()
        while time.monotonic() - began < PATIENCE_S:
            found = look()
            if found:
                return found, time.monotonic() - began
            never.wait(POLL_S)
        raise Differs(f"{what}: not within {PATIENCE_S:g} s")

    # -- the chapters

    def boot(self) -> None:
        order = [JC3, JC1, JC4, JC2]
        self.tell(f"four nodes start, out of order: {short(order)}; each waits for the others")
        for name in order:
            self.cluster.run(name)
        _, took = self.until("all four are up", lambda: all(map(self.cluster.is_up, order)))
        for name in order:
            self.verify(f"{name} is connected with the other three", sorted(self.cluster.ask(name, "nodes")),
                        [other for other in NODES if other != name])  # fmt: skip
        self.tell("all four are up, and each is connected with the other three", took)

    def start(self) -> None:
        standbys = [JC4, JC3, JC2]
        starters = [self.cluster.start(name) for name in standbys]
        self.until("the standbys stand ready", lambda: all(map(self.cluster.application, standbys)))
        self.verify("no standby runs it before jc1 was asked", self.cluster.runners(), [])
        self.verify("app start waits on a standby", [each.is_alive() for each in starters], [True] * 3)
        self.tell(f"{APP} is started on {short(standbys)}: they wait, as the first on the list, jc1, is there")
        starters.append(self.cluster.start(JC1))
        self.settle([JC1], "normal", "jc1 starts it too, and runs it; all four starts have returned", starters)

    def settle(
        self, expected: Collection[str], how: str, text: str, starters: Sequence[threading.Thread] = ()
    ) -> tuple[str, float]:
        """It runs on one of these nodes, and on no other; every node says so."""
        runner, took = self.until(
            f"it runs on {' or '.join(expected)}",
            lambda: next((name for name in self.cluster.runners() if name in expected), None),
        )
        self.until(f"every node says that it runs on {runner}", lambda: self.cluster.agreed_runner() == runner)
        self.verify(f"it runs on {runner} alone", self.cluster.runners(), [runner])
        self.verify(f"{runner} calls that a start of type {how}", self.cluster.application(runner)["start_type"], how)
        for thread in starters:
            thread.join(PATIENCE_S)
        self.verify("every app start has returned", any(thread.is_alive() for thread in starters), False)
        self.tell(text.format(runner=short([runner])), took)
        return runner, took

    def add_jobs(self, at: str, caller: str, count: int) -> None:
        for n in range(1, count + 1):
            job = f"__import__('functools').partial(job_center.jobs.multiply, {n}, 7)"
            number = self.cluster.rpc(caller, f"await job_center.add_job({job}, node={at!r})")
            self.verify(f"job {n} that {caller} adds has its number", number, n)
        self.statistics(at, caller, waiting=count)
        self.tell(f"{short([caller])} adds {count} jobs to the queue on {short([at])}")

    def statistics(self, at: str, caller: str, waiting: int) -> None:
        found = self.cluster.rpc(caller, f"await job_center.statistics(node={at!r})")
        wanted = {"waiting": waiting, "in_progress": 0, "done": 0}
        self.verify(f"{caller} is told that {waiting} jobs wait on {at}", found, wanted)

    def refuse(self, at: str, caller: str) -> None:
        try:
            self.cluster.rpc(caller, f"await job_center.add_job(lambda: 42, node={at!r})")
        except Refused as refused:
            self.verify("a job that cannot cross nodes is refused", "can't leave this node" in refused.text)
        else:
            raise Differs("a lambda was taken for a job")
        self.tell("a lambda is refused as a job: it could not cross nodes")

    def fail_over(self, victim: str, heirs: Collection[str]) -> str:
        self.tell(f"kill -9 {short([victim])}; the others give it {WAIT_S:g} s to come back")
        self.cluster.kill(victim)
        heir, took = self.settle(heirs, "failover", "it runs on {runner}")
        self.verify(f"{heir} waited {WAIT_S:g} s for {victim}", took > WAIT_S - 2 * POLL_S)
        self.verify(f"{heir} took over within {SLACK_S:g} s after that", took < WAIT_S + SLACK_S)
        self.statistics(heir, heir, waiting=0)
        return heir

    def come_home(self, count: int) -> None:
        self.tell("jc1 comes back; jc2 and jc3 are on its list, so it gives them their time first")
        self.cluster.run(JC1)
        _, took = self.until("jc1 is up", lambda: self.cluster.is_up(JC1))
        self.tell("jc1 is up", took)
        self.verify("it still runs on jc4", self.cluster.runners(), [JC4])
        starter = self.cluster.start(JC1)
        self.settle([JC1], "takeover", "jc1 took it over from jc4", [starter])
        self.verify("jc4 stands by", self.cluster.application(JC4)["state"], "standby")
        self.statistics(JC1, JC4, waiting=count)
        self.tell(f"the {count} jobs that waited on jc4 wait on jc1")
        work = f"[await job_center.job_done(n, node={JC1!r}) or (n, job()) for n, job in "
        work += f"[await job_center.work_wanted(node={JC1!r})]]"
        self.verify("a job that came along can be done on another node", self.cluster.rpc(JC4, work), [[1, 7]])
        self.tell("jc4 asks for work, gets job 1 and does it: 1 * 7 = 7")

    def end(self) -> None:
        began = time.monotonic()
        for name in (JC1, JC4):
            self.verify(f"{name} stops in order", self.cluster.stop(name), 0)
        self.tell("SIGTERM: jc1 and jc4 stop in order", time.monotonic() - began)

    def whole(self) -> None:
        self.boot()
        self.start()
        self.add_jobs(JC1, caller=JC4, count=3)
        self.refuse(JC1, caller=JC2)
        second = self.fail_over(JC1, [JC2, JC3])
        third = self.fail_over(second, [name for name in (JC2, JC3) if name != second])
        self.fail_over(third, [JC4])
        self.add_jobs(JC4, caller=JC4, count=3)
        self.come_home(3)
        self.end()


def short(names: Collection[str]) -> str:
    return ", ".join(name.partition("@")[0] for name in names)


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    loops = parser.add_mutually_exclusive_group()
    loops.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="the event loop of the nodes")
    loops.add_argument("--mixed", action="store_true", help="jc1 and jc3 on asyncio, jc2 and jc4 on trio")
    options = parser.parse_args()
    mixed = dict(zip(NODES, ["asyncio", "trio"] * 2, strict=True))
    backends = mixed if options.mixed else {name: str(options.backend) for name in NODES}
    # So that nobody is left when the demonstration itself is told to end.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="job_center-") as folder, Cluster(Path(folder), backends) as cluster:
        story = Story(cluster)
        try:
            story.whole()
        except (Differs, Refused, subprocess.TimeoutExpired) as error:
            print(f"{cluster.logs()}\n\nthis differs: {error}")
            return 1
    print("\nverified:")
    for text in dict.fromkeys(story.verified):
        print(f"  {text}")
    print(f"{len(story.verified)} checks in {time.monotonic() - story.began:.1f} s, all as they should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
