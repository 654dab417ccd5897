"""`mefuse group` as a user runs it: in a shell, at a terminal, in a pipe."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mefuse.bench.card import Exposed
from mefuse.plan import load_plan
from test_group import put, series

COMMAND = [sys.executable, "-m", "mefuse", "group"]


def run(
    *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "card"
    series(folder, (0, -2, 2))
    series(folder, (0, -2, 2), first=4, at_s=1e9 + 50)
    series(folder, (0,), first=7, at_s=1e9 + 500)
    return folder


def test_lines_off_a_terminal(card: Path) -> None:
    done = run("card", cwd=card.parent)
    assert done.returncode == 0
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert lines[0] == [
        "1",
        "3 frames",
        "card/IMG_0001.JPG card/IMG_0002.JPG card/IMG_0003.JPG",
        "bracketing noted by the camera: 0, -2, +2 EV, pauses up to 0.3 s",
    ]
    assert lines[2] == ["-", "left out", "card/IMG_0007.JPG", "single frame"]
    assert done.stderr.decode() == "2 brackets of 6 frames; 1 file left out\n"
    quiet = run("card", "--quiet", cwd=card.parent)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, b"", b"")


def test_a_table_on_a_terminal(card: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    wide = {**os.environ, "COLUMNS": "150", "TERM": "xterm"}
    with subprocess.Popen(
        [*COMMAND, card], stdout=theirs, stderr=subprocess.PIPE, env=wide
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            shown += block
        assert process.stderr is not None
        told = process.stderr.read()
    os.close(ours)
    assert process.returncode == 0, told
    text = shown.decode()
    assert "Brackets" in text and "Left out" in text
    assert "IMG_0001.JPG IMG_0002.JPG IMG_0003.JPG" in text
    assert "\t" not in text


def test_json_and_the_plan_file_are_the_plan(card: Path) -> None:
    done = run(card, "--json", "-o", card.parent / "plan.json")
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 1
    plan = load_plan(io.BytesIO(done.stdout))
    assert [len(bracket.frames) for bracket in plan.brackets] == [3, 3]
    assert plan == load_plan(card.parent / "plan.json")
    content = json.loads(done.stdout)
    assert set(content) == {"mefuse_plan", "brackets", "left_out"}
    assert set(content["brackets"][0]) == {"frames", "reference", "reason"}


def test_a_plan_file_is_not_overwritten_unasked(card: Path) -> None:
    target = card.parent / "plan.json"
    target.write_text("mine")
    done = run(card, "-o", target)
    assert done.returncode == 1
    assert b"exists" in done.stderr and done.stdout == b""
    assert target.read_text() == "mine"
    assert run(card, "-o", target, "--overwrite").returncode == 0
    assert load_plan(target).brackets


def test_a_real_pipe_of_names(tmp_path: Path) -> None:
    paths = series(tmp_path, (0, -2, 2), prefix="a b\n")
    odd = [Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff%d.JPG" % i)) for i in range(3)]
    for path, name in zip(paths, odd, strict=True):
        path.rename(name)
    line = f"find . -name '*.JPG' -print0 | {sys.executable} -m mefuse group --null - --json"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (bracket,) = load_plan(io.BytesIO(done.stdout)).brackets
    assert [(tmp_path / frame).exists() for frame in bracket.frames] == [True] * 3
    shown = run(tmp_path)
    assert b"\\udcff0.JPG" in shown.stdout


def test_a_list_of_lines_among_paths(card: Path) -> None:
    listed = b"\n".join(os.fsencode(path) for path in sorted(card.iterdir())[:2])
    done = run("-", card / "IMG_0003.JPG", "--json", stdin=listed)
    assert [len(b["frames"]) for b in json.loads(done.stdout)["brackets"]] == [3]
    assert done.stderr == b""  # in a pipe nothing is said beside the data
    assert run("-", stdin=b"").returncode == 1
    assert run(card, "--null").returncode == 2


def test_a_reader_that_goes_away_is_no_error_message(card: Path) -> None:
    line = f"{sys.executable} -m mefuse group {card} -q --json | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=120, check=False)
    assert done.stderr == b""


def test_options_reach_the_library(card: Path) -> None:
    for options, counts in (
        (("--size", "2", "--prefer", "jpeg"), [2, 2]),
        (("--gap", "0.01"), []),
        (("--by-folder",), [7]),
    ):
        done = run(card, "--json", *options)
        assert done.returncode == 0
        assert [len(b["frames"]) for b in json.loads(done.stdout)["brackets"]] == counts
    (card / "deeper").mkdir()
    put(card / "deeper" / "x.jpg", Exposed(1e9, 1.0))
    assert b"x.jpg" in run(card, "--recursive").stdout


def test_what_cannot_be_read_is_named_and_exits_3(card: Path) -> None:
    (card / "bad.jpg").touch()
    done = run(card, "--json", "-q")
    assert done.returncode == 3
    assert done.stderr.decode() == f"Warning: {card}/bad.jpg: is empty, left out\n"
    assert len(json.loads(done.stdout)["brackets"]) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "nowhere: no such file or folder; check its name"),
        (["."], 1, ".: holds no pictures"),
        ([], 2, "Missing argument"),
        ([".", "--size", "1"], 2, "--size"),
        ([".", "--gap", "-1"], 2, "--gap"),
        ([".", "--prefer", "heic"], 2, "--prefer"),
    ],
)
def test_mistakes(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr.decode()
    assert done.stdout == b""
