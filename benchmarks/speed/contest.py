"""What is measured, and who takes part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from .measure import Column, Stage
from .subject import Subject

LOCAL = (
    Column("call", "call, µs", 20_000),
    Column("callers", "100 callers, µs each", 20_000),
    Column("cast", "cast, µs", 20_000),
    Column("crash", "crash to answer, µs", 500),
)
START = (Column("start", "start, µs", 10_000, kept="idle, bytes"),)
REMOTE = (
    Column("remote call", "call, µs", 5_000),
    Column("remote callers", "64 callers, µs each", 64 * 200),
    Column("remote cast", "cast, µs", 20_000),
)
STAGES = (Stage(LOCAL), Stage(START, fresh=True), Stage(REMOTE, "_remote"))

REGROW = "regrow, {}"
IN_PLACE = "regrow, plain def, {}"
FLOOR = "the floor, {}"
LOOPS = ("asyncio", "uvloop", "trio")
NO_SUPERVISOR = "it has no supervisor"
BACKS_OFF = "it waits before it starts an actor again, unless told otherwise: {}"

OURS = (
    *(Subject(REGROW.format(loop), "regrow", loop, FLOOR.format(loop), needed=True) for loop in LOOPS),
    *(Subject(IN_PLACE.format(loop), "regrow_in_place", loop, FLOOR.format(loop), needed=True) for loop in LOOPS),
)
SUBJECTS = (
    *(Subject(FLOOR.format(loop), "raw", loop, needed=True) for loop in LOOPS),
    *OURS,
    Subject(
        "actio", "actio", "asyncio", REGROW.format("asyncio"), "actio",
        notes={
            "call": "it has no ask: the message carries a future, which no timeout ends and no failure",
            "crash": "it goes on with the same object",
        },
    ),
    Subject(
        "async-pykka", "async_pykka", "asyncio", REGROW.format("asyncio"), "async_pykka", notes={"crash": NO_SUPERVISOR}
    ),
    Subject(
        "pykka, threads", "pykka", "asyncio", REGROW.format("asyncio"), "pykka",
        notes={"crash": NO_SUPERVISOR, "start": "an actor is a thread: ten thousand are too many"},
    ),
    Subject(
        "casty", "casty", "asyncio", REGROW.format("asyncio"), "casty",
        counts={"crash": 5}, notes={"crash": BACKS_OFF.format("100 ms")},
    ),
    Subject(
        "lapinbeam", "lapinbeam", "asyncio", REGROW.format("asyncio"), "lapinbeam",
        counts={"crash": 3},
        notes={
            "crash": BACKS_OFF.format("100 ms, 200 ms, 400 ms"),
            "start": "with a class for each actor, as the class has the name",
        },
    ),
    Subject("otpylib", "otpylib", "asyncio", REGROW.format("asyncio"), "otpylib"),
    *(Subject(f"fauxtp, {loop}", "fauxtp", loop, REGROW.format(loop), "fauxtp") for loop in ("asyncio", "trio")),
    Subject("Erlang/OTP", "erlang", "default", REGROW.format("asyncio"), command="erl"),
    Subject("Erlang/OTP, one scheduler", "erlang", "1", REGROW.format("asyncio"), command="erl"),
)  # fmt: skip


def against(checkout: Path, subjects: Sequence[Subject]) -> Iterator[Subject]:
    """The same, and after each that is regrow the same as it is in another checkout, set in relation to it."""
    for subject in subjects:
        yield subject
        if subject in OURS:
            name = f"{subject.name}, at {checkout}"
            yield attrs.evolve(subject, name=name, beside=subject.name, source=checkout.resolve() / "src")
