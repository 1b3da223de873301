"""Runs every subject in an interpreter of its own, in turn, round after round, and prints what each took.

The machine's speed drifts, so a ratio is taken within a round, and of the rounds the median.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import attrs

from benchmarks.report import machine

from .contest import STAGES, SUBJECTS
from .measure import Stage, measure
from .page import PAGE, write
from .subject import SubjectFailed
from .tables import tables

ROUNDS = 5
QUICK = 100  # so much shorter is a short round, and at least so many operations


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/benchmark speed", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each is measured ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    parser.add_argument("--only", action="append", metavar="TEXT", help="only those whose names have this in them")
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE, metavar="PAGE", help="write page and plot anew")
    asked = parser.parse_args()
    if asked.write == PAGE and (asked.quick or asked.only):
        parser.error("the project's page is written of a whole run")
    wanted = [each for each in SUBJECTS if asked.only is None or any(text in each.name for text in asked.only)]
    here = [subject for subject in wanted if subject.is_here]
    if len(here) < len(wanted):
        print(f"left out: {', '.join(each.name for each in wanted if not each.is_here)}", file=sys.stderr)
    stages = [_shorter(stage) for stage in STAGES] if asked.quick else STAGES
    rounds = 1 if asked.quick else asked.rounds
    try:
        results = measure(here, stages, rounds)
    except SubjectFailed as error:
        print(f"given up: {error}", file=sys.stderr)
        return 1
    packages = dict.fromkeys(subject.package for subject in here if subject.package is not None)
    where = machine("regrow", "anyio", "trio", "uvloop", *packages)
    text = f"{where}; {rounds} rounds:\n\n{tables(results, stages)}"
    print(text)
    if asked.write is not None:
        write(asked.write, text, results, stages)
    return 0


def _shorter(stage: Stage) -> Stage:
    columns = [attrs.evolve(column, operations=max(QUICK, column.operations // QUICK)) for column in stage.columns]
    return attrs.evolve(stage, columns=columns)


if __name__ == "__main__":
    sys.exit(main())
