"""Code blocks of the README and of docs: Python runs, commands are understood."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from conftest import HandHeld
from mefuse.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks/README.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _blocks(page: Path, language: str) -> list[str]:
    return [block for told, block in BLOCK.findall(page.read_text()) if told == language]


def _commands(page: Path) -> Iterator[list[str]]:
    """What follows `mefuse` in the shell blocks of a page, up to a pipe or the line's end."""
    for block in _blocks(page, "") + _blocks(page, "sh"):
        text = block.replace("\\\n", " ").replace("|\n", "| ").replace("$SLURM_ARRAY_TASK_ID", "1")
        for line in text.splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&>")
            lexer.whitespace_split = True
            words = list(lexer)
            while "mefuse" in words:
                words = words[words.index("mefuse") + 1 :]
                ends = [at for at, word in enumerate(words) if set(word) <= set("|;&>")]
                yield words[: ends[0] if ends else None]


def _understood(page: Path) -> list[tuple[Path, list[str]]]:
    return [(page, words) for words in _commands(page)]


@pytest.mark.parametrize(
    ("page", "words"),
    [case for page in PAGES for case in _understood(page)],
    ids=lambda value: value.name if isinstance(value, Path) else " ".join(value),
)
def test_every_command_is_understood(
    page: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert page.exists()
    (tmp_path / "hdris").mkdir()  # which an option wants to exist
    monkeypatch.chdir(tmp_path)
    name, *arguments = words
    command = main.get_command(click.Context(main), name)
    assert command is not None
    if "--help" not in arguments:
        command.make_context(name, arguments)  # raises UsageError


def test_commands_are_found() -> None:
    found = [words[0] for words in _commands(ROOT / "README.md")]
    assert set(found) >= {
        "fuse",
        "batch",
        "group",
        "report",
        "preview",
        "evaluate",
        "bench",
        "synth",
    }
    assert len(found) > 30


@pytest.mark.parametrize("block", _blocks(ROOT / "README.md", "python"))
def test_every_python_block_runs(
    block: str, hand_held: HandHeld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card").mkdir()
    for name, path in zip(("a.jpg", "b.jpg"), hand_held.paths, strict=False):
        shutil.copy(path, tmp_path / name)
    for path in hand_held.paths:
        shutil.copy(path, tmp_path / "card")
    monkeypatch.chdir(tmp_path)
    names = {"dark": hand_held.frames[0], "bright": hand_held.frames[1]}
    exec(block, names)
    if "fused" in names:
        assert isinstance(names["fused"], np.ndarray)
    assert (tmp_path / "fused.png").is_file() or list((tmp_path / "fused").glob("*.png"))
