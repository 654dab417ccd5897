"""`mefuse preview`, run for real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from conftest import HandHeld

PREVIEW = [sys.executable, "-m", "mefuse", "preview", "--model", "mertens"]


def run(*arguments: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*PREVIEW, *arguments], capture_output=True, timeout=120, check=False, **how
    )


def test_a_sheet_is_made_where_one_works(hand_held: HandHeld, tmp_path: Path) -> None:
    done = run(*hand_held.names, "--width", "640", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    before = (tmp_path / "contact.png").read_bytes()
    refused = run(*hand_held.names, cwd=tmp_path)
    assert refused.returncode == 1
    assert b"contact.png: exists already" in refused.stderr
    assert (tmp_path / "contact.png").read_bytes() == before
    again = run(*hand_held.names, "--width", "640", "--overwrite", "-v", cwd=tmp_path)
    assert again.returncode == 0
    assert b"contact.png: 640x" in again.stderr
    assert (tmp_path / "contact.png").read_bytes() == before, "the same frames, the same sheet"


def test_a_sheet_goes_through_a_pipe(hand_held: HandHeld) -> None:
    names = "\0".join(hand_held.names).encode()
    done = run("--null", "-", "-o", "-", "--reference", "1", "--ghost", "auto", input=names)
    assert done.returncode == 0, done.stderr
    pixels = cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape[1] == 1600


def test_what_cannot_be_is_told_in_a_line(hand_held: HandHeld, tmp_path: Path) -> None:
    for arguments, code, said in (
        ((hand_held.names[0],), 1, b"a bracket needs at least two frames"),
        ((*hand_held.names[:2], str(tmp_path / "gone.jpg")), 1, b"gone.jpg: no such file"),
        ((*hand_held.names, "--reference", "7"), 2, b"nor a number from 1 to 3"),
        ((*hand_held.names, "--width", "9"), 2, b"--width"),
    ):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        assert said in done.stderr
        assert b"Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
