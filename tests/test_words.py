"""Figures in words."""

from __future__ import annotations

import pytest

from mefuse.frames import Exposure
from mefuse.words import (
    bytes_words,
    count_words,
    duration_words,
    ev_words,
    exposure_words,
    readable,
    shutter_words,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1 / 8000, "1/8000 s"), (0.02, "1/50 s"), (1 / 3, "0.333 s"), (2.5, "2.5 s"), (30, "30 s")],
)
def test_shutter_times_are_those_of_cameras(seconds: float, words: str) -> None:
    assert shutter_words(seconds) == words


def test_an_exposure_tells_what_is_known() -> None:
    assert exposure_words(Exposure(0.02, 5.6, 100.0)) == "1/50 s, f/5.6, ISO 100"
    assert exposure_words(Exposure(iso=3200.0)) == "ISO 3200"
    assert exposure_words(Exposure()) == ""


@pytest.mark.parametrize(
    ("ev", "words"), [(2, "+2.0 EV"), (-1.96, "\u22122.0 EV"), (0.04, "0 EV"), (-0.01, "0 EV")]
)
def test_stops_have_a_sign(ev: float, words: str) -> None:
    assert ev_words(ev) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.24, "0.2 s"), (99.9, "99.9 s"), (119.6, "2 min 0 s"), (3661, "1 h 1 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def test_sizes_and_counts() -> None:
    assert [bytes_words(n) for n in (12, 2048, 3.5 * 2**20, 2**31)] == [
        "12 bytes", "2 KiB", "3.5 MiB", "2 GiB",
    ]  # fmt: skip
    assert [count_words(n, "frame") for n in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]


def test_what_cannot_be_seen_is_made_visible() -> None:
    assert readable("a\nb\tc\x7f") == "a␊b␉c␡"
    assert readable("caf\udce9") == "caf\ufffd"
    assert readable("\u202egpj.exe") == "<U+202E>gpj.exe"
    assert readable("Größe 写真 é 👍🏽") == "Größe 写真 é 👍🏽"
