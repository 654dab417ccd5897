"""How well brackets are found among many files: mixed kinds, several cameras, one folder.

`python -m mefuse.bench.grouping --brackets 200 --seed 1` writes a folder of files as several
photographers at once would fill it, groups it, and prints one JSON object: how many brackets came
out exactly, overall and by kind, and how many hold a frame of another scene.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mefuse.bench import photographers as who
from mefuse.bench.card import Camera, exif_of, with_exif
from mefuse.bench.photographers import Roll, Take
from mefuse.group.run import find_brackets
from mefuse.plan import Plan

_Photographer = Callable[[Roll, tuple[Any, Any], Random], None]
_PICTURE = (80, 120)  # (height, width) where the pixels do not matter
_SCENE = (160, 240)


@dataclass(frozen=True, slots=True)
class Truth:
    """Of each file: its kind, its scene, and (bracket, exposure), None where it is in none."""

    kind: str
    scene: int
    place: tuple[int, float] | None


def rolls_of(count: int, seed: int) -> list[Roll]:
    """Gives what the photographers took until all have `count` brackets together."""
    rng = Random(seed)
    ids = itertools.count(), itertools.count()
    noting = partial(who.noting, numbered=False)
    numbered = partial(who.noting, numbered=True)
    canon = Camera("Canon", "Canon EOS 5D", "10", "EF24-70mm", "canon")
    whole = Camera("SONY", "ILCE-7M3", "", "FE 24-70mm", "sony", has_fraction=False)
    fuji = Camera("FUJIFILM", "X-T3", "20", "XF16mm", "fuji")
    plain = Camera("Canon", "Canon EOS 5D", "11", "EF16-35mm", has_fraction=False)
    drone = Camera("DJI", "FC6310", has_fraction=False, tells_mode=False)
    lumix = Camera("Panasonic", "GH5", "", "", "panasonic")
    olympus = Camera("OLYMPUS CORPORATION", "E-M1", "", "", "olympus")
    crews: list[tuple[Roll, _Photographer]] = [
        (Roll("canon", canon, "IMG_"), noting),
        (Roll("nikon", Camera("NIKON CORPORATION", "D850", "30", "", "nikon"), "DSC_"), noting),
        (Roll("standard tags", Camera("PENTAX", "K-1", order=">"), "IMGP"), noting),
        (Roll("sony, numbered", whole, "DSC0"), numbered),
        (Roll("panasonic, numbered", lumix, "P"), numbered),
        (Roll("olympus, numbered", olympus, "PA"), numbered),
        (Roll("fuji, RAW+JPEG", fuji, "DSCF", raw="RAF"), numbered),
        (Roll("canon, RAW+JPEG", Camera("Canon", "Canon EOS R5", "12"), "R5_", raw="CR2"), noting),
        (Roll("called automatic", Camera("NIKON", "D70", "15"), "DSN_"), who.unaware),
        (Roll("silent drone", drone, "DJI_"), who.silent),
        (Roll("manual, long", plain, "_MG_"), who.by_hand),
        (Roll("time-lapse", replace_serial(plain, "13"), "TL_"), who.time_lapse),
        (Roll("panorama", replace_serial(canon, "14"), "PANO"), who.panorama),
        (Roll("phone", Camera("Apple", "iPhone 8"), "PXL_"), who.phone),
        (Roll("no EXIF", Camera(), "scan", has_exif=False), who.unmarked),
    ]  # fmt: skip
    for roll, _ in crews:
        roll.at_s += rng.uniform(0, 600)
    while sum(len(_brackets(roll)) for roll, _ in crews) < count:
        roll, take = rng.choice(crews)
        if take in (who.time_lapse, who.panorama) and rng.random() < 0.7:
            continue  # they bring many brackets at a time
        take(roll, ids, rng)
    return [roll for roll, _ in crews]


def replace_serial(camera: Camera, serial: str) -> Camera:
    """The same model, another body."""
    return Camera(camera.make, camera.model, serial, camera.lens, camera.note, camera.has_fraction)


def _brackets(roll: Roll) -> set[int]:
    return {take.bracket for take in roll.takes if take.bracket is not None}


def write_card(folder: Path, rolls: list[Roll], *, seed: int) -> dict[Path, Truth]:
    """Writes the files of all rolls into one folder; gives what each of them is."""
    rng = np.random.default_rng(seed)
    blank = _jpeg(rng.integers(0, 256, (*_PICTURE, 3), dtype=np.uint8))
    truths: dict[Path, Truth] = {}
    for roll in rolls:
        scenes: dict[int, NDArray[np.float32]] = {}
        start = 9990 if roll.name == "canon" else 1  # numbers start again in the middle
        for number, take in enumerate(roll.takes, start):
            stem = f"{roll.prefix}{(number - 1) % 9999 + 1:04d}"
            path = folder / f"{stem}.JPG"
            if roll.has_exif:
                block = exif_of(roll.camera, take.shot)
                path.write_bytes(with_exif(blank, block))
            else:
                if take.scene not in scenes:
                    scenes[take.scene] = _scene(rng)
                path.write_bytes(_jpeg(_photograph(scenes[take.scene], take.ev, rng)))
            truths[path] = _truth(roll, take)
            if roll.raw:
                raw = folder / f"{stem}.{roll.raw}"
                raw.write_bytes(_raw(path.read_bytes(), roll, take))
                truths[raw] = truths.pop(path)  # the raw file of a pair is the one that counts
    return truths


def _truth(roll: Roll, take: Take) -> Truth:
    place = None if take.bracket is None else (take.bracket, take.ev)
    return Truth(roll.name, take.scene, place)


def _raw(jpeg: bytes, roll: Roll, take: Take) -> bytes:
    """A raw file's header: of Fuji with a JPEG inside, of others a TIFF structure."""
    if roll.raw == "RAF":
        head = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + (160).to_bytes(4, "big")
        return head.ljust(160, b"\0") + jpeg
    return exif_of(roll.camera, take.shot)


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, 90))
    if not done:
        raise RuntimeError("OpenCV wrote no JPEG")
    return data.tobytes()


def _scene(rng: np.random.Generator) -> NDArray[np.float32]:
    """Light of some things before a soft background, 0..1, with a rim for the hand to move in."""
    height, width = (side + 16 for side in _SCENE)
    light = cv2.resize(rng.random((5, 7)).astype(np.float32), (width, height))
    for _ in range(60):
        x, y = rng.integers(0, width), rng.integers(0, height)
        size = int(rng.integers(3, 30))
        cv2.circle(light, (int(x), int(y)), size, float(rng.random()), -1)
    grain = cv2.GaussianBlur(rng.random((height, width)).astype(np.float32), (0, 0), 1.5)
    detailed = cv2.GaussianBlur(light, (0, 0), 1.0) + grain - 0.5
    return np.asarray(2.0 ** (5 * (np.clip(detailed, 0, 1) - 1)), np.float32)


def _photograph(
    light: NDArray[np.float32], ev: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """An 8-bit frame of a scene by a shaking hand, with noise."""
    y, x = rng.integers(0, 16, 2)
    seen = light[y : y + _SCENE[0], x : x + _SCENE[1]]
    encoded = np.clip(seen * 0.5 * 2.0**ev, 0, 1) ** (1 / 2.2) * 255
    noisy = encoded + rng.normal(0, 2, encoded.shape)
    gray = np.clip(noisy, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), np.uint8)


def score(plan: Plan, truths: Mapping[Path, Truth]) -> dict[str, Any]:
    """Gives how a plan agrees with what the files are.

    A bracket is exact when it has one frame of each of its exposures and no other. `foreign` counts
    found brackets with frames of several scenes; `invented` those that are no part of any.
    """
    wanted: dict[int, set[float]] = {}
    kinds: dict[int, str] = {}
    for truth in truths.values():
        if truth.place is not None:
            wanted.setdefault(truth.place[0], set()).add(truth.place[1])
            kinds[truth.place[0]] = truth.kind
    exact: set[int] = set()
    foreign = invented = 0
    for bracket in plan.brackets:
        found = [truths.get(frame) for frame in bracket.frames]
        known = [truth for truth in found if truth is not None]
        foreign += len({truth.scene for truth in known}) > 1 or len(known) < len(found)
        places = {truth.place for truth in known}
        owners = {place[0] for place in places if place is not None}
        if len(owners) != 1 or None in places:
            invented += not owners
            continue
        owner = owners.pop()
        if len(places) == len(bracket.frames) == len(wanted[owner]):
            exact.add(owner)
    missed = Counter(kinds[bracket] for bracket in wanted if bracket not in exact)
    return {
        "brackets": len(wanted),
        "exact": len(exact),
        "exact_share": round(len(exact) / len(wanted), 4),
        "foreign": foreign,
        "invented": invented,
        "of_kind": dict(Counter(kinds.values())),
        "missed_of_kind": dict(missed),
    }


def measure(folder: Path, *, brackets: int, seed: int) -> dict[str, Any]:
    """Writes one folder, groups it, and scores the plan."""
    truths = write_card(folder, rolls_of(brackets, seed), seed=seed)
    start = time.perf_counter()
    plan = find_brackets([folder])
    seconds = time.perf_counter() - start
    files = sum(1 for _ in folder.iterdir())
    return {"seed": seed, "files": files, "seconds": round(seconds, 2), **score(plan, truths)}


def main() -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.grouping", description=__doc__)
    parser.add_argument("--brackets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="write the files here, and keep them")
    given = parser.parse_args()
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
        result = measure(given.keep, brackets=given.brackets, seed=given.seed)
    else:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(Path(folder), brackets=given.brackets, seed=given.seed)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
