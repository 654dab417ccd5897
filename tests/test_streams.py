"""Standard streams that are closed, full or without a reader: one line, the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batch_helpers import write_bracket
from mefuse.batch.manifest import MANIFEST, read_manifest

MEFUSE = f"'{sys.executable}' -m mefuse"
MERTENS = "--model mertens --no-align"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    for number in range(3):
        write_bracket(folder, number)
    return folder


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


FULL = "standard output: writing failed (no space left on device)"
CLOSED = "standard output: writing failed (bad file descriptor)"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("info --json >&-", CLOSED),
        ("info --json > /dev/full", FULL),
        ("--help > /dev/full", FULL),
        ("group {card} --size 3 > /dev/full", FULL),
        ("fuse {card}/IMG_00_*.jpg -o - {mertens} >&-", CLOSED),
        ("fuse {card}/IMG_00_*.jpg -o - {mertens} > /dev/full", FULL),
        ("fuse - -o a.png <&-", "standard input: cannot be read (bad file descriptor)"),
        ("batch --plan - -o a <&-", "standard input: the plan cannot be read"),
    ],
)
def test_a_stream_that_cannot_be_used_is_told_in_one_line(
    command: str, says: str, card: Path, tmp_path: Path
) -> None:
    done = shell(f"{MEFUSE} {command.format(card=card, mertens=MERTENS)}", tmp_path)
    assert done.returncode == 1, done
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_closed_streams_get_nothing_into_a_picture(card: Path, tmp_path: Path) -> None:
    """A file opened in the place of standard error would get what libraries say there."""
    frames = f"{card}/IMG_00_*.jpg"
    done = shell(
        f"{MEFUSE} fuse {frames} -o a.png {MERTENS} && "
        f"{MEFUSE} fuse {frames} -o b.png {MERTENS} -v 0<&- >&- 2>&-",
        tmp_path,
    )
    assert done.returncode == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("end", ["| head -n 1 > /dev/null", "> /dev/full"])
def test_a_batch_whose_json_nobody_takes_ends_whole_and_goes_on(
    end: str, card: Path, tmp_path: Path
) -> None:
    batch = f"{MEFUSE} batch '{card}' -o out --size 3 {MERTENS} --json --jobs 1"
    done = shell(f"set -o pipefail; {batch} {end}", tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    out = tmp_path / "out"
    left = {path.name for path in out.iterdir()} - {MANIFEST}
    assert left == {record.name for record in read_manifest(out)}  # no part of a picture
    assert 1 <= len(left) < 3
    again = shell(batch, tmp_path)
    assert again.returncode == 0
    assert again.stdout.count('"skipped"') == len(left)
    assert len(list(out.glob("*.png"))) == 3


def test_ctrl_c_before_anything_is_loaded_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "mefuse", "--version"],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 130
    assert done.stderr == ""
