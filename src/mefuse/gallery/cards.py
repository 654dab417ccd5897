"""One bracket as a part of the page: picture, frames, figures, what went wrong.

Only HTML is made here; what it looks like is page.css, what it does is page.js, which looks for the
classes and data-attributes below. Without a script everything but the slider still works.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

from mefuse.gallery.entries import Entry, File, FrameEntry
from mefuse.gallery.markup import Html, element
from mefuse.gallery.thumbnails import Thumbnail, Thumbnails
from mefuse.gallery.words import (
    bytes_words,
    count_words,
    duration_words,
    ev_words,
    exposure_words,
)

_STATES = {"same": "", "changed": "changed since", "gone": "moved or deleted since"}


def card(entry: Entry, thumbnails: Thumbnails, *, number: int, link: str | None) -> Html:
    """Gives the bracket's part of the page.

    Args:
        entry: the bracket.
        thumbnails: its pictures.
        number: its place on the page, from 1.
        link: relative path from the page to the fused picture; None where there is no way to it.
    """
    identity = f"b{number}"
    return element(
        "article",
        _head(entry, identity, link),
        element("p", entry.error, class_="error") if entry.error else None,
        _picture(entry, thumbnails.fused),
        _frames(entry, thumbnails),
        element("p", *_figures(entry), class_="figures"),
        _warnings(entry),
        _details(entry),
        class_="bracket",
        id=identity,
        aria_labelledby=f"{identity}-name",
        data_outcome="failed" if entry.error else "fused",
        data_warnings=len(_notices(entry)),
        data_number=number,
        data_name=entry.name,
        data_seconds=entry.total_s or 0,
        data_shift=entry.shift_px or 0,
        data_range=entry.range_ev or 0,
        data_memory=entry.peak_memory_bytes or 0,
    )


def is_warned_of(entry: Entry) -> bool:
    """Tells whether a bracket has anything to look at, failures aside."""
    return bool(_notices(entry))


def _head(entry: Entry, identity: str, link: str | None) -> Html:
    """The picture's name, with a link to it, and its outcome."""
    name: Html | str = entry.name
    if link is not None and entry.picture is not None and entry.picture.state != "gone":
        name = element("a", entry.name, href=_href(link), title="Open the fused picture")
    notices = len(_notices(entry))
    outcome = "failed" if entry.error else "fused"
    return element(
        "header",
        element("h2", name, id=f"{identity}-name"),
        element(
            "p",
            element("span", outcome, class_=f"mark {outcome}"),
            element("span", count_words(notices, "warning"), class_="mark warned")
            if notices
            else None,
            class_="marks",
        ),
    )


def _href(path: str) -> str:
    """A relative link; it can lead nowhere else, whatever the name."""
    return "./" + quote(path.encode("utf-8", "surrogateescape"), safe="/")


def _picture(entry: Entry, thumbnail: Thumbnail | None) -> Html | None:
    """The fused picture, over which page.js lays a frame and a slider."""
    if thumbnail is None:
        return None
    if thumbnail.uri is None:
        said = f"The fused picture is not shown: {thumbnail.note}."
        return element("p", said, class_="absent") if thumbnail.note else None
    picture = element(
        "img", src=thumbnail.uri, width=thumbnail.width, height=thumbnail.height,
        alt=f"Fused picture {entry.name}", class_="after", decoding="async",
    )  # fmt: skip
    return element("div", picture, class_="compare")


def _frames(entry: Entry, thumbnails: Thumbnails) -> Html | None:
    """The frames side by side, darkest first."""
    items = [
        element("li", _frame(frame, thumbnail))
        for frame, thumbnail in zip(entry.frames, thumbnails.frames, strict=True)
    ]
    return element("ul", items, class_="frames", aria_label="Frames") if items else None


def _frame(frame: FrameEntry, thumbnail: Thumbnail) -> Html:
    """One frame: a button by which page.js lays it over the fused picture, where it can."""
    name = frame.file.path.name or str(frame.file.path)
    label = f"Frame {name}"
    shown = (
        element("span", thumbnail.note, class_="absent")
        if thumbnail.uri is None
        else element(
            "img", src=thumbnail.uri, width=thumbnail.width, height=thumbnail.height,
            alt=label, decoding="async",
        )  # fmt: skip
    )
    caption = element(
        "span",
        element("b", _short_exposure(frame)),
        element("span", name, class_="file"),
        element("span", "reference", class_="mark") if frame.is_reference else None,
        class_="caption",
    )
    if thumbnail.uri is None or frame.transform is None:
        return element("div", shown, caption, class_="frame")
    return element(
        "button", shown, caption, type="button", class_="frame",
        aria_pressed="true" if frame.is_reference else "false",
        title=f"Compare the fused picture with {name}", data_frame=name,
        data_reference=frame.is_reference,
    )  # fmt: skip


def _short_exposure(frame: FrameEntry) -> str:
    """What a frame's caption tells of its exposure; one that was estimated is marked so."""
    if frame.ev is None:
        return exposure_words(frame.exposure)
    return ("\u2248 " if frame.is_ev_estimated else "") + ev_words(frame.ev)


def _figures(entry: Entry) -> list[Html]:
    """The bracket in a line."""
    frames = sum(frame.transform is not None for frame in entry.frames) or len(entry.frames)
    texts = [count_words(frames, "frame")]
    if entry.range_ev is not None:
        texts.append(f"{entry.range_ev:.1f} EV apart")
    if entry.shift_px is not None:
        texts.append(f"moved up to {entry.shift_px:.1f} px")
    if entry.size is not None:
        texts.append(f"{entry.size[1]} \u00d7 {entry.size[0]} px")
    if entry.total_s is not None:
        texts.append(duration_words(entry.total_s))
    return [element("span", text) for text in texts]


def _notices(entry: Entry) -> list[str]:
    """Warnings of the fusion, and what became of the files since."""
    notices = list(entry.warnings)
    if entry.picture is not None and entry.picture.state != "same":
        notices.append(f"{entry.name}: {_STATES[entry.picture.state]}")
    for frame in entry.frames:
        if frame.file.state != "same":
            notices.append(f"{frame.file.path}: {_STATES[frame.file.state]}")
    if entry.error and entry.picture is not None:
        notices.append("An earlier run fused it: picture and figures are of that run")
    return notices


def _warnings(entry: Entry) -> Html | None:
    notices = _notices(entry)
    if not notices:
        return None
    return element("ul", [element("li", notice) for notice in notices], class_="warnings")


def _details(entry: Entry) -> Html:
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
    bar = element(
        "svg", parts, viewBox="0 0 100 6", preserveAspectRatio="none", aria_hidden="true"
    )
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
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
