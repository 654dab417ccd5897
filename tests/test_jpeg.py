"""JPEGs: the pixels that OpenCV gives, and a word where the compressed data are damaged."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from conftest import HandHeld
from helpers import encoded, exposed, textured_light
from mefuse.cli import main
from mefuse.decode import decode
from mefuse.errors import ReadError
from mefuse.jpeg import decode_jpeg

PIXELS = exposed(textured_light(120, 168), 1.0)
KINDS = {
    "4:2:0": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
    "4:4:4": [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    "4:2:2": [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422],
}


def jpeg(kind: str) -> bytes:
    return encoded(PIXELS, ".jpg", *KINDS[kind])


def by_opencv(data: bytes) -> np.ndarray:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flags))


def without(data: bytes, share: float, count: int) -> bytes:
    """The file with some bytes of its scan overwritten by zeros, as a lost sector leaves them."""
    at = int(len(data) * share)
    return data[:at] + bytes(count) + data[at + count :]


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_opencv(kind: str) -> None:
    found = decode_jpeg(jpeg(kind))
    assert found is not None
    assert found.is_sound
    assert np.array_equal(found.pixels, by_opencv(jpeg(kind)))


def test_gray_and_rgb_components_too(tmp_path: Path) -> None:
    for name, picture, options in (
        ("gray.jpg", Image.fromarray(PIXELS).convert("L"), {}),
        ("rgb.jpg", Image.fromarray(PIXELS), {"keep_rgb": True}),
    ):
        picture.save(tmp_path / name, **options)
        data = (tmp_path / name).read_bytes()
        found = decode_jpeg(data)
        assert found is not None
        assert np.array_equal(found.pixels, by_opencv(data)), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.7, 0.85])
def test_lost_bytes_are_told_or_refused_with_strict(kind: str, share: float) -> None:
    hurt = without(jpeg(kind), share, 512)
    assert not np.array_equal(by_opencv(hurt), PIXELS)
    decoded = decode(hurt, "a.jpg")
    (warning,) = decoded.warnings
    assert warning == "a.jpg: its pixels are damaged, parts of it may be wrong; copy it again"
    assert decoded.pixels.shape == PIXELS.shape
    with pytest.raises(ReadError, match=r"a\.jpg: its pixels are damaged: refused with --strict; "):
        decode(hurt, "a.jpg", strict=True)


def test_what_ends_decoding_in_the_middle_is_refused() -> None:
    data = jpeg("4:2:0")
    hurt = data[: len(data) // 2] + b"\xff\xf5" + data[len(data) // 2 + 2 :]
    with pytest.raises(ReadError, match=r"a\.jpg: is truncated or damaged"):
        decode(hurt, "a.jpg")


def test_a_layout_of_its_own_goes_another_way() -> None:
    """Sampling factors that TurboJPEG has no name for, which libjpeg reads all the same."""
    data = bytearray(jpeg("4:2:0"))
    factors = data.index(b"\xff\xc0") + 11
    assert data[factors] == 0x22
    data[factors] = 0x13
    assert decode_jpeg(bytes(data)) is None
    decoded = decode(bytes(data), "a.jpg")
    assert decoded.warnings == ()
    assert np.array_equal(decoded.pixels, by_opencv(bytes(data)))


def test_a_share_of_single_wrong_bits_is_told() -> None:
    """Of these nothing is certain: wrong bits often leave other codes that can be."""
    told, dice = 0, random.Random(3)
    data = jpeg("4:2:0")
    for _ in range(60):
        hurt = bytearray(data)
        hurt[dice.randrange(len(data) // 3, len(data) - 2)] ^= 1 << dice.randrange(8)
        try:
            found = decode_jpeg(bytes(hurt))
        except ValueError:
            told += 1
        else:
            told += found is not None and not found.is_sound
    assert told >= 6


def test_the_command_warns_and_strict_refuses(hand_held: HandHeld, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(without(hand_held.paths[2].read_bytes(), 0.6, 512))
    output = tmp_path / "fused.png"
    command = ["fuse", *hand_held.names[:2], str(bad), "-o", str(output), "--model", "mertens"]
    done = CliRunner().invoke(main, [*command, "--strict"])
    assert done.exit_code == 1
    assert "bad.jpg: its pixels are damaged: refused with --strict; copy it again" in done.stderr
    assert not output.exists()
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0
    assert "bad.jpg: its pixels are damaged, parts of it may be wrong" in done.stderr
