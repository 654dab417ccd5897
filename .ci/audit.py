"""Asks the databases of known holes about every locked dependency: `make audit`.

Exits 0 where none is known, 1 where one is, and 2 where no database could be asked. It asks PyPI,
and OSV where PyPI does not answer, through pip-audit; torch, which the lock leaves to the machine,
is asked about as it is installed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

_LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
_SERVICES = ("pypi", "osv")
_PINNED = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)
_NO_HOLES, _HOLES, _NOT_ASKED = 0, 1, 2


def pinned() -> dict[str, str]:
    """Names and versions of what is locked, and of torch where it is installed."""
    found = dict(_PINNED.findall(_LOCK.read_text()))
    try:
        found["torch"] = metadata.version("torch").partition("+")[0]
    except metadata.PackageNotFoundError:
        sys.stderr.write("torch is not installed here, and not asked about\n")
    return found


def asked(service: str, requirements: Path) -> list[dict[str, Any]] | None:
    """What a database says of each dependency that it knows; None where it does not answer."""
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--disable-pip",
         "--no-deps", "--format", "json", "--progress-spinner", "off",
         "--requirement", str(requirements)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        told: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        return None
    return [one for one in told if "vulns" in one] or None


def main() -> int:
    """Asks, and tells on standard output."""
    wanted = pinned()
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("".join(f"{name}=={wanted[name]}\n" for name in sorted(wanted)))
        for service in _SERVICES:
            told = asked(service, requirements)
            if told is not None:
                break
        else:
            print(
                f"None of the databases ({', '.join(_SERVICES)}) could be asked about the "
                f"{len(wanted)} dependencies: nothing is known. Check the network (a mirror of "
                "PyPI has no database), and run make audit again."
            )
            return _NOT_ASKED
    holes = [(one, hole) for one in told for hole in one["vulns"]]
    for one, hole in holes:
        fixed = ", ".join(hole["fix_versions"]) or "no version yet"
        print(f"{one['name']} {one['version']}: {hole['id']}, mended by {fixed}")
    print(f"{service}: {len(told)} of {len(wanted)} dependencies are known, {len(holes)} holes.")
    return _HOLES if holes else _NO_HOLES


if __name__ == "__main__":
    sys.exit(main())
