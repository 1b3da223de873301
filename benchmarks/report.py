"""How a suite tells what it found: where it ran, and a table."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def machine(*packages: str) -> str:
    """One line: the machine, its system, and the versions that count."""
    versions = [f"{name} {found}" for name in packages if (found := _version(name)) is not None]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    cores = f"{len(os.sched_getaffinity(0))} cores of {_processor()}"
    return ", ".join([cores, f"{platform.system()} {platform.release()}", python, *versions])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the columns are aligned, so that it reads well as it is."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def median_ratio(some: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(some, others, strict=True))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
