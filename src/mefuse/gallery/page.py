"""The page around the brackets: what it may load, what it looks like, what all brackets come to.

Style and script stand in the page itself and are named by their hashes in its security policy, so
that nothing else, whatever a file name holds, is ever run, styled or fetched.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from string import Template

from mefuse.gallery.cards import is_warned_of
from mefuse.gallery.entries import Entry
from mefuse.gallery.markup import Html, element, escaped
from mefuse.words import bytes_words, count_words, duration_words

_SPLIT = "<!-- brackets -->"  # in page.html: where they go
_FILTERS = {  # value of the filter -> what it is called
    "all": "All",
    "fused": "Fused",
    "failed": "Failed",
    "warned": "With warnings",
}


def page_around(entries: Sequence[Entry], *, title: str, version: str) -> tuple[str, str]:
    """Gives what comes before the brackets, and what after them.

    Args:
        entries: all brackets of the page.
        title: what the page is about.
        version: of mefuse, which writes the page.
    """
    style, script = _asset("page.css"), _asset("page.js")
    filled = Template(_asset("page.html")).substitute(
        policy=_policy(style, script),
        style=style,
        script=script,
        title=escaped(title),
        summary=_summary(entries),
        filters=_filters(entries),
        version=escaped(version),
    )
    head, tail = filled.split(_SPLIT)
    return head, tail


@cache
def _asset(name: str) -> str:
    return resources.files("mefuse.gallery").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy: nothing from anywhere, but the pictures in the page."""
    rules = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    """What a policy calls an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _summary(entries: Sequence[Entry]) -> Html:
    """What all brackets come to."""
    failed = sum(entry.error is not None for entry in entries)
    missing = sum(entry.missing for entry in entries)
    times = [entry.total_s for entry in entries if entry.total_s is not None]
    peaks = [e.peak_memory_bytes for e in entries if e.peak_memory_bytes is not None]
    started = sorted(entry.started for entry in entries if entry.started)
    figures = {
        "brackets": str(len(entries)),
        "fused": str(len(entries) - failed),
        "failed": str(failed),
        "with warnings": str(sum(is_warned_of(entry) for entry in entries)),
        "files gone": str(missing) if missing else "",
        "a bracket took": duration_words(sorted(times)[len(times) // 2]) if times else "",
        "peak memory": bytes_words(max(peaks)) if peaks else "",
        "made": _days(started),
    }
    return element(
        "dl",
        [
            element("div", element("dt", name), element("dd", value), class_=_tone(name, value))
            for name, value in figures.items()
            if value
        ],
        class_="summary",
    )


def _tone(name: str, value: str) -> str | None:
    """How a figure is to be looked at."""
    tones = {"failed": "failed", "with warnings": "warned", "files gone": "warned"}
    return tones.get(name) if value != "0" else None


def _days(started: Sequence[str]) -> str:
    """The first and the last day of ISO 8601 times, in order."""
    if not started:
        return ""
    first, last = started[0][:10], started[-1][:10]
    return first if first == last else f"{first} \u2013 {last}"


def _filters(entries: Sequence[Entry]) -> Html:
    """Which brackets to show, with how many there are of each kind."""
    failed = sum(entry.error is not None for entry in entries)
    counts = {
        "all": len(entries),
        "fused": len(entries) - failed,
        "failed": failed,
        "warned": sum(is_warned_of(entry) for entry in entries),
    }
    choices = [
        element(
            "label",
            element("input", type="radio", name="show", value=value, checked=value == "all"),
            element("span", f"{name} ", element("b", counts[value])),
        )
        for value, name in _FILTERS.items()
    ]
    return Html("".join(choices))


def title_of(folder_name: str, count: int) -> str:
    """Gives the page's title."""
    return f"{folder_name}: {count_words(count, 'bracket')}"
