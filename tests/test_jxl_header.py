"""The first bits of a JPEG XL: its size and colours, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mefuse.jxl_header import colours, size

SRGB_CODES = (1, 13)
_D65, _RGB_SPACE = 1, 0


class Bits:
    """Writes what the header reads: numbers, the lowest bit first."""

    def __init__(self) -> None:
        self._value = self._count = 0

    def put(self, value: int, count: int) -> Bits:
        self._value |= value << self._count
        self._count += count
        return self

    def size(self, height: int, width: int) -> Bits:
        """Both sides in nine bits, no ratio."""
        return self.put(0, 1).put(0, 2).put(height - 1, 9).put(0, 3).put(0, 2).put(width - 1, 9)

    def named(self, value: int) -> Bits:
        """A value of an enumeration in its shortest form."""
        if value < 2:
            return self.put(value, 2)
        return self.put(2, 2).put(value - 2, 4) if value < 18 else self.put(3, 2).put(value - 18, 6)

    @property
    def data(self) -> bytes:
        return b"\xff\x0a" + self._value.to_bytes(self._count // 8 + 8, "little")


def header(
    *, extra: tuple[int, ...] | None = None, is_float: bool = False, channels: int = 0
) -> Bits:
    """Up to the colours; `extra` are orientation, intrinsic size, preview, animation."""
    bits = Bits().size(60, 80).put(0, 1)
    if extra is None:
        bits.put(0, 1)
    else:
        orientation, has_size, has_preview, has_animation = extra
        bits.put(1, 1).put(orientation, 3).put(has_size, 1)
        if has_size:
            bits.size(6, 8)
        bits.put(has_preview, 1)
        if not has_preview:
            bits.put(has_animation, 1)
    if is_float:
        bits.put(1, 1).put(1, 2).put(0, 4)
    else:
        bits.put(0, 1).put(0, 2)
    bits.put(1, 1).put(0 if channels == 0 else 1, 2)  # 16-bit buffers; further channels
    return bits.put(1, 1)  # XYB


def coded(
    bits: Bits, *, primaries: int = 11, transfer: int = 13, white: int = _D65, profile: int = 0,
    gamma: int = 0,
) -> bytes:  # fmt: skip
    bits.put(0, 1).put(profile, 1).named(_RGB_SPACE).named(white)
    return bits.named(primaries).put(gamma, 1).named(transfer).data


def test_size_and_named_colours() -> None:
    data = coded(header())
    assert size(data) == (60, 80)
    assert colours(data) == (12, 13)  # P3, sRGB's curve
    assert colours(coded(header(), primaries=1)) == SRGB_CODES
    assert colours(header().put(1, 1).data) == SRGB_CODES  # by default
    assert colours(Bits().size(60, 80).put(1, 1).data) == SRGB_CODES  # everything by default


def test_what_stands_before_colours_is_passed_over() -> None:
    for extra in ((0, 0, 0, 0), (5, 1, 0, 0)):
        assert colours(coded(header(extra=extra))) == (12, 13)
    assert colours(coded(header(is_float=True))) == (12, 13)


@pytest.mark.parametrize(
    "data",
    [
        coded(header(extra=(0, 0, 1, 0))),
        coded(header(extra=(0, 0, 0, 1))),
        coded(header(channels=1)),
        coded(header(), profile=1),
        coded(header(), white=10),
        coded(header(), gamma=1),
        coded(header(), primaries=17),
        b"\xff\x0a",
        b"no JPEG XL",
    ],
    ids=["preview", "animated", "alpha", "profile", "white", "gamma", "primaries", "cut", "other"],
)
def test_what_names_no_colours_is_none(data: bytes) -> None:
    assert colours(data) is None


def test_a_header_that_is_cut_has_no_size() -> None:
    assert size(b"\xff\x0a\x00") is None
    assert size(b"") is None


@given(st.binary(max_size=40))
def test_any_bytes_give_a_value_or_none(data: bytes) -> None:
    for found in (colours(b"\xff\x0a" + data), size(b"\xff\x0a" + data)):
        assert found is None or len(found) == 2
