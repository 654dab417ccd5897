"""Pipelines as users type them, run by a real shell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from batch_helpers import write_bracket
from mefuse.batch.manifest import MANIFEST, read_manifest


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A folder with a card of two brackets, and `mefuse` on its own path."""
    for number in range(2):
        write_bracket(tmp_path / "card", number)
    command = tmp_path / "bin" / "mefuse"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mefuse "$@"\n')
    command.chmod(0o755)
    return tmp_path


def sh(folder: Path, line: str) -> subprocess.CompletedProcess[bytes]:
    """A finished shell line."""
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL,
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip


def test_names_in_a_picture_out(shell: Path) -> None:
    line = (
        "find card -name 'IMG_00_*' -print0 | mefuse fuse --null - -o - --format png "
        "--model mertens | cat > fused.png"
    )
    done = sh(shell, line)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert cv2.imread(str(shell / "fused.png")) is not None


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_a_plan_through_jq(shell: Path) -> None:
    line = (
        "mefuse group card --json --size 3 | jq '.brackets |= .[:1]' "
        "| mefuse batch --plan - -o out --model mertens --json | jq -r .output"
    )
    done = sh(shell, line)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"IMG_00_0-IMG_00_2.png\n"
    assert sorted(path.name for path in (shell / "out").iterdir()) == [
        "IMG_00_0-IMG_00_2.png", MANIFEST,
    ]  # fmt: skip


def test_a_plan_through_a_program_and_a_list_of_names(shell: Path) -> None:
    edit = (
        "import json,sys; p=json.load(sys.stdin); p['brackets'].reverse(); json.dump(p, sys.stdout)"
    )
    line = (
        "find card -type f -print0 | mefuse group --null - --json --size 3 "
        f'| "{sys.executable}" -c "{edit}" | mefuse batch --plan - -o out --model mertens --json'
    )
    done = sh(shell, line)
    assert done.returncode == 0, done.stderr
    indices = {
        json.loads(row)["output"]: json.loads(row)["index"] for row in done.stdout.split(b"\n")[:2]
    }
    assert indices == {"IMG_01_0-IMG_01_2.png": 1, "IMG_00_0-IMG_00_2.png": 2}


def test_a_plan_that_is_broken_stops_the_pipeline(shell: Path) -> None:
    done = sh(shell, "echo '{}' | mefuse batch --plan - -o out | cat")
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: standard input: ")
    assert not (shell / "out").exists()


def test_a_reader_that_leaves_ends_a_batch_quietly(shell: Path) -> None:
    for number in range(2, 8):
        write_bracket(shell / "card", number)
    line = "mefuse batch card --size 3 -o out --model mertens --jobs 1 --json | head -n 1 | wc -l"
    done = sh(shell, line + "; exit ${PIPESTATUS[0]}")
    assert done.stdout.split() == [b"1"]
    assert done.returncode in (0, 1)
    assert done.stderr == b""
    pictures = sorted(path.name for path in (shell / "out").iterdir() if path.name != MANIFEST)
    assert sorted(record.name for record in read_manifest(shell / "out")) == pictures
