"""Draws a contact sheet: rows of panels with their captions, and the result below. Knows no file.

Lengths are in px of the sheet and follow from its width, so that a sheet twice as wide looks the
same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mefuse.contact.panels import Bytes, Panel, Row

_PAPER, _INK, _QUIET = (
    (32, 32, 32),
    (235, 235, 235),
    (165, 165, 165),
)  # neutral, darker than pictures
_SIGNS = str.maketrans({"\u2212": "-", "\u00d7": "x", "\u2248": "~"})
_LINE = 1.35  # heights of text from line to line
_MOST_IN_LINE = 7  # panels: narrower ones hold no caption
_TALLEST = 0.65  # height of the result, of the sheet's width


@dataclass(frozen=True, slots=True)
class _Measures:
    """Lengths of a sheet in px."""

    width: int
    text: int
    margin: int
    gap: int

    @staticmethod
    def of(width: int) -> _Measures:
        """The lengths that suit a sheet of this width."""
        return _Measures(width, max(11, round(width / 100)), round(width / 60), round(width / 130))

    @property
    def inner(self) -> int:
        """Width without the margins."""
        return self.width - 2 * self.margin

    def cell(self, count: int) -> int:
        """Width of one of several panels side by side."""
        return max(1, (self.inner - (count - 1) * self.gap) // count)


class _Sheet:
    """A picture that grows downwards."""

    def __init__(self, measures: _Measures) -> None:
        self._measures = measures
        self._parts: list[Bytes] = []
        self._fonts = {size: ImageFont.load_default(measures.text * size) for size in (1.0, 1.25)}

    def pixels(self) -> Bytes:
        """All parts, with a margin above and below."""
        edge = self._blank(self._measures.margin)
        return np.concatenate([edge, *self._parts, edge])

    def add_title(self, text: str, quiet: str) -> None:
        """A line over the whole sheet, with something less important behind it."""
        part = self._canvas(round(self._measures.text * 1.25 * _LINE) + self._measures.gap)
        draw = ImageDraw.Draw(part)
        at = self._text(draw, (self._measures.margin, 0), text, self._measures.inner, size=1.25)
        left = self._measures.margin + at + 2 * self._measures.gap
        room = self._measures.width - self._measures.margin - left
        below = round(self._measures.text * 0.2)
        self._text(draw, (left, below), quiet, room, ink=_QUIET)
        self._parts.append(np.asarray(part))

    def add_row(self, row: Row) -> None:
        """A row with its title and captions; panels that do not fit side by side go below."""
        part = self._canvas(round(self._measures.text * _LINE))
        title = ImageDraw.Draw(part)
        self._text(title, (self._measures.margin, 0), row.title, self._measures.inner, ink=_QUIET)
        self._parts.append(np.asarray(part))
        lines = -(-len(row.panels) // _MOST_IN_LINE)
        count = -(-len(row.panels) // lines)
        for first in range(0, len(row.panels), count):
            self._add_line(row.panels[first : first + count], self._measures.cell(count))

    def _add_line(self, panels: Sequence[Panel], cell: int) -> None:
        """Panels side by side, each `cell` px wide, with their captions."""
        measures = self._measures
        pictures = [_fitted(panel.pixels, cell, measures.width) for panel in panels]
        line = round(measures.text * _LINE)
        tall = max(picture.shape[0] for picture in pictures)
        lines = max(len(panel.lines) for panel in panels)
        part = self._canvas(tall + lines * line + 2 * measures.gap)
        draw = ImageDraw.Draw(part)
        for place, (panel, picture) in enumerate(zip(panels, pictures, strict=True)):
            left = measures.margin + place * (cell + measures.gap)
            part.paste(Image.fromarray(picture), (left, 0))
            for number, text in enumerate(panel.lines):
                at = left, tall + measures.gap // 2 + number * line
                self._text(draw, at, text, cell, ink=_QUIET if number else _INK)
        self._parts.append(np.asarray(part))

    def add_result(self, panel: Panel) -> None:
        """The result, as large as fits, in the middle."""
        measures = self._measures
        picture = _fitted(panel.pixels, measures.inner, round(measures.width * _TALLEST))
        line = round(measures.text * _LINE)
        part = self._canvas(line * (1 + len(panel.lines)) + picture.shape[0])
        left = (measures.width - picture.shape[1]) // 2
        part.paste(Image.fromarray(picture), (left, 0))
        draw = ImageDraw.Draw(part)
        for number, text in enumerate(panel.lines):
            at = left, picture.shape[0] + measures.gap // 2 + number * line
            self._text(draw, at, text, measures.width - measures.margin - left)
        self._parts.append(np.asarray(part))

    def _text(
        self,
        draw: ImageDraw.ImageDraw,
        at: tuple[int, int],
        text: str,
        room: int,
        *,
        ink: tuple[int, int, int] = _INK,
        size: float = 1.0,
    ) -> int:
        """Writes a line, cut in its middle where it would leave its room; returns its width."""
        font = self._fonts[size]
        text = whole = _drawable(text)
        kept = len(whole)
        while kept > 0 and (length := draw.textlength(text, font=font)) > room:
            kept = max(0, min(kept - 1, int(kept * room / length)))
            cut = f"{whole[: kept - kept // 2]}\u2026{whole[len(whole) - kept // 2 :]}"
            text = cut if kept else ""
        draw.text(at, text, font=font, fill=ink)
        return round(draw.textlength(text, font=font))

    def _canvas(self, height: int) -> Image.Image:
        return Image.fromarray(self._blank(height))

    def _blank(self, height: int) -> Bytes:
        return np.full((height, self._measures.width, 3), _PAPER, np.uint8)


def _drawable(text: str) -> str:
    """The text in the letters that Pillow's own font has: e for an accented one, ? for others."""
    bare = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    letters = (letter for letter in bare if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() else "?" for letter in letters)


def draw_sheet(
    rows: Sequence[Row], result: Panel, *, title: str, subtitle: str, width_px: int
) -> Bytes:
    """Gives the sheet's pixels, (H, width_px, 3) uint8 RGB."""
    sheet = _Sheet(_Measures.of(width_px))
    sheet.add_title(title, subtitle)
    for row in rows:
        sheet.add_row(row)
    sheet.add_result(result)
    return sheet.pixels()


def result_width(width_px: int) -> int:
    """The widest that the result can be on a sheet of this width."""
    return _Measures.of(width_px).inner


def _fitted(pixels: Bytes, width: int, height: int) -> Bytes:
    """A picture brought to the largest size that fits."""
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)
