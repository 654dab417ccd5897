"""Files that were cut short are seen, whatever lies behind or inside the whole ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import encoded, exposure_exif, jpeg_with_exif
from mefuse.wholeness import is_whole

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
JPEG, PNG, WEBP = (encoded(PIXELS, extension) for extension in (".jpg", ".png", ".webp"))
EXIF = exposure_exif((1, 125))


@pytest.mark.parametrize("data", [JPEG, PNG, WEBP, encoded(PIXELS, ".jpg", 2, 1)])  # 2: progressive
def test_every_cut_is_seen(data: bytes) -> None:
    assert is_whole(data)
    assert is_whole(data + b"\0" * 100 + JPEG)  # padding, the next picture of an MPO
    cuts = [cut for cut in range(40, len(data), 7) if is_whole(data[:cut])]
    assert cuts == []


def test_a_thumbnail_does_not_make_a_cut_jpeg_whole() -> None:
    data = jpeg_with_exif(JPEG, EXIF + JPEG)
    assert is_whole(data)
    assert not is_whole(data[:-10])


@settings(deadline=None)
@given(data=st.sampled_from([JPEG, PNG, WEBP]), draw=st.data())
def test_mutated_files_never_raise(data: bytes, draw: st.DataObject) -> None:
    block = bytearray(data)
    places = st.integers(0, min(len(block), 200) - 1)
    for at, value in draw.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        block[at] = value
    is_whole(bytes(block[: draw.draw(st.integers(0, len(block)))]))
