"""All figures of one bracket, folded away at the foot of its part of the page."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mefuse.gallery.entries import Entry, File, FrameEntry
from mefuse.gallery.markup import Html, element
from mefuse.words import bytes_words, ev_words, exposure_words


def details(entry: Entry) -> Html:
    """All figures, folded away."""
    return element(
        "details",
        element("summary", "Frames, times and settings"),
        _frame_table(entry),
        _times(entry.seconds),
        _facts(entry),
    )


def _frame_table(entry: Entry) -> Html | None:
    """A row per frame; a column that would be empty is left out."""
    if not entry.frames:
        return None
    rows = [_cells(frame) for frame in entry.frames]
    heads = [head for head in rows[0] if any(row[head] for row in rows)]
    head = element("tr", [element("th", text, scope="col") for text in ("Frame", *heads)])
    body = [
        element(
            "tr",
            element("th", _path(frame.file), scope="row"),
            [element("td", row[head]) for head in heads],
        )
        for frame, row in zip(entry.frames, rows, strict=True)
    ]
    table = element(
        "table", element("caption", "Frames"), element("thead", head), element("tbody", body)
    )
    return element("div", table, class_="wide", tabindex=0, role="region", aria_label="Frames")


def _cells(frame: FrameEntry) -> dict[str, str]:
    """What the table tells of a frame, by column."""
    estimated = ", estimated" if frame.is_ev_estimated else ""
    return {
        "Exposure": exposure_words(frame.exposure),
        "EV": "" if frame.ev is None else ev_words(frame.ev) + estimated,
        "Moved": "" if frame.shift_px is None else f"{frame.shift_px:.1f} px",
        "Misaligned": "" if frame.residual_px is None else f"{frame.residual_px:.2f} px",
        "Aligned by": frame.method or "not fused",
        "Replaced": "" if frame.ghost_share is None else f"{frame.ghost_share:.1%}",
    }


def _path(file: File) -> list[Html | str]:
    """A path, its folder in gray."""
    folder = str(file.path.parent)
    return [element("span", f"{folder}/", class_="folder"), file.path.name or str(file.path)]


def _times(seconds: Mapping[str, float]) -> Html | None:
    """The seconds of each step, as a bar and in words."""
    steps = {step: value for step, value in seconds.items() if step != "total" and value > 0}
    if not steps:
        return None
    whole, at, parts = sum(steps.values()), 0.0, []
    for place, value in enumerate(steps.values()):
        width = 100 * value / whole
        parts.append(
            element("rect", x=round(at, 2), width=round(width, 2), height=6, class_=f"step{place}")
        )
        at += width
    bar = element("svg", parts, viewBox="0 0 100 6", preserveAspectRatio="none", aria_hidden="true")
    words = [
        element("li", f"{step} {value:.2f} s", class_=f"step{place}")
        for place, (step, value) in enumerate(steps.items())
    ]
    total = seconds.get("total")
    if total is not None:
        words.append(element("li", f"total {total:.2f} s, waiting for others included"))
    return element("div", bar, element("ul", words, aria_label="Times"), class_="times")


def _facts(entry: Entry) -> Html:
    """What else the manifest tells, name by name."""
    facts = {"started": entry.started, **entry.facts}
    if entry.peak_memory_bytes is not None:
        facts["peak memory of the process"] = bytes_words(entry.peak_memory_bytes)
    if entry.crop is not None:
        crop = entry.crop
        facts["crop"] = f"{crop.width} \u00d7 {crop.height} px at ({crop.left}, {crop.top})"
    if entry.failed_runs:
        facts["runs that failed"] = entry.failed_runs
    pairs = [
        element("div", element("dt", name), element("dd", _plain(value)))
        for name, value in facts.items()
        if value not in ("", None)
    ]
    return element("dl", pairs, class_="facts")


def _plain(value: object) -> str:
    """A value of the manifest as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
