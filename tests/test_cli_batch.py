"""`mefuse batch`, run for real: a folder in, a folder out, however it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batch_helpers import write_bracket, write_plan
from mefuse.batch.manifest import MANIFEST, read_manifest
from mefuse.cli import main

MEFUSE = [sys.executable, "-m", "mefuse"]
BATCH = [*MEFUSE, "batch", "--model", "mertens"]


def run(*command: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
    """A finished command with its output."""
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **how)


def invoke(*arguments: str, **how: Any) -> Result:
    """The same in this process: for what does not depend on real streams."""
    command = ["batch", "--model", "mertens", *arguments]
    return CliRunner().invoke(main, command, **how)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A folder with three brackets."""
    for number in range(3):
        write_bracket(tmp_path / "card", number)
    return tmp_path / "card"


def outcomes(output: str | bytes) -> dict[str, str]:
    """Outcome of each picture in --json."""
    lines = [json.loads(line) for line in output.splitlines()]
    return {line["output"]: line["outcome"] for line in lines}


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


THREE = [f"IMG_0{n}_0-IMG_0{n}_2.png" for n in range(3)]


def test_a_folder_of_brackets_becomes_a_folder_of_pictures(card: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(*BATCH, str(card), "-o", str(out), "--size", "3")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert names_in(out) == [*THREE, MANIFEST]
    # Each is what `mefuse fuse` makes of these frames.
    single = tmp_path / "single.png"
    frames = sorted(str(path) for path in card.glob("IMG_01_*"))
    fuse = ["fuse", *frames, "-o", str(single), "--model", "mertens"]
    assert CliRunner().invoke(main, fuse).exit_code == 0
    assert (out / THREE[1]).read_bytes() == single.read_bytes()
    # The same command again does nothing; into its own folder with other options it refuses.
    again = invoke(str(card), "-o", str(out), "--size", "3", "--json")
    assert set(outcomes(again.stdout).values()) == {"skipped"}
    other = invoke(str(card), "-o", str(out), "--size", "3", "--no-align")
    assert other.exit_code == 1
    assert other.stderr.count("was fused with other settings (align)") == 3


def test_json_is_a_line_per_bracket_and_nothing_else(card: Path, tmp_path: Path) -> None:
    done = invoke(str(card), "-o", str(tmp_path / "out"), "--size", "3", "--json")
    assert done.exit_code == 0
    assert done.stderr == ""
    assert outcomes(done.stdout) == dict.fromkeys(THREE, "fused")
    line = json.loads(done.stdout.splitlines()[0])
    for field in ("inputs", "picture", "frames", "crop", "model", "settings", "seconds",
                  "peak_memory_bytes", "warnings", "message", "weights", "version"):  # fmt: skip
        assert field in line
    records = read_manifest(tmp_path / "out")
    assert [record.content["mefuse_manifest"] for record in records] == [1, 1, 1]


def test_every_field_of_the_manifest_is_in_its_document(card: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "manifest.md").read_text()
    broken = write_bracket(card / "broken", 9)
    broken[1].write_bytes(b"no picture at all")
    plan = write_plan(tmp_path / "plan.json", [sorted(card.glob("IMG_01_*")), broken])
    invoke("--plan", str(plan), "-o", str(tmp_path / "out"))
    records = read_manifest(tmp_path / "out")
    assert {record.is_fused for record in records} == {True, False}
    for record in records:
        for name in record.content:
            assert f"`{name}`" in text, name
        for part in ("picture", "error", "inputs"):
            inner = record.content[part]
            for name in (inner[0] if isinstance(inner, list) else inner) or {}:
                assert f"`{name}`" in text, (part, name)


def test_the_dry_run_writes_nothing(card: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = invoke(str(card), "-o", str(out), "--size", "3", "--dry-run")
    assert done.exit_code == 0
    assert not out.exists()
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["fuse"] * 3
    assert [row[1] for row in rows] == [str(out / name) for name in THREE]
    invoke(str(card), "-o", str(out), "--size", "3")
    done = invoke(str(card), "-o", str(out), "--size", "3", "--dry-run", "--json")
    assert [json.loads(line)["action"] for line in done.stdout.splitlines()] == ["skip"] * 3


def test_names_trees_and_formats(card: Path, tmp_path: Path) -> None:
    deep = card / "deep"
    write_bracket(deep, 7)
    out = tmp_path / "out"
    options = ["--size", "3", "--recursive", "--format", "jpeg", "--name", "{index}/{stem}"]
    assert invoke(str(card), "-o", str(out), *options).exit_code == 0
    pictures = [name for name in names_in(out) if name != MANIFEST]
    assert pictures == [
        "0001/IMG_00_1.jpg", "0002/IMG_01_1.jpg", "0003/IMG_02_1.jpg", "deep/0004/IMG_07_1.jpg",
    ]  # fmt: skip


def test_own_pictures_are_never_frames(card: Path, tmp_path: Path) -> None:
    inside = card / "fused"
    options = ["--size", "3", "--recursive", "--format", "jpeg"]
    assert invoke(str(card), "-o", str(inside), *options).exit_code == 0
    again = invoke(str(card), "-o", str(inside), *options, "--json")
    assert again.exit_code == 0
    assert set(outcomes(again.stdout).values()) == {"skipped"}
    # The same where frames and pictures share one folder.
    assert invoke(str(card), "-o", str(card), "--size", "3").exit_code == 0
    again = invoke(str(card), "-o", str(card), "--size", "3", "--json")
    assert outcomes(again.stdout) == dict.fromkeys(THREE, "skipped")


def test_a_part_that_fails_is_named_and_exits_3(card: Path, tmp_path: Path) -> None:
    frames = [sorted(card.glob(f"IMG_0{n}_*")) for n in range(3)]
    frames[1][2].write_bytes(frames[1][2].read_bytes()[:2000])
    plan = write_plan(tmp_path / "plan.json", frames)
    out = tmp_path / "out"
    done = invoke("--plan", str(plan), "-o", str(out), "-q")
    assert done.exit_code == 3
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Error: ")
    assert "IMG_01_2.jpg" in done.stderr
    assert names_in(out) == [THREE[0], THREE[2], MANIFEST]
    write_bracket(card, 1)
    mended = invoke("--plan", str(plan), "-o", str(out), "--json")
    assert mended.exit_code == 0
    assert sorted(outcomes(mended.stdout).values()) == ["fused", "skipped", "skipped"]


def test_all_that_fail_exit_1_and_fail_fast_stops(card: Path, tmp_path: Path) -> None:
    brackets = [[tmp_path / f"{i}a.jpg", tmp_path / f"{i}b.jpg"] for i in range(9)]
    plan = write_plan(tmp_path / "plan.json", brackets)
    done = invoke("--plan", str(plan), "-o", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert done.stderr.count("no such file") == 9
    options = ["--fail-fast", "--jobs", "1"]
    fast = invoke("--plan", str(plan), "-o", str(tmp_path / "fast"), *options)
    assert fast.exit_code == 1
    assert fast.stderr.count("no such file") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "out"], "either PATHS or --plan"),
        (["card", "--plan", "p.json", "-o", "out"], "either PATHS or --plan"),
        (["card"], "Missing option '-o'"),
        (["card", "-o", "out", "--idle", "3"], "--idle needs --watch"),
        (["card", "-o", "out", "--dry-run", "--watch"], "leave --watch out"),
        (["--plan", "p.json", "-o", "out", "--watch"], "a plan does not grow"),
        (["--plan", "p.json", "-o", "out", "--size", "3"], "--size is for PATHS"),
        (["card", "-o", "out", "--shard", "0/3"], "2/8"),
        (["card", "-o", "out", "--shard", "4/3"], "2/8"),
        (["card", "-o", "out", "--cluster", "tcp://x", "--jobs", "2"], "--cluster has its own"),
        (["card", "-o", "out", "--null"], "--null needs - among PATHS"),
        (["card", "-o", "out", "--reference", "0"], "--reference"),
    ],
)
def test_usage_errors_exit_2(arguments: list[str], says: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--name", "{camera}"], "there are {first}"),
        (["--name", "../{first}"], "has to be a name"),
        (["--name", "{count}"], "is the name of two brackets"),
        (["--name", "{first}.gif"], "cannot be written in this format"),
        (["--format", "jpeg", "--depth", "16"], "JPEG holds 8 bits"),
        (["--reference", "4"], "has 3 frames"),
        (["--device", "cuda"], "CPU only"),
    ],
)
def test_what_is_wrong_is_told_before_any_work(
    card: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = invoke(str(card), "-o", str(tmp_path / "out"), "--size", "3", *arguments)
    assert done.exit_code == 1
    assert says in done.stderr
    assert not list((tmp_path / "out").glob("**/*.*g*"))


def test_shards_together_fuse_each_bracket_once(card: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found: list[str] = []
    for part in ("1/2", "2/2"):
        done = invoke(str(card), "-o", str(out), "--size", "3", "--shard", part, "--json")
        assert done.exit_code == 0
        found += outcomes(done.stdout)
    assert sorted(found) == THREE


def test_two_batches_in_one_folder_share_the_work(card: Path, tmp_path: Path) -> None:
    for number in range(3, 9):
        write_bracket(card, number)
    command = [*BATCH, str(card), "-o", str(tmp_path / "out"), "--size", "3", "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    found = [outcomes(process.communicate(timeout=120)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    names = [record.name for record in read_manifest(tmp_path / "out")]
    assert len(names) == len(set(names)) == 9
    for one in found:
        assert set(one) == set(names)  # each tells of all: fused by itself, or skipped
    fused = [name for one in found for name, outcome in one.items() if outcome == "fused"]
    assert sorted(fused) == sorted(names)
    assert names_in(tmp_path / "out") == sorted([*names, MANIFEST])


SLOW_WRITE = """
import os, sys, time
import mefuse.landing
from mefuse.cli import main

finish = mefuse.landing.finish
def slow(file):
    sys.stderr.write("writing\\n")
    sys.stderr.flush()
    time.sleep(float(os.environ["SLOW_S"]))
    return finish(file)

mefuse.landing.finish = slow
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(card: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", SLOW_WRITE, *BATCH[3:], str(card), "-o", str(out)]
    environment = {**os.environ, "SLOW_S": "1"}
    with subprocess.Popen(
        [*command, "--size", "3", "--jobs", "1"],
        stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stderr.readline() == "writing\n"
        process.send_signal(number)
        assert "interrupted" in process.stderr.read()
        assert process.wait(60) == 130
    pictures = [name for name in names_in(out) if name != MANIFEST]
    recorded = read_manifest(out) if (out / MANIFEST).exists() else []
    assert sorted(record.name for record in recorded) == pictures
    assert len(pictures) < 3


def test_a_kill_leaves_whole_pictures_and_the_next_run_goes_on(card: Path, tmp_path: Path) -> None:
    truth, out = tmp_path / "truth", tmp_path / "out"
    options = ["--size", "3"]
    assert invoke(str(card), "-o", str(truth), *options).exit_code == 0
    command = [sys.executable, "-c", SLOW_WRITE, *BATCH[3:], str(card), "-o", str(out), *options]
    environment = {**os.environ, "SLOW_S": "0.3"}
    with subprocess.Popen(
        [*command, "--jobs", "1"], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        assert [process.stderr.readline() for _ in range(2)] == ["writing\n"] * 2
        process.kill()  # while the second picture is written
    left = names_in(out)
    assert THREE[0] in left
    assert any(name.endswith(".part") for name in left)
    done = invoke(str(card), "-o", str(out), *options, "--json")
    assert sorted(outcomes(done.stdout).values()) == ["fused", "fused", "skipped"]
    assert names_in(out) == [*THREE, MANIFEST]
    for name in THREE:
        assert (out / name).read_bytes() == (truth / name).read_bytes()


def test_on_a_terminal_it_shows_a_table(card: Path, tmp_path: Path) -> None:
    frames = [sorted(card.glob("IMG_00_*")), [tmp_path / "absent.jpg", tmp_path / "b.jpg"]]
    plan = write_plan(tmp_path / "plan.json", frames)
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"}
    with subprocess.Popen(
        [*BATCH, "--plan", str(plan), "-o", str(tmp_path / "out")],
        stderr=terminal, env=environment,
    ) as process:  # fmt: skip
        os.close(terminal)
        said = b""
        try:
            while chunk := os.read(controller, 4096):
                said += chunk
        except OSError:  # Linux's way to say that the other end of a terminal is closed
            pass
        os.close(controller)
        assert process.wait(60) == 3
    text = said.decode()
    for word in ("2/2", "left", THREE[0], "fused", "failed", "absent.jpg: no such file",
                 "1 fused, 0 skipped, 1 failed"):  # fmt: skip
        assert word in text
    assert "\x1b[3" not in text


def wait_for(path: Path, seconds: float = 60) -> None:
    """Waits until a file is there."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not come"
        time.sleep(0.1)


def test_watch_fuses_what_comes_and_ends_when_idle(tmp_path: Path) -> None:
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    write_bracket(inbox, 0)
    command = [*BATCH, str(inbox), "-o", str(out), "--size", "3", "--watch", "--idle", "5"]
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE) as process:
        # The second bracket shows that the first is complete; the last one needs the idle time.
        write_bracket(inbox, 1)
        wait_for(out / THREE[0])
        assert process.wait(90) == 0
        assert process.stdout is not None
        assert outcomes(process.stdout.read()) == dict.fromkeys(THREE[:2], "fused")
