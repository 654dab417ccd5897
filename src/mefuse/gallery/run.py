"""Writes the page of a batch: manifest -> entries -> thumbnails -> one HTML file.

The page is written bracket by bracket, so that a batch of any length takes little memory, and
appears under its name only when it is whole. It knows no terminal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mefuse import __version__
from mefuse.batch.manifest import MANIFEST, read_manifest
from mefuse.clock import Progress
from mefuse.errors import InputError
from mefuse.gallery.cards import card
from mefuse.gallery.entries import Entry, read_entries
from mefuse.gallery.page import page_around, title_of
from mefuse.gallery.thumbnails import Thumbnails, make_thumbnails
from mefuse.landing import check_apart, check_target, replacing

PAGE = "mefuse-report.html"
BUDGET_BYTES = 60_000  # of a bracket's pictures: 300 brackets make 18 MB
LARGEST_PAGE_BYTES = 96_000_000  # of all pictures; beyond it, those of each bracket get smaller
_WORKERS = 4  # reading a picture whole may take 200 MB


@dataclass(frozen=True, slots=True)
class PageSummary:
    """What a page shows: `missing` counts files that are no longer where they were."""

    brackets: int
    failed: int
    missing: int
    page_bytes: int


def write_page(
    folder: Path,
    target: Path | BinaryIO,
    *,
    budget_bytes: int = BUDGET_BYTES,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> PageSummary:
    """Writes one self-contained HTML page of a batch.

    Args:
        folder: the batch's, with its manifest.
        target: the page; or an open binary stream.
        budget_bytes: the most that the pictures of one bracket take in the page; 0: no pictures.
        overwrite: replace a page that is there.
        on_progress: called with "pictures", brackets done and brackets in all.

    Raises:
        InputError: the folder has no manifest, or none that tells of a bracket.
        OutputExistsError: the page exists and `overwrite` is False.
        WriteError: it cannot be stored; nothing is left behind.
    """
    records = read_manifest(folder)
    if isinstance(target, Path):
        check_target(target, overwrite)
    entries = read_entries(folder, records)
    if not entries:
        raise InputError(f"{folder}: its manifest tells of no bracket; run `mefuse batch` first")
    if isinstance(target, Path):
        check_apart(target, _kept(folder, entries), what="part of the batch")
    home = target.parent if isinstance(target, Path) else None
    parts = _parts(folder, entries, home, budget_bytes, on_progress)
    written = _store(parts, target, overwrite=overwrite)
    return PageSummary(
        brackets=len(entries),
        failed=sum(entry.error is not None for entry in entries),
        missing=sum(entry.missing for entry in entries),
        page_bytes=written,
    )


def _kept(folder: Path, entries: Sequence[Entry]) -> Iterator[Path]:
    """What a page never takes the place of: the manifest, pictures and their frames."""
    yield folder / MANIFEST
    for entry in entries:
        files = (entry.picture, *(frame.file for frame in entry.frames))
        yield from (file.path for file in files if file is not None and file.state != "gone")


def _parts(
    folder: Path,
    entries: Sequence[Entry],
    home: Path | None,
    budget_bytes: int,
    on_progress: Progress | None,
) -> Iterator[bytes]:
    """The page in pieces: head, brackets, tail."""
    name = folder.resolve().name or str(folder)
    head, tail = page_around(entries, title=title_of(name, len(entries)), version=__version__)
    yield head.encode()
    each = min(budget_bytes, LARGEST_PAGE_BYTES // len(entries))
    for number, (entry, thumbnails) in enumerate(_with_thumbnails(entries, each), start=1):
        link = None if home is None else _link(folder, entry, home)
        yield card(entry, thumbnails, number=number, link=link).encode() + b"\n"
        if on_progress is not None:
            on_progress("pictures", number, len(entries))
    yield tail.encode()


def _with_thumbnails(
    entries: Sequence[Entry], budget_bytes: int
) -> Iterator[tuple[Entry, Thumbnails]]:
    """Every entry with its pictures, which several threads make."""
    make = partial(make_thumbnails, budget_bytes=budget_bytes)
    workers = min(_WORKERS, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, thread_name_prefix="thumbnail") as pool:
        try:
            yield from zip(entries, pool.map(make, entries), strict=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # do not read the rest for nothing
            raise


def _link(folder: Path, entry: Entry, home: Path) -> str | None:
    """The way from the page's folder to the fused picture; None where there is none."""
    if entry.picture is None or entry.picture.state == "gone":
        return None
    try:
        return os.path.relpath((folder / entry.name).absolute(), home.absolute())
    except ValueError:  # another drive
        return None


def _store(parts: Iterator[bytes], target: Path | BinaryIO, *, overwrite: bool) -> int:
    """Writes the page, to a file whole or not at all; returns its bytes."""
    if not isinstance(target, Path):
        return sum(target.write(part) for part in parts)
    with replacing(target, overwrite=overwrite) as file:
        return sum(file.write(part) for part in parts)
