"""What a JPEG XL picture's own header says of its colours and its size. A leaf.

The decoder at hand gives pixels and no profile, so the few bits that name a colour space are read
here; a profile in the compressed stream itself is not.

Source: ISO/IEC 18181-1: annex B.2 (U32), D.2 (size), D.3 (image metadata), E.2 (colour encoding).
"""

from __future__ import annotations

from collections.abc import Callable

_SIGNATURE = b"\xff\x0a"
_HEADER_BYTES = 256  # more than the bundles up to the colours can take
LINEAR = 8  # transfer of ITU-T H.273
_SRGB = (1, 13)
_PRIMARIES = {1: 1, 9: 9, 11: 12}  # JPEG XL's names -> ITU-T H.273's
_RGB, _D65 = 0, 1
# Width to height; 0: the width is told.
_RATIOS = ((0, 0), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


class _Bits:
    """Numbers from bytes, the lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        """The next `count` bits.

        Raises:
            ValueError: there are no more.
        """
        if count > self._left:
            raise ValueError("cut off")
        found = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return found

    def choice(self, *options: tuple[int, int]) -> int:
        """One of four (offset, bits): the offset plus a number of so many bits."""
        offset, count = options[self.take(2)]
        return offset + self.take(count)

    def enum(self) -> int:
        """A named value."""
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))


def colours(codestream: bytes) -> tuple[int, int] | None:
    """Gives primaries and transfer of ITU-T H.273; None where the header names no such colours.

    Args:
        codestream: from its signature on; its first few bytes are enough.
    """
    return _read(_colours, codestream)


def _colours(bits: _Bits) -> tuple[int, int] | None:
    _size(bits)
    if bits.take(1):  # everything as by default
        return _SRGB
    if bits.take(1):  # more than pixels
        bits.take(3)  # orientation: the decoder applies it
        if bits.take(1):
            _size(bits)
        if bits.take(1) or bits.take(1):  # a preview, or several frames
            return None
    if bits.take(1):  # floating point
        bits.choice((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
    else:
        bits.choice((8, 0), (10, 0), (12, 0), (1, 6))
    bits.take(1)  # 16 bits are enough to decode
    if bits.choice((0, 0), (1, 0), (2, 4), (1, 12)):  # alpha and the like
        return None
    bits.take(1)  # XYB
    return _named(bits)


def _named(bits: _Bits) -> tuple[int, int] | None:
    """The colour encoding."""
    if bits.take(1):
        return _SRGB
    has_profile, space, white = bits.take(1), bits.enum(), bits.enum()
    if has_profile or space > 1 or white != _D65:
        return None
    primaries = _PRIMARIES.get(bits.enum()) if space == _RGB else 1
    if primaries is None or bits.take(1):  # a gamma instead of a named curve
        return None
    return primaries, bits.enum()


def size(codestream: bytes) -> tuple[int, int] | None:
    """Gives (height, width) as stored; None where the header is cut off.

    Args:
        codestream: from its signature on; its first few bytes are enough.
    """
    return _read(_size, codestream)


def _read(
    part: Callable[[_Bits], tuple[int, int] | None], codestream: bytes
) -> tuple[int, int] | None:
    """What a part of the header tells; None where it is cut off, or of another kind of file."""
    if not codestream.startswith(_SIGNATURE):
        return None
    try:
        return part(_Bits(codestream[2:_HEADER_BYTES]))
    except ValueError:
        return None


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)

    def side() -> int:
        if small:
            return 8 * (bits.take(5) + 1)
        return bits.choice((1, 9), (1, 13), (1, 18), (1, 30))

    height = side()
    across, down = _RATIOS[bits.take(3)]
    return height, side() if across == 0 else height * across // down
