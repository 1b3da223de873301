"""Measures failover, takeover and boot with four real nodes, and prints one table.

The moments are stamped where they happen: the kill here, and the end of one instance and the start of the next by the
application itself, in its node. All of them are read from the same monotonic clock, and nothing polls meanwhile.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from benchmarks.report import machine, table

from .cluster import ABSENT, APP, N1, N2, N3, N4, NODES, Cluster, NotAsExpected, sync_nodes

RUNS = 10
WAIT_S = 1.0
SYNC_S = 1.0  # what a node gives one that is absent
BACKENDS = ("asyncio", "trio")
HEAD = ("what", "loop", "runs", "min ms", "median ms", "max ms", "asked")


@attrs.frozen
class Figure:
    """What one thing took, each time."""

    what: str
    seconds: Sequence[float]
    asked: str

    def row(self, backend: str) -> tuple[str, ...]:
        shown = (min(self.seconds), statistics.median(self.seconds), max(self.seconds))
        return self.what, backend, str(len(self.seconds)), *(f"{each * 1000:.1f}" for each in shown), self.asked


class Suite:
    """The measurements, on one event loop."""

    def __init__(self, backend: str, runs: int) -> None:
        self._backend = backend
        self._runs = runs

    def figures(self) -> Iterator[Figure]:
        slow, takeovers = self._move(WAIT_S)
        yield Figure(f"failover, wait {WAIT_S:g} s: kill -9 to running", slow, f"median ≤ {WAIT_S * 1000 + 100:g}")
        fast, more = self._move(0.0)
        yield Figure("failover, wait 0: kill -9 to running", fast, "median ≤ 50")
        yield Figure("takeover: old one begins to stop to new one running", [*takeovers, *more], "≤ 50")
        yield from self._boots()

    def _move(self, wait_s: float) -> tuple[list[float], list[float]]:
        """Kill the node it runs on, let that come back and take over, again and again: what the two took."""
        failovers: list[float] = []
        takeovers: list[float] = []
        with self._cluster(wait_s) as cluster:
            for name in NODES:
                cluster.run(name, cluster.config, "--start", APP)
            cluster.stamp("running")
            for _ in range(self._runs):
                cluster.settle(N1)
                killed_at = cluster.kill(N1)
                heir = cluster.stamp("running")
                check(heir.how, f"failover from {N1}")
                failovers.append(heir.at - killed_at)
                cluster.settle(heir.node)
                cluster.run(N1, cluster.config, "--start", APP)
                stopping, running = cluster.stamp("stopping"), cluster.stamp("running")
                check(running.how, f"takeover from {stopping.node}")
                takeovers.append(running.at - stopping.at)
        return failovers, takeovers

    def _boots(self) -> Iterator[Figure]:
        """Boot one node again and again beside three that run: waiting for nobody, for those, for an absent one too."""
        with self._cluster(0.0) as cluster:
            others = cluster.write_config("others", sync_nodes((N1, N2, N3), SYNC_S))
            for name in (N1, N2, N3):
                cluster.run(name, others)
            for name in (N1, N2, N3):
                cluster.wait_up(name)
            alone = cluster.write_config("alone", "")
            present = cluster.write_config("present", sync_nodes(NODES, SYNC_S))
            absent = cluster.write_config("absent", sync_nodes((*NODES, ABSENT), SYNC_S))
            # In turn, so that what else the machine does meanwhile touches all three alike.
            rounds = [[self._boot(cluster, config) for config in (alone, present, absent)] for _ in range(self._runs)]
        first, second, third = zip(*rounds, strict=True)
        yield Figure("boot that waits for nobody", first, "")
        yield Figure("boot, all listed nodes there", second, "≤ 500 more")
        yield Figure(f"boot, one absent, sync_nodes_timeout {SYNC_S:g} s", third, f"{SYNC_S * 1000:g} ± 200 more")

    def _boot(self, cluster: Cluster, config: Path) -> float:
        """From the start of the OS process to its first line."""
        began = time.monotonic()
        cluster.run(N4, config)
        took = cluster.wait_up(N4) - began
        cluster.stop(N4)
        return took

    @contextmanager
    def _cluster(self, wait_s: float) -> Generator[Cluster]:
        with (
            tempfile.TemporaryDirectory(prefix="regrow-") as folder,
            Cluster(Path(folder), self._backend, wait_s=wait_s) as cluster,
        ):
            yield cluster


def check(found: str, wanted: str) -> None:
    if found != wanted:
        raise NotAsExpected(f"wanted a {wanted}, saw a {found}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/benchmark distributed", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="the event loop of the nodes (both)")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how often each is measured ({RUNS})")
    parser.add_argument("--quick", dest="runs", action="store_const", const=1, help="measure each once")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: at least 1")
    # So that no node is left when the benchmark itself is told to end.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    rows: list[tuple[str, ...]] = []
    try:
        for backend in options.backend or BACKENDS:
            for figure in Suite(backend, options.runs).figures():
                rows.append(figure.row(backend))
                print(f"measured: {figure.what} ({backend})", file=sys.stderr)
    except NotAsExpected as error:
        print(f"given up: {error}", file=sys.stderr)
        return 1
    print(f"{machine('regrow', 'anyio', 'trio')}\n\n{table(HEAD, rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
