"""Threads of libraries: what several need at once is set once, and given back by the last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from mefuse.fuse import fuse_pixels
from mefuse.settings import FuseSettings
from mefuse.threads import opencv_on_one_thread


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("three_threads")
def test_the_last_one_out_gives_back_what_the_first_one_found() -> None:
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with opencv_on_one_thread():
            first_in.set()
            assert second_in.wait(10)
        first_out.set()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(first)
        assert first_in.wait(10)
        with opencv_on_one_thread():
            second_in.set()
            assert first_out.wait(10)
            assert cv2.getNumThreads() == 1  # though the other is out
        done.result()
    assert cv2.getNumThreads() == 3


@pytest.mark.usefixtures("three_threads")
def test_an_error_gives_it_back_too() -> None:
    with pytest.raises(KeyError), opencv_on_one_thread():
        raise KeyError
    assert cv2.getNumThreads() == 3


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("model", ["ipl", "mertens"])
def test_pictures_fused_side_by_side_leave_the_process_as_it_was(
    model: str, rng: np.random.Generator
) -> None:
    frames = [rng.integers(0, top, (96, 160, 3), np.uint8) for top in (80, 255)]
    settings = FuseSettings(model=model, align=False, ghost="off")
    with ThreadPoolExecutor(4) as pool:
        fused = list(pool.map(lambda _: fuse_pixels(frames, settings=settings), range(8)))
    assert all(np.array_equal(one, fused[0]) for one in fused)
    assert cv2.getNumThreads() == 3
