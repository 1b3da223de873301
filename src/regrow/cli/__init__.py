"""The command line: `regrow run` and what talks to a running node."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from ..control import ExitCode, Refused
from ..runtime_directory import RuntimeDirectoryError
from .commands import COMMANDS, Command
from .run import RUN

INTERRUPTED = 130  # what shells report for a command that Ctrl-C ended

GROUPS = {"app": "the applications of a node"}  # commands of two words


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; what the OS process is to exit with."""
    options = parser().parse_args(argv)
    try:
        options.run(options)
    except Refused as refused:
        return _complain(refused.text, refused.exit_code)
    except RuntimeDirectoryError as error:
        return _complain(str(error), ExitCode.USAGE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough; what Python still wants to flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.REFUSED
    return ExitCode.DONE


def _complain(text: str, exit_code: ExitCode) -> int:
    sys.stderr.write(
        "".join(f"regrow: {line}\n" if n == 0 else f"{line}\n" for n, line in enumerate(text.splitlines()))
    )
    return exit_code


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, made from the tables of commands."""
    top = _parser(argparse.ArgumentParser, "regrow", "OTP's supervision trees for Python: run nodes, and look inside.")
    top.add_argument("--node", metavar="NAME", help="the node to ask, if several run here")
    kinds = top.add_subparsers(required=True, metavar="COMMAND")
    groups: dict[str, Any] = {}
    for command in (RUN, *COMMANDS):
        first, _, second = command.words.partition(" ")
        if second and first not in groups:
            group = _add(kinds, first, GROUPS[first])
            groups[first] = group.add_subparsers(required=True, metavar="COMMAND")
        _fill(_add(groups.get(first, kinds), second or first, command.help), command)
    return top


def _parser(make: Any, name: str, description: str, **settings: Any) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = make(name, description=description, allow_abbrev=False, **settings)
    return made


def _add(kinds: Any, name: str, help: str) -> argparse.ArgumentParser:
    return _parser(kinds.add_parser, name, f"{help[:1].upper()}{help[1:]}.", help=help)


def _fill(parser: argparse.ArgumentParser, command: Command) -> None:
    for each in command.arguments:
        parser.add_argument(*each.flags, **each.settings)
    parser.set_defaults(run=command.run)
