"""The plan: which frames make which bracket, as a JSON file that a person can edit.

`mefuse group` writes it and `mefuse batch` reads it. Nothing here looks at a picture, so a plan may
name files that are gone: who reads the frames tells. What is read was edited by hand or by a
script, so every mistake is named with its place, and a misspelt key is an error and never ignored.

    {"mefuse_plan": 1,
     "brackets": [{"frames": ["a.jpg", "b.jpg"], "reference": null, "reason": "..."}],
     "left_out": [{"path": "c.jpg", "reason": "..."}]}
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from mefuse import landing
from mefuse.errors import InputError

VERSION = 1
_VERSION_KEY = "mefuse_plan"
_OWN_KEY_PREFIX = "_"  # keys of this kind belong to whoever edits a plan; mefuse passes over them


@dataclass(frozen=True, slots=True)
class PlannedBracket:
    """The frames of one bracket, in the order in which they were taken."""

    frames: tuple[Path, ...]
    reference: Path | None = None  # one of the frames; None: the middle exposure
    reason: str = ""  # how it was found


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is in no bracket."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Brackets in the order in which they are to be fused, and what is in none of them."""

    brackets: tuple[PlannedBracket, ...]
    left_out: tuple[LeftOut, ...] = ()


def dump_plan(plan: Plan, *, readable: bool = False) -> str:
    """Gives a plan as JSON: one line, or indented for people with `readable`.

    It is plain ASCII: a name that is no UTF-8 keeps its bytes as the escapes of its surrogates,
    which `load_plan` turns back.
    """
    content = {
        _VERSION_KEY: VERSION,
        "brackets": [
            {
                "frames": [str(frame) for frame in bracket.frames],
                "reference": None if bracket.reference is None else str(bracket.reference),
                "reason": bracket.reason,
            }
            for bracket in plan.brackets
        ],
        "left_out": [{"path": str(left.path), "reason": left.reason} for left in plan.left_out],
    }
    return json.dumps(content, allow_nan=False, indent=1 if readable else None)


def save_plan(plan: Plan, path: Path, *, overwrite: bool = False) -> None:
    """Writes a plan, indented, to a file: whole or not at all.

    Raises:
        OutputExistsError: the file exists and `overwrite` is False.
        WriteError: it cannot be written.
    """
    landing.check_target(path, overwrite)
    with landing.replacing(path, overwrite=overwrite) as file:
        file.write((dump_plan(plan, readable=True) + "\n").encode("ascii"))


def load_plan(source: Path | BinaryIO | TextIO) -> Plan:
    """Gives the plan in a file, or in an open stream such as standard input.

    Relative paths count from the current directory. Where the plan is a file and not one of them
    is found there, all of them count from the plan's own folder. Keys that start with an underscore
    are passed over; of the others only `reference`, `reason` and `left_out` may be missing.

    Raises:
        InputError: it cannot be read, is no JSON, of another version, or wrong somewhere: the
            message tells where.
    """
    name = str(source) if isinstance(source, Path) else "standard input"
    plan = _parsed(_text(source, name), name)
    if isinstance(source, Path) and not _is_found_here(plan):
        return _moved(plan, source.parent)
    return plan


def _text(source: Path | BinaryIO | TextIO, name: str) -> str:
    try:
        content = source.read_bytes() if isinstance(source, Path) else source.read()
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise InputError(f"{name}: the plan cannot be read ({reason}); check the file") from err
    # A plan written by other tools may hold a file name's raw bytes, or start with a BOM.
    text = content if isinstance(content, str) else content.decode("utf-8", "surrogateescape")
    return text.removeprefix("\ufeff")


def _parsed(text: str, name: str) -> Plan:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as err:
        raise InputError(
            f"{name}: line {err.lineno}, column {err.colno}: {err.msg}; a plan is one JSON object, "
            "as `mefuse group --json` prints it"
        ) from err
    except (RecursionError, ValueError) as err:  # nested too deeply, or a number of many digits
        raise InputError(f"{name}: is no plan; make one with `mefuse group --json`") from err
    plan = _Object(content, name, "the plan", keys=(_VERSION_KEY, "brackets", "left_out"))
    version = plan.needed(_VERSION_KEY)
    if version != VERSION or isinstance(version, bool):
        raise plan.error(f"{_VERSION_KEY} is {version!r}, this mefuse reads version {VERSION}")
    return Plan(
        tuple(
            _bracket(item) for item in plan.objects("brackets", ("frames", "reference", "reason"))
        ),
        tuple(
            LeftOut(item.path("path"), item.text("reason"))
            for item in plan.objects("left_out", ("path", "reason"), optional=True)
        ),
    )


def _bracket(item: _Object) -> PlannedBracket:
    frames = item.paths("frames")
    if not frames:
        raise item.error("has no frames; name them or take the bracket out")
    twice = next((path for i, path in enumerate(frames) if path in frames[:i]), None)
    if twice is not None:
        raise item.error(f"names {twice} twice; a bracket has each frame once")
    reference = item.path("reference") if item.get("reference") is not None else None
    if reference is not None and reference not in frames:
        raise item.error(f"its reference {reference} is not one of its frames")
    return PlannedBracket(frames, reference, item.text("reason"))


class _Object:
    """A JSON object of a plan: gives its values by key and tells where a wrong one stands."""

    def __init__(self, content: Any, name: str, place: str, *, keys: tuple[str, ...]) -> None:
        """Refuses what is no object, and keys that are not known."""
        self._name, self._place = name, place
        if not isinstance(content, dict):
            raise self.error("is not a JSON object in braces")
        self._content: dict[str, Any] = content
        for key in content:
            if key not in keys and not key.startswith(_OWN_KEY_PREFIX):
                raise self.error(
                    f"has an unknown key {key!r}; known are {', '.join(keys)}, "
                    f"and a key of your own starts with {_OWN_KEY_PREFIX}"
                )

    def error(self, message: str) -> InputError:
        """An error about this object."""
        return InputError(f"{self._name}: {self._place}: {message}")

    def get(self, key: str) -> Any:
        """A value, None where it is missing."""
        return self._content.get(key)

    def needed(self, key: str) -> Any:
        """A value that has to be there."""
        if key not in self._content:
            raise self.error(f"the key {key!r} is missing; see `mefuse group --json`")
        return self._content[key]

    def text(self, key: str) -> str:
        """A text, empty where it is missing."""
        value = self._content.get(key, "")
        if not isinstance(value, str):
            raise self.error(f"{key} is not a text in quotes")
        return value

    def path(self, key: str) -> Path:
        """A path that has to be there."""
        return self._path(self.needed(key), key)

    def paths(self, key: str) -> tuple[Path, ...]:
        """A list of paths that has to be there."""
        return tuple(self._path(value, f"{key}[{i}]") for i, value in enumerate(self._list(key)))

    def objects(self, key: str, keys: tuple[str, ...], *, optional: bool = False) -> list[_Object]:
        """A list of objects with the keys `keys`."""
        if optional and key not in self._content:
            return []
        return [
            _Object(value, self._name, f"{key}[{i}]", keys=keys)
            for i, value in enumerate(self._list(key))
        ]

    def _list(self, key: str) -> list[Any]:
        value = self.needed(key)
        if not isinstance(value, list):
            raise self.error(f"{key} is not a list in brackets")
        return value

    def _path(self, value: Any, place: str) -> Path:
        if not isinstance(value, str) or not value or "\0" in value or not _is_name(value):
            raise self.error(f"{place} is not a path in quotes")
        return Path(value)


def _is_name(text: str) -> bool:
    """Whether a text can be a file name; its surrogates have to stand for bytes."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _is_found_here(plan: Plan) -> bool:
    """Whether at least one of the relative frames exists, counted from the current directory."""
    frames = (frame for bracket in plan.brackets for frame in bracket.frames)
    return any(_exists(frame) for frame in frames if not frame.is_absolute())


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long a name, or a folder that may not be entered
        return False


def _moved(plan: Plan, folder: Path) -> Plan:
    """The plan with its relative paths counted from a folder; absolute ones stay."""
    return Plan(
        tuple(
            replace(
                bracket,
                frames=tuple(folder / frame for frame in bracket.frames),
                reference=None if bracket.reference is None else folder / bracket.reference,
            )
            for bracket in plan.brackets
        ),
        tuple(replace(left, path=folder / left.path) for left in plan.left_out),
    )
