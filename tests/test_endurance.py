"""The benches of trust, small: they run, find nothing, and would see what must not be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batch_helpers import write_bracket
from mefuse.bench import batch, endurance, faults, mutants
from mefuse.bench.damage import kinds

SMALL = ["--size", "96x64", "--model", "mertens"]


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one JSON object that a bench prints."""
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_throughput_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    batch.main(["throughput", "--count", "2", *SMALL])
    found = told(capsys)
    assert found["brackets"] == 2
    assert found["ratio"] == pytest.approx(found["single_s"] / found["batch_s"], rel=0.05)
    batch.main(["memory", "--count", "4", *SMALL])
    found = told(capsys)
    assert found["compared"] == 2
    assert found["ratio"] == pytest.approx(found["last_bytes"] / found["first_bytes"], rel=0.01)


def test_ends_of_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """A signal or a reader that goes away, at a random moment: twice each would be luck."""
    batch.main(["kills", "--count", "3", "--rounds", "4", "--seed", "5",
                "--by", "kill", "term", "int", "pipe", "--format", "tiff", "jpeg",
                "--depth", "8", "16", "--in-bands", "--while-writing", *SMALL])  # fmt: skip
    found = told(capsys)
    assert sum(found[f"by_{how}"] for how in batch.ENDS) == found["rounds"] == 4
    assert len(found["batch_s"]) == 3  # JPEG has no 16 bits
    bad = ("broken_after_kill", "left_by_signal", "wrong_exit_codes", "inputs_touched",
           "fused_twice", "missing", "differing", "left_behind")  # fmt: skip
    assert {name: found[name] for name in bad} == dict.fromkeys(bad, 0)


def test_a_bench_of_kills_sees_harm(tmp_path: Path) -> None:
    (tmp_path / "IMG_0.jpg").write_bytes(b"a")
    before = batch._frame_hashes(tmp_path)
    (tmp_path / "IMG_0.jpg").write_bytes(b"b")
    assert batch._frame_hashes(tmp_path) != before
    for name, data in (
        ("a.png", b"1"),
        ("c.png", b"3"),
        (".left", b""),
        ("mefuse-manifest.jsonl", b""),
    ):
        (tmp_path / name).write_bytes(data)
    truth = {"a.png": batch.sha256_of(tmp_path / "c.png"), "b.png": "", "c.png": ""}
    found = batch._differences(tmp_path, truth, {"a.png": -1})
    assert found == {"missing": 1, "differing": 2, "left_behind": 2, "fused_twice": 1}


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none /mnt"],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no file system of its own may be mounted here")
def test_a_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    endurance.main(["full-disk", "--count", "2", "--brackets", "2"])
    found = told(capsys)
    assert found["points"] == 2
    assert found["told"] >= 1  # one of the points may leave room enough
    bad = ("tracebacks", "broken_when_full", "missing_after", "differing_after",
           "left_behind_after", "inputs_touched")  # fmt: skip
    assert {name: found[name] for name in bad} == dict.fromkeys(bad, 0)


READ_ONLY = """
mount -t tmpfs none "$1" && mkdir "$1/out" && mount -o remount,ro "$1" || exit 99
shift; "$@"
"""


@pytest.mark.skipif(not can_mount(), reason="no file system of its own may be mounted here")
@pytest.mark.parametrize("command", ["fuse", "batch"])
def test_a_read_only_disk_is_told_in_one_line(command: str, tmp_path: Path) -> None:
    frames = [str(path) for path in write_bracket(tmp_path / "card", 1)]
    disk = tmp_path / "disk"
    disk.mkdir()
    output = disk / "out" / "a.png" if command == "fuse" else disk / "out"
    mefuse = [sys.executable, "-m", "mefuse", command, *frames, "-o", str(output)]
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", READ_ONLY, "sh", str(disk), *mefuse, "--model", "mertens"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done
    assert str(disk / "out") in done.stderr
    assert "read-only" in done.stderr or "not writable" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_short_soak(capsys: pytest.CaptureFixture[str]) -> None:
    endurance.main(["soak", "--count", "20", "--model", "mertens"])
    found = told(capsys)
    assert found["brackets"] == 20
    assert found["ends"]["good fused"] == 18
    assert found["ends"].get("good failed", 0) == 0
    assert found["ends"]["bad not named"] == 0
    low, high = found["files_open"]
    assert high - low <= 3


def test_damaged_files_of_every_kind(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    seed = tmp_path / "real.png"
    seed.write_bytes(kinds()[1].frames[0])
    with pytest.raises(SystemExit) as ended:
        faults.main(["--count", "12", "--seed", "9", "--seeds", str(seed), "--keep", str(tmp_path)])
    assert ended.value.code == 0
    found = told(capsys)
    assert found["files"] == found["refused"] + found["read"] == 12
    assert found["harmful"] == []
    assert list(tmp_path.iterdir()) == [seed]


def test_what_does_harm_is_kept_and_exits_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([faults.Verdict("refused", "a: b", 1.0, 5), faults.Verdict("crash"),
                     KeyboardInterrupt()])  # fmt: skip

    class Seen(faults.Watched):
        def verdict(self, case: faults.Case) -> faults.Verdict:
            found = next(verdicts)
            if isinstance(found, KeyboardInterrupt):
                raise found
            return found

    monkeypatch.setattr(faults, "Watched", Seen)
    with pytest.raises(SystemExit) as ended:
        faults.main(["--count", "9", "--keep", str(tmp_path / "kept")])
    assert ended.value.code == 1
    out = capsys.readouterr()
    found = json.loads(out.out)
    assert (found["files"], found["crashes"], found["largest_refused_bytes"]) == (2, 1, 5)
    assert "interrupted" in out.err
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.name.startswith("001_")


def test_ends_of_the_process_and_hangs_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = tmp_path / "a.png"
    frame.write_bytes(b"no picture")
    case = faults.Case("png", (frame, frame), frame)
    watched = faults.Watched()
    try:
        watched._process.kill()
        watched._process.join()
        assert watched.verdict(case).end == "crash"
        monkeypatch.setattr(faults, "_WAIT_S", 0.0)
        assert watched.verdict(case).end == "hang"
        monkeypatch.setattr(faults, "_WAIT_S", 120.0)
        verdict = watched.verdict(case)
        assert (verdict.end, verdict.left_behind) == ("refused", ())
    finally:
        watched.close()


MUTANT = mutants.Mutant(
    "an output is replaced without being asked",
    "landing.py",
    "if path.exists() and not overwrite:",
    "if False:",
    ("tests/test_landing.py", "-k", "exist or taken or target or overwrite"),
)
HARMLESS = mutants.Mutant("nothing", "errors.py", "Every", "Each", MUTANT.tests)


def test_mutants_that_die_and_that_live(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lived = {MUTANT.broken: False, HARMLESS.broken: True}
    monkeypatch.setattr(
        mutants, "lives", lambda mutant, tests: mutant is None or lived[mutant.broken]
    )
    for chosen, code in (((MUTANT,), 0), ((MUTANT, HARMLESS), 1)):
        monkeypatch.setattr(mutants, "MUTANTS", chosen)
        with pytest.raises(SystemExit) as ended:
            mutants.main()
        assert ended.value.code == code
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["lives"] for line in lines] == [lived[mutant.broken] for mutant in chosen]


def test_a_mutant_is_tried_in_a_copy(tmp_path: Path) -> None:
    tests = ("tests/test_psnr.py",)
    broken = mutants.Mutant("a measure", "metrics/psnr.py", "LARGEST_DB", "LARGEST_DB", tests)
    source = Path(mutants.__file__).parents[1] / "metrics" / "psnr.py"
    before = source.read_bytes()
    assert mutants.lives(None, tests)
    with pytest.raises(RuntimeError, match="is not there once; mend the mutant"):
        mutants.lives(broken, tests)
    with pytest.raises(RuntimeError, match="test_absent"):
        mutants.lives(None, ("tests/test_absent.py",))
    assert source.read_bytes() == before
