"""What the arguments of more than one command mean: lists of paths, a reference, an output."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import click

from mefuse.errors import InputError


def listed_paths(paths: Sequence[str], *, null: bool, name: str) -> list[str]:
    """The paths, with the list on standard input in the place of -; `name` is the argument's.

    Raises:
        InputError: the list is empty, or cannot be read.
    """
    if "-" not in paths:
        if null:
            raise click.UsageError(f"--null needs - among {name}: the list on standard input.")
        return list(paths)
    if paths.count("-") > 1:
        raise click.UsageError(f"- can stand among {name} only once.")
    listed = _standard_input().split(b"\0" if null else b"\n")
    found = [os.fsdecode(path) for path in listed if path]
    place = paths.index("-")
    found = [*paths[:place], *found, *paths[place + 1 :]]
    if not found:
        raise InputError("standard input: no paths in the list; check the command before the pipe")
    return found


def _standard_input() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise InputError(f"standard input: cannot be read ({reason}); give the paths") from err


def reference_place(reference: str, paths: Sequence[str]) -> int:
    """The index of the reference among the paths; a path that is given as written comes first."""
    if reference in paths:
        return paths.index(reference)
    if reference.isascii() and reference.isdigit() and 1 <= int(reference) <= len(paths):
        return int(reference) - 1
    wanted = Path(reference).resolve()
    for index, path in enumerate(paths):
        if Path(path).resolve() == wanted:
            return index
    raise click.BadParameter(
        f"{reference} is neither one of the frames nor a number from 1 to {len(paths)}.",
        param_hint="--reference",
    )


def output_target(output: str) -> Path | BinaryIO:
    """The output's path, or standard output for -, which has to be a pipe or a file."""
    if output != "-":
        return Path(output)
    if sys.stdout.isatty():
        raise click.UsageError("-o - writes to standard output; send it to a file or a pipe.")
    return sys.stdout.buffer
