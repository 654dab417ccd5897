"""Asks the databases of known holes about every locked dependency: `make audit`.

Exits 0 where none is known, 1 where one is, and 2 where no database could be asked; `make` itself
prints that number. It asks PyPI, and OSV where PyPI does not answer, through pip-audit; torch,
which the lock leaves to the machine, is asked about as it is installed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
_SERVICES = ("pypi", "osv")
_PINNED = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)
_LAST_S = 600.0  # for one database to answer
_NO_HOLES, _HOLES, _NOT_ASKED = 0, 1, 2


def pinned(lock: str) -> list[tuple[str, str]]:
    """Names and versions of what is locked, one of which may have several, and of torch here."""
    found = sorted(set(_PINNED.findall(lock)))
    try:
        found.append(("torch", metadata.version("torch").partition("+")[0]))
    except metadata.PackageNotFoundError:
        sys.stderr.write("torch is not installed here, and not asked about\n")
    return found


def in_turns(pins: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """The same in as few lists as have each name once, which is all that pip-audit takes."""
    turns: list[dict[str, str]] = []
    for name, version in pins:
        turn = next((one for one in turns if name not in one), None)
        if turn is None:
            turns.append(turn := {})
        turn[name] = version
    return turns


def dependencies_in(answer: str) -> list[dict[str, Any]] | None:
    """What a database says of each dependency that it knows; None where that is no answer."""
    try:
        told = json.loads(answer)["dependencies"]
        return [one for one in told if "vulns" in one] or None
    except (ValueError, KeyError, TypeError):
        return None


def asked(service: str, pins: Iterable[tuple[str, str]]) -> list[dict[str, Any]] | None:
    """What a database says of all of them; None where it does not answer."""
    found: list[dict[str, Any]] = []
    for turn in in_turns(pins):
        with tempfile.TemporaryDirectory() as folder:
            requirements = Path(folder) / "requirements.txt"
            requirements.write_text("".join(f"{name}=={turn[name]}\n" for name in turn))
            told = dependencies_in(_answer(service, requirements))
        if told is None:
            return None
        found += told
    return found


def _answer(service: str, requirements: Path) -> str:
    try:
        return subprocess.run(
            [sys.executable, "-m", "pip_audit", "--vulnerability-service", service,
             "--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off",
             "--requirement", str(requirements)],
            capture_output=True, text=True, check=False, timeout=_LAST_S,
        ).stdout  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""


def holes_in(told: Iterable[dict[str, Any]]) -> list[str]:
    """A line for each known hole: where, which, and what mends it."""
    return [
        f"{one['name']} {one['version']}: {hole['id']}, mended by "
        f"{', '.join(hole['fix_versions']) or 'no version yet'}"
        for one in told
        for hole in one["vulns"]
    ]


def main() -> int:
    """Asks, and tells on standard output."""
    if find_spec("pip_audit") is None:
        print(
            "pip-audit is not installed, so nothing is known; check the network, and run "
            "make audit again."
        )
        return _NOT_ASKED
    wanted = pinned(_LOCK.read_text())
    answers = ((service, asked(service, wanted)) for service in _SERVICES)
    service, told = next((one for one in answers if one[1] is not None), ("", None))
    if told is None:
        print(
            f"None of the databases ({', '.join(_SERVICES)}) could be asked about the "
            f"{len(wanted)} dependencies: nothing is known. Check the network (a mirror of "
            "PyPI has no database), and run make audit again."
        )
        return _NOT_ASKED
    holes = holes_in(told)
    for line in holes:
        print(line)
    print(f"{service}: {len(told)} of {len(wanted)} dependencies are known, {len(holes)} holes.")
    return _HOLES if holes else _NO_HOLES


if __name__ == "__main__":
    sys.exit(main())
