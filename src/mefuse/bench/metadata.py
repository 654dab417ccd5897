"""What of a reference's metadata the fused picture keeps, as exiftool reads both.

`python -m mefuse.bench.metadata PICTURE...` fuses each picture, as the reference, with a lighter
copy of itself that has no metadata, writes PNG, JPEG and TIFF, and prints one JSON object: per
format the share of kept EXIF tags (over all, and of the worst picture), of pictures with all XMP,
with an equal profile, with all maker notes and IPTC, and what `exiftool -validate` warns of: how
often in the pictures and in the fused ones, and what of it is new. Apart from it stands what it
says of every TIFF: its rules know neither deflate nor the tags that Exif has for JPEG alone, which
are kept here, and ask for a GPS tag that Exif leaves to the camera. Tags that have to change (size,
orientation, colour space, software) only have to be there; the thumbnail's directory does not
count. It needs exiftool on the path.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mefuse.discover import find_sources
from mefuse.errors import MefuseError
from mefuse.fuse import fuse_files
from mefuse.read import read_frame
from mefuse.settings import FuseSettings

Tags = dict[str, Any]
FORMATS = ("png", "jpg", "tif")
SETTINGS = FuseSettings(model="mertens", align=False, crop=False, reference=0)
_CORRECTED = frozenset(
    ("Orientation", "ExifImageWidth", "ExifImageHeight", "ImageWidth", "ImageHeight", "Software",
     "ColorSpace", "InteropIndex")
)  # fmt: skip
# Of a TIFF's or a thumbnail's own storage, which no copy can keep.
_STORAGE = frozenset(
    ("StripOffsets", "StripByteCounts", "RowsPerStrip", "Compression", "BitsPerSample",
     "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "ExifOffset",
     "JPEGTables", "Padding", "OffsetSchema", "XMPToolkit")
)  # fmt: skip
_TIFF_RULES = ("not allowed in TIFF", "0x0103 Compression", "0x001b GPSProcessingMethod")
_DIRECTORY = re.compile(r"\w+IFD\b")


def _exiftool(*arguments: str | Path) -> bytes:
    return subprocess.run(
        ["exiftool", *map(str, arguments)], capture_output=True, timeout=300, check=False
    ).stdout


def tags_of(paths: Sequence[Path]) -> list[Tags]:
    """All tags of each file that exiftool finds, named GROUP0:GROUP1:TAG."""
    told = json.loads(
        _exiftool("-j", "-n", "-a", "-G0:1", "-EXIF:all", "-XMP:all", "-MakerNotes:all",
                  "-IPTC:all", *paths)
    )  # fmt: skip
    return list(told)


def warnings_of(paths: Sequence[Path]) -> list[list[str]]:
    """All that `exiftool -validate` warns of in each file."""
    # Group 4 numbers what is said several times; in JSON all but the first would be left out.
    told = json.loads(_exiftool("-j", "-a", "-G0:1:4", "-validate", "-warning", "-error", *paths))
    return [
        [str(said) for name, said in tags.items() if name.endswith((":Warning", ":Error"))]
        for tags in told
    ]


def kept(before: Tags, after: Tags, group: str) -> tuple[int, int]:
    """How many of a group's tags came along, and how many there are."""
    found = total = 0
    for name, value in before.items():
        tag = name.rpartition(":")[2]
        if not name.startswith(group + ":") or ":IFD1:" in name or tag in _STORAGE:
            continue
        total += 1
        found += name in after and (tag in _CORRECTED or _holds(after[name], value))
    return found, total


def _holds(after: Any, before: Any) -> bool:
    """Whether a value is as it was, or a history that got one event more."""
    if isinstance(after, list):
        return after[:-1] == (before if isinstance(before, list) else [before]) or after == before
    return bool(after == before)


def new_warnings(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """What is warned of in the fused picture and was not in the reference.

    Of a directory that both complain about, the words may differ: what a dangling pointer of a
    maker note points at is never the same.
    """
    broken = {name for said in before for name in _DIRECTORY.findall(said)}
    broken -= {"ExifIFD", "GPSIFD", "InteropIFD"}
    return [
        said
        for said in after
        if said not in before and not broken.intersection(_DIRECTORY.findall(said))
    ]


def fuse_each(pictures: Sequence[Path], folder: Path) -> tuple[dict[Path, list[Path]], Tags]:
    """Fuses each picture with a lighter copy of itself, into each format; and why one was not."""
    fused: dict[Path, list[Path]] = {}
    left_out: Tags = {}
    for index, picture in enumerate(pictures):
        outputs = [folder / f"{index}.{extension}" for extension in FORMATS]
        try:
            lighter = _lighter(picture, folder / f"{index}_lighter.png")
            for output in outputs:
                fuse_files([picture, lighter], output, settings=SETTINGS)
        except MefuseError as error:
            left_out[picture.name] = str(error)
        else:
            fused[picture] = outputs
    return fused, left_out


def _lighter(picture: Path, target: Path) -> Path:
    """A lighter copy of a picture's pixels, upright and without metadata."""
    pixels = read_frame(*find_sources([picture])).pixels
    light = np.clip(pixels.astype(np.float32) * 1.6, 0, np.iinfo(pixels.dtype).max)
    cv2.imwrite(str(target), cv2.cvtColor(light.astype(pixels.dtype), cv2.COLOR_RGB2BGR))
    return target


def _validation(before: Sequence[list[str]], after: Sequence[list[str]]) -> dict[str, Any]:
    """How often exiftool warns, and of what that is new."""
    said = Counter(w for pair in zip(before, after, strict=True) for w in new_warnings(*pair))
    ruled = {w: count for w, count in said.items() if any(rule in w for rule in _TIFF_RULES)}
    return {
        "of_pictures": sum(map(len, before)),
        "of_fused": sum(map(len, after)) - sum(ruled.values()),
        "new": {w: count for w, count in said.items() if w not in ruled},
        "of_its_rules_for_tiff": ruled,
    }


def _summary(pairs: Sequence[tuple[Path, Tags, Path, Tags]]) -> dict[str, Any]:
    """One format's figures."""
    exif = [kept(before, after, "EXIF") for _, before, _, after in pairs]
    exif_shares = [found / total for found, total in exif if total]
    profiles = [(_icc(source), _icc(target)) for source, _, target, _ in pairs]
    missing = {
        source.name: sorted(
            name
            for name in before
            if name.startswith(("EXIF:", "XMP:", "MakerNotes:", "IPTC:")) and name not in after
        )[:9]
        for (source, before, _, after), (found, total) in zip(pairs, exif, strict=True)
        if found < total
    }
    result: dict[str, Any] = {
        "exif_kept": sum(found for found, _ in exif) / max(sum(total for _, total in exif), 1),
        "exif_kept_worst": min(exif_shares, default=1.0),
        "profiles": sum(one is not None for one, _ in profiles),
        "profiles_equal": sum(one == other for one, other in profiles if one),
        "missing": missing,
    }
    for group in ("XMP", "MakerNotes", "IPTC"):
        counts = [kept(before, after, group) for _, before, _, after in pairs]
        result[group] = {"kept": sum(f for f, _ in counts), "of": sum(t for _, t in counts)}
    return result


def _icc(path: Path) -> bytes | None:
    return _exiftool("-b", "-icc_profile", path) or None


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.metadata", description=__doc__)
    parser.add_argument("pictures", type=Path, nargs="+")
    given = parser.parse_args().pictures
    with tempfile.TemporaryDirectory() as name:
        fused, left_out = fuse_each(given, Path(name))
        pictures = list(fused)
        before, warned = tags_of(pictures), warnings_of(pictures)
        result: dict[str, Any] = {"pictures": len(pictures), "left_out": left_out}
        for at, extension in enumerate(FORMATS):
            targets = [fused[picture][at] for picture in pictures]
            pairs = list(zip(pictures, before, targets, tags_of(targets), strict=True))
            warnings = _validation(warned, warnings_of(targets))
            result[extension] = _summary(pairs) | {"warnings": warnings}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
