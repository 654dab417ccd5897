"""The options of the look, by running the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import HandHeld

FUSE = [sys.executable, "-m", "mefuse", "fuse", "--model", "mertens", "--quiet"]


def _fused(bracket: HandHeld, folder: Path, *options: str) -> np.ndarray:
    """BGR pixels of the bracket fused with these options."""
    output = folder / f"{len(list(folder.iterdir()))}.png"
    command = [*FUSE, *bracket.names, "-o", str(output), *options]
    subprocess.run(command, check=True, timeout=120)
    return cv2.imread(str(output), cv2.IMREAD_UNCHANGED)


def _spread(pixels: np.ndarray) -> float:
    """How colourful: mean distance between a pixel's channels."""
    return float(np.ptp(pixels.astype(np.float64), axis=2).mean())


def test_looks_and_controls(hand_held: HandHeld, tmp_path: Path) -> None:
    plain = _fused(hand_held, tmp_path)
    vivid = _fused(hand_held, tmp_path, "--look", "vivid")
    assert vivid.std() > 1.05 * plain.std()
    assert _spread(vivid) > 1.05 * _spread(plain)
    lighter = _fused(hand_held, tmp_path, "--exposure", "1", "--depth", "16")
    assert lighter.dtype == np.uint16
    assert lighter.mean() / 257 > plain.mean() + 20
    flat = _fused(hand_held, tmp_path, "--exposure=-0.5", "--contrast=-1", "--saturation=-1")
    assert flat.std() < 0.9 * plain.std()
    assert flat.mean() < plain.mean() - 5
    assert _spread(flat) <= 1  # a dither may take channels apart by a code


def test_controls_at_zero_give_the_same_bytes(hand_held: HandHeld, tmp_path: Path) -> None:
    _fused(hand_held, tmp_path)
    zeros = ["--look", "natural", "--exposure", "0", "--contrast", "0", "--saturation", "0"]
    _fused(hand_held, tmp_path, *zeros)
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--exposure", "2.5", "2.5 is not in the range"),
        ("--contrast", "-3", "-3.0 is not in the range"),
        ("--saturation", "much", "'much' is not a valid float"),
        ("--look", "hdr", "'hdr' is not one of 'natural', 'vivid'"),
    ],
)
def test_what_makes_no_sense_exits_2(
    hand_held: HandHeld, tmp_path: Path, option: str, value: str, says: str
) -> None:
    output = tmp_path / "fused.png"
    command = [*FUSE, *hand_held.names, "-o", str(output), f"{option}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert not output.exists()
