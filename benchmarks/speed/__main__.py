"""Runs every subject in an interpreter of its own, in turn, round after round, and prints what each took.

The machine's speed drifts, so a ratio is taken within a round, and of the rounds the median.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.report import machine

from .contest import STAGES, SUBJECTS, against
from .measure import Column, Stage, measure
from .page import PAGE, write
from .subject import SubjectFailed
from .tables import tables

ROUNDS = 5
QUICK = 100  # so much shorter is a short round, and at least so many operations
LIMIT_S = 30.0  # what takes longest here takes a second or two
REMOTE = "remote"
COLUMNS = [column.work.replace(" ", "-") for stage in STAGES for column in stage.columns]


def main() -> int:
    parser = _parser()
    asked = parser.parse_args()
    if asked.write == PAGE and (asked.quick or asked.only or asked.columns or asked.against):
        parser.error("the project's page is written of a whole run")
    wanted = [each for each in SUBJECTS if asked.only is None or any(text in each.name for text in asked.only)]
    here = [subject for subject in wanted if subject.is_here]
    missing = ", ".join(subject.name for subject in wanted if not subject.is_here)
    if missing:
        print(f"not installed: {missing}", file=sys.stderr)
    subjects, stages = here if asked.against is None else [*against(asked.against, here)], _stages(asked)
    rounds = 1 if asked.quick else asked.rounds
    try:
        results = measure(subjects, stages, rounds, asked.limit)
    except SubjectFailed as error:
        print(f"given up: {error}", file=sys.stderr)
        return 1
    packages = dict.fromkeys(subject.package for subject in subjects if subject.package is not None)
    where = machine("regrow", "anyio", "trio", "uvloop", *packages)
    text = f"{where}; {rounds} rounds:\n\n{tables(results, stages)}"
    if missing:
        text += f"\n\nNot installed: {missing}."
    print(text)
    if asked.write is not None:
        write(asked.write, text, results, stages)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/benchmark speed", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each is measured ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    parser.add_argument("--only", action="append", metavar="TEXT", help="only those whose names have this in them")
    parser.add_argument(
        "--columns",
        nargs="+",
        choices=[*COLUMNS, REMOTE],
        metavar="COLUMN",
        help=f"only these: {', '.join(COLUMNS)}, or {REMOTE} for all that has two nodes",
    )
    parser.add_argument(
        "--against",
        type=_checkout,
        metavar="PATH",
        help="measure regrow as it is in another checkout too, and how many times as long that takes",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=LIMIT_S,
        metavar="SECONDS",
        help=f"what each gets for a column of a round, before it is left out there ({LIMIT_S:g})",
    )
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE, metavar="PAGE", help="write page and plot anew")
    return parser


def _checkout(text: str) -> Path:
    if not Path(text, "src", "regrow").is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no checkout of regrow")
    return Path(text)


def _stages(asked: argparse.Namespace) -> Sequence[Stage]:
    """What is left of each with the columns that are wanted, if anything is."""
    return [
        attrs.evolve(stage, columns=[_shorter(column) if asked.quick else column for column in wanted])
        for stage in STAGES
        if (wanted := [column for column in stage.columns if _is_wanted(column, asked.columns)])
    ]


def _is_wanted(column: Column, names: Sequence[str] | None) -> bool:
    name = column.work.replace(" ", "-")
    return names is None or name in names or name.partition("-")[0] in names


def _shorter(column: Column) -> Column:
    return attrs.evolve(column, operations=max(QUICK, column.operations // QUICK))


if __name__ == "__main__":
    sys.exit(main())
