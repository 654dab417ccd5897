"""One bracket as a part of the page: picture, frames, figures, what went wrong.

Only HTML is made here; what it looks like is page.css, what it does is page.js, which looks for the
classes and data-attributes below. Without a script everything but the slider still works.
"""

from __future__ import annotations

from urllib.parse import quote

from mefuse.gallery.details import details
from mefuse.gallery.entries import Entry, FrameEntry
from mefuse.gallery.markup import Html, element
from mefuse.gallery.thumbnails import Thumbnail, Thumbnails
from mefuse.words import (
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
        details(entry),
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
    fused = thumbnails.fused is not None and thumbnails.fused.uri is not None
    items = [
        element("li", _frame(frame, thumbnail, is_comparable=fused))
        for frame, thumbnail in zip(entry.frames, thumbnails.frames, strict=True)
    ]
    return element("ul", items, class_="frames", aria_label="Frames") if items else None


def _frame(frame: FrameEntry, thumbnail: Thumbnail, *, is_comparable: bool) -> Html:
    """One frame: a button by which page.js lays it over the fused picture, where it can."""
    name = frame.file.path.name or str(frame.file.path)
    shown = _small(thumbnail, f"Frame {name}")
    caption = element(
        "span",
        element("b", _short_exposure(frame)),
        element("span", name, class_="file"),
        element("span", "reference", class_="mark") if frame.is_reference else None,
        class_="caption",
    )
    if thumbnail.uri is None or frame.transform is None or not is_comparable:
        return element("div", shown, caption, class_="frame")
    return element(
        "button", shown, caption, type="button", class_="frame",
        aria_pressed="true" if frame.is_reference else "false",
        title=f"Compare the fused picture with {name}", data_frame=name,
        data_reference=frame.is_reference,
    )  # fmt: skip


def _small(thumbnail: Thumbnail, label: str) -> Html:
    """A frame's picture, or why there is none."""
    if thumbnail.uri is None:
        return element("span", thumbnail.note, class_="absent")
    return element(
        "img", src=thumbnail.uri, width=thumbnail.width, height=thumbnail.height,
        alt=label, decoding="async",
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
