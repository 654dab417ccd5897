"""Names of fused pictures: a template with fields, filled per bracket.

A filled name stays inside its folder and is one that every file system takes: values that come
from a camera cannot bring separators or `..` with them. It reads no file.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from mefuse.errors import InputError

FIELDS = ("first", "last", "stem", "index", "count", "date", "model", "ext")
DEFAULT_TEMPLATE = "{first}-{last}.{ext}"
UNDATED, UNKNOWN_MODEL = "undated", "unknown"
_INDEX_DIGITS = 4
_MOST_BYTES = 255  # of one name, on all common file systems
_NUMBER = re.compile(r"[0-9]+")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')


@dataclass(frozen=True, slots=True)
class NameValues:
    """What the fields of one bracket stand for."""

    first: str
    last: str
    stem: str
    index: int
    count: int
    date: datetime | None
    model: str | None
    ext: str


class Template:
    """A checked template; `fill` gives the name of one bracket, with / between folders.

    Raises:
        InputError: it has an unknown field or a broken one, names no file, or leaves the folder.
    """

    def __init__(self, text: str) -> None:
        """Checks the template on made-up values: before any work."""
        self.text = text
        self._parts = self._parsed(text)
        self.fields = frozenset(name for _, name, _ in self._parts if name)
        if "ext" not in self.fields and not PurePosixPath(text.replace("\\", "/")).suffix:
            self._parts += [(".", "ext", "")]
        self.fill(NameValues("a", "b", "a", 1, 3, datetime(2000, 1, 1), "c", "png"))

    def _parsed(self, text: str) -> list[tuple[str, str, str]]:
        """(literal text, field, its format) one after the other."""
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as err:
            raise self._error(f"has a broken field ({err}); double a brace that is meant") from err
        parts = []
        for literal, name, form, conversion in parsed:
            if conversion:
                raise self._error(f"{{{name}!{conversion}}} is no field; leave out !{conversion}")
            if name is not None and name not in FIELDS:
                known = ", ".join(f"{{{field}}}" for field in FIELDS)
                raise self._error(f"{{{name}}} is no field; there are {known}")
            if _is_wide(form or ""):
                raise self._error(f"{{{name}:{form}}} is wider than {_MOST_BYTES} bytes; narrow it")
            parts.append((literal, name or "", form or ""))
        return parts

    def fill(self, values: NameValues) -> str:
        """The name of one bracket's picture, relative to its folder.

        Raises:
            InputError: the name is empty, too long, or would leave the folder.
        """
        filled = "".join(
            literal + (self._value(values, name, form) if name else "")
            for literal, name, form in self._parts
        )
        pieces = filled.split("/")
        if filled.startswith("/") or "\\" in filled or re.match(r"[A-Za-z]:", filled):
            raise self._error(f"gives {filled!r}, which may leave the folder; use / inside it")
        if "\0" in filled:
            raise self._error("has a NUL character; leave it out")
        for piece in pieces:
            if piece.strip() == "" or piece.startswith("."):
                raise self._error(
                    f"gives {filled!r}; every part has to be a name without a dot first"
                )
            if len(piece.encode("utf-8", "surrogateescape")) > _MOST_BYTES:
                raise self._error(f"gives a name of more than {_MOST_BYTES} bytes; shorten it")
        return filled

    def _value(self, values: NameValues, name: str, form: str) -> str:
        """One field as text."""
        value = getattr(values, name)
        try:
            if name == "index":
                text = format(value, form or f"0{_INDEX_DIGITS}")
            elif name == "date":
                text = UNDATED if value is None else format(value, form or "%Y-%m-%d")
            else:
                text = format(UNKNOWN_MODEL if value is None else value, form)
        except ValueError as err:
            raise self._error(f"{{{name}:{form}}} cannot be written ({err})") from err
        return _safe(text)

    def _error(self, message: str) -> InputError:
        return InputError(f"--name {self.text}: {message}")


def _is_wide(form: str) -> bool:
    """Whether a format asks for more than a name can hold: to make it could take all memory."""
    return any(len(width) > 3 or int(width) > _MOST_BYTES for width in _NUMBER.findall(form))


def _safe(text: str) -> str:
    """A value that can stand in a name: without separators and what some system refuses."""
    return _UNSAFE.sub("_", text).strip(" .")
