"""Figures in words, and names of any kind made readable: for pages and pictures. A leaf."""

from __future__ import annotations

import re

from mefuse.frames import Exposure

# The directions of writing and the invisible: a name could look like another one.
_DECEPTIVE = re.compile("[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def exposure_words(exposure: Exposure) -> str:
    """Gives an exposure as photographers write it, empty where nothing is known."""
    parts = (
        shutter_words(exposure.exposure_time_s) if exposure.exposure_time_s else "",
        f"f/{exposure.f_number:.2g}" if exposure.f_number else "",
        f"ISO {exposure.iso:.0f}" if exposure.iso else "",
    )
    return ", ".join(part for part in parts if part)


def shutter_words(seconds: float) -> str:
    """Gives a time as 1/50 s where cameras do, else as 2.5 s."""
    return f"{seconds:.3g} s" if seconds >= 0.3 else f"1/{1 / seconds:.0f} s"


def ev_words(ev: float) -> str:
    """Gives stops with a sign, to tenths."""
    text = f"{ev:+.1f} EV"
    return "0 EV" if text in ("+0.0 EV", "-0.0 EV") else text.replace("-", "\u2212")


def duration_words(seconds: float) -> str:
    """Gives a time as a person would say it."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def bytes_words(count: float) -> str:
    """Gives a size in the unit that suits it."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} bytes"


def count_words(count: int, one: str) -> str:
    """Gives a number of things: `1 frame`, `3 frames`."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def readable(text: str) -> str:
    """Gives a text with what cannot be seen made visible.

    Control characters become their pictures, bytes that are no UTF-8 become U+FFFD, what turns the
    direction of writing becomes its number.
    """
    shown = "".join(_visible(character) for character in text)
    return _DECEPTIVE.sub(lambda found: f"<U+{ord(found[0]):04X}>", shown)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000:
        return "\ufffd"
    return character
