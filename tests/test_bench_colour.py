"""The colour measurement itself: it sees a turned hue and a lost chroma."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mefuse.bench.colour import hue_and_chroma

RNG = np.random.default_rng(0)
FRAME = cv2.resize(
    RNG.integers(40, 200, (6, 8, 3), dtype=np.uint8), (80, 60), interpolation=cv2.INTER_CUBIC
)


def recoloured(turn_degrees: float, chroma: float) -> np.ndarray:
    """FRAME in CIELAB, its hue turned and its chroma scaled, as floats' nearest 16 bits."""
    lab = cv2.cvtColor(FRAME.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    angle = np.radians(turn_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lab[..., 1:] = lab[..., 1:] @ turn.T * chroma
    rgb = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
    return np.rint(np.clip(rgb, 0, 1) * 65535).astype(np.uint16)


@pytest.mark.parametrize(("turn", "chroma"), [(0, 1), (3, 1), (-8, 0.8), (0, 0.6)])
def test_hue_and_chroma_are_measured(turn: float, chroma: float) -> None:
    frame = FRAME.astype(np.uint16) * 257
    found = hue_and_chroma(recoloured(turn, chroma), frame)
    assert found is not None
    assert found[0] == pytest.approx(abs(turn), abs=0.3)
    assert found[1] == pytest.approx(chroma, abs=0.03)


def test_a_gray_frame_has_no_hue() -> None:
    gray = np.repeat(FRAME[..., :1], 3, axis=2)
    assert hue_and_chroma(gray, gray) is None
