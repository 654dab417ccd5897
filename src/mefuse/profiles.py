"""ICC profiles: the standard ones, built from their published primaries, and what a profile says.

A leaf that knows the structure of a profile (header, table of tags) and computes no colour: that is
colour's work, through LittleCMS. A profile from a file is never trusted: `is_sound` comes first.

Source: ICC.1:2022 (profile version 4.4); IEC 61966-2-1 (sRGB); SMPTE EG 432-1 with sRGB's curve
(Display P3); Adobe RGB (1998) Color Image Encoding, 2005-05; ISO 22028-2 (ProPhoto, ROMM RGB).
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Literal, get_args

ProfileName = Literal["srgb", "p3", "adobe-rgb", "prophoto"]
STANDARD: tuple[ProfileName, ...] = get_args(ProfileName)

_HEADER_BYTES = 128
_MOST_TAGS = 256
_LARGEST_BYTES = 64 << 20
_D50 = (0.9642, 1.0, 0.8249)  # ICC.1, 7.2.16
_D50_XY = (0.3457, 0.3585)  # ISO 22028-2; D65 below is IEC 61966-2-1
_D65_XY = (0.3127, 0.3290)

# ICC parametric curves: type 0 is X^g, type 3 is (aX + b)^g from d up, cX below.
_SRGB_CURVE = (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
_Curve = tuple[int, tuple[float, ...]]
_LINEAR: _Curve = (0, (1.0,))

# name -> description, primaries (x, y) of red, green, blue, white, curve
_DEFINED: dict[str, tuple[str, tuple[tuple[float, float], ...], _Curve]] = {
    "srgb": ("sRGB", ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65_XY), _SRGB_CURVE),
    "p3": ("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65_XY), _SRGB_CURVE),
    "adobe-rgb": (
        "Compatible with Adobe RGB (1998)",
        ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65_XY),
        (0, (563 / 256,)),
    ),
    "prophoto": (
        "ProPhoto RGB (ROMM)",
        ((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), _D50_XY),
        (3, (1.8, 1.0, 0.0, 1 / 16, 1 / 32)),
    ),
}

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]
# The cone responses in which a white is adapted. Source: ICC.1 annex E (linearised Bradford).
_BRADFORD: Matrix = (
    (0.8951, 0.2664, -0.1614),
    (-0.7502, 1.7135, 0.0367),
    (0.0389, -0.0685, 1.0296),
)


@cache
def standard(name: ProfileName, *, linear: bool = False) -> bytes:
    """The ICC profile of a standard colour space, version 4, free of anybody's copyright.

    Args:
        name: one of `STANDARD`.
        linear: with the same primaries, but a curve of gamma 1.
    """
    described, (*primaries, white), curve = _DEFINED[name]
    adaptation = _adaptation(white)
    columns = _product(adaptation, _rgb_to_xyz(primaries, white))
    red, green, blue = zip(*columns, strict=True)
    tags = {
        b"desc": _text(described + (", linear" if linear else "")),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": _xyz(_D50),
        b"chad": b"sf32\0\0\0\0" + b"".join(_fixed(x) for row in adaptation for x in row),
        b"rXYZ": _xyz(red),
        b"gXYZ": _xyz(green),
        b"bXYZ": _xyz(blue),
        **_curves(_LINEAR if linear else curve),
    }
    return _assembled(_header(), tags)


def primaries(name: ProfileName) -> tuple[tuple[float, float], ...]:
    """The chromaticities (x, y) of red, green, blue and white of a standard colour space."""
    return _DEFINED[name][1]


def is_sound(profile: bytes) -> bool:
    """Tells whether bytes are laid out as a profile: header, and every tag within the file."""
    if not _HEADER_BYTES + 4 <= len(profile) <= _LARGEST_BYTES or profile[36:40] != b"acsp":
        return False
    size, count = (int.from_bytes(profile[at : at + 4], "big") for at in (0, _HEADER_BYTES))
    if size > len(profile) or not 0 < count <= _MOST_TAGS:
        return False
    entries = _entries(profile)
    return len(entries) > 0 and all(at + length <= size for at, length in entries.values())


def colour_space(profile: bytes) -> str:
    """The colours that a profile describes: "RGB", "GRAY", "CMYK", "Lab", ..."""
    return profile[16:20].decode("latin-1").strip()


def description(profile: bytes) -> str:
    """The name that a profile gives itself; "an unnamed profile" where it has none."""
    text = _tag(profile, b"desc")
    if text[:4] == b"desc":  # version 2: a count, then ASCII
        count = int.from_bytes(text[8:12], "big")
        found = text[12 : 12 + count].split(b"\0")[0].decode("latin-1")
    elif text[:4] == b"mluc" and len(text) >= 28:  # version 4: the first of the languages
        length, at = struct.unpack(">II", text[20:28])
        found = text[at : at + length].decode("utf-16-be", "replace")
    else:
        found = ""
    return " ".join(found.split()) or "an unnamed profile"


def is_matrix(profile: bytes) -> bool:
    """Tells whether a profile is three primaries and three curves, with no table beside them."""
    names = _entries(profile).keys()
    wanted = {colour + part for colour in (b"r", b"g", b"b") for part in (b"XYZ", b"TRC")}
    return wanted <= names and not any(name[:3] in (b"A2B", b"D2B") for name in names)


def with_curve(profile: bytes, curve: Literal["linear", "srgb"]) -> bytes:
    """A matrix profile with its primaries as they are and another curve."""
    tags = {name: _tag(profile, name) for name in _entries(profile)}
    tags |= _curves(_LINEAR if curve == "linear" else _SRGB_CURVE)
    # Parametric curves came with version 4; the identity, when there is one, would be wrong.
    header = profile[:8] + b"\x04\x30\0\0" + profile[12:84] + bytes(44)
    return _assembled(header, tags)


def _entries(profile: bytes) -> dict[bytes, tuple[int, int]]:
    """Offset and size of each tag; none where the table is cut off."""
    count = int.from_bytes(profile[_HEADER_BYTES : _HEADER_BYTES + 4], "big")
    table = profile[_HEADER_BYTES + 4 : _HEADER_BYTES + 4 + 12 * min(count, _MOST_TAGS)]
    if len(table) < 12 * count:
        return {}
    return {name: (at, size) for name, at, size in struct.iter_unpack(">4sII", table)}


def _tag(profile: bytes, name: bytes) -> bytes:
    at, size = _entries(profile).get(name, (0, 0))
    return profile[at : at + size]


def _header() -> bytes:
    """128 bytes: version 4.3, display, RGB, XYZ, 2024-01-01, perceptual; size filled in later."""
    date = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    illuminant = b"".join(_fixed(x) for x in _D50)
    start = struct.pack(">I4sI4s4s4s", 0, bytes(4), 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    return start + date + b"acsp" + bytes(28) + illuminant + bytes(48)


def _assembled(header: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Header, table and tags; equal tags stand there once. Tags begin at multiples of four."""
    at = _HEADER_BYTES + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    places: dict[bytes, int] = {}
    for name, content in tags.items():
        if content not in places:
            places[content] = at + len(body)
            body += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, places[content], len(content))
    profile = header + table + body
    return struct.pack(">I", len(profile)) + profile[4:]


def _curves(curve: _Curve) -> dict[bytes, bytes]:
    kind, values = curve
    content = struct.pack(">4sIHH", b"para", 0, kind, 0) + b"".join(map(_fixed, values))
    return dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), content)


def _text(text: str) -> bytes:
    """A text in one language."""
    encoded = text.encode("utf-16-be")
    return struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(x) for x in values)


def _fixed(value: float) -> bytes:
    """s15Fixed16."""
    return struct.pack(">i", round(value * 65536))


def _rgb_to_xyz(primaries: list[tuple[float, float]], white: tuple[float, float]) -> Matrix:
    """Linear RGB to XYZ under its own white. Source: SMPTE RP 177."""
    columns = _transposed(tuple(_full(xy) for xy in primaries))  # type: ignore[arg-type]
    scale = _applied(_inverse(columns), _full(white))
    scaled = tuple(tuple(x * s for x, s in zip(row, scale, strict=True)) for row in columns)
    return scaled  # type: ignore[return-value]


def _adaptation(white: tuple[float, float]) -> Matrix:
    """From colours seen under `white` to D50, by Bradford."""
    cones_to, cones_from = (_applied(_BRADFORD, w) for w in (_D50, _full(white)))
    scale = [a / b for a, b in zip(cones_to, cones_from, strict=True)]
    scaled = tuple(tuple(x * s for x in row) for row, s in zip(_BRADFORD, scale, strict=True))
    return _product(_inverse(_BRADFORD), scaled)  # type: ignore[arg-type]


def _full(xy: tuple[float, float]) -> Vector:
    """XYZ of a chromaticity at Y = 1."""
    x, y = xy
    return x / y, 1.0, (1 - x - y) / y


def _applied(matrix: Matrix, vector: Vector) -> Vector:
    a, b, c = (sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix)
    return a, b, c


def _transposed(matrix: Matrix) -> Matrix:
    a, b, c = zip(*matrix, strict=True)
    return a, b, c


def _product(left: Matrix, right: Matrix) -> Matrix:
    a, b, c = (_applied(left, column) for column in _transposed(right))
    return _transposed((a, b, c))


def _inverse(matrix: Matrix) -> Matrix:
    """By cofactors; the columns of the inverse are cross products of the rows."""
    a, b, c = matrix
    crosses = (_cross(b, c), _cross(c, a), _cross(a, b))
    determinant = sum(x * y for x, y in zip(a, crosses[0], strict=True))
    x, y, z = (tuple(value / determinant for value in cross) for cross in crosses)
    return _transposed((x, y, z))  # type: ignore[arg-type]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
