"""Whether tests notice when something that matters is broken: `python -m mefuse.bench.mutants`.

Each mutant is one change in a copy of the sources; the tests named beside it have to fail with it
and pass without it. Run it from a checkout. It prints a line of JSON per mutant, and exits 1 where
one lived.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]
_TESTS_FAILED = 1  # of pytest's exit codes


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is broken, where, how, and the tests that should see it, as pytest takes them."""

    broken: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "a seam: the finest bands are blended without the overlap of slices",
        "stream.py",
        "grown = rect.grown(OVERLAP_PX, bracket.padded)\n                cut",
        "grown = rect.grown(0, bracket.padded)\n                cut",
        ("tests/test_stream.py",),
    ),
    Mutant(
        "frames swapped: brightest first, exposures as they were",
        "bracket.py",
        "frames=tuple(s.frame for s in seen)",
        "frames=tuple(s.frame for s in seen[::-1])",
        ("tests/test_bracket.py",),
    ),
    Mutant(
        "the profile dropped: pixels in the reference's space, no word of it in the file",
        "deliver.py",
        "icc=icc,",
        "icc=None,",
        ("tests/test_cli_files.py", "-k", "profile"),
    ),
    Mutant(
        "a file that lost its end gets its name",
        "write/verify.py",
        "if stored != end or told != size or not _is_whole(file, format, end):",
        "if told != size:",
        ("tests/test_verify.py",),
    ),
    Mutant(
        "numbers that overflowed are written",
        "stream.py",
        "if not self._backend.is_finite(coarse, maps):",
        "if False:",
        ("tests/test_overflow.py",),
    ),
    Mutant(
        "a frame that changed while it was read is fused",
        "unchanged.py",
        "if (now.bytes, now.mtime_ns) != (known.bytes, known.mtime_ns):",
        "if False:",
        ("tests/test_unchanged.py", "-k", "stamps or memory"),
    ),
    Mutant(
        "a JPEG that is damaged inside is read without a word",
        "decode.py",
        "() if found.is_sound else (damage,)",
        "()",
        ("tests/test_jpeg.py", "-k", "lost"),
    ),
    Mutant(
        "an output is replaced without being asked",
        "landing.py",
        "if os.path.lexists(path) and not overwrite:",
        "if False:",
        ("tests/test_write.py", "-k", "existing or targets"),
    ),
)


def lives(mutant: Mutant | None, tests: tuple[str, ...]) -> bool:
    """Whether tests pass with a mutant, or without any.

    Raises:
        RuntimeError: the sources have changed, so that the mutant does not fit them any more, or
            the tests could not be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(_ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        (Path(folder) / "weights").symlink_to(_ROOT / "weights")
        if mutant is not None:
            _break(source / "mefuse" / mutant.file, mutant)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
            cwd=_ROOT, env=_unmeasured() | {"PYTHONPATH": str(source)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode not in (0, _TESTS_FAILED):
        raise RuntimeError(f"{' '.join(tests)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def _unmeasured() -> dict[str, str]:
    """The environment without what has coverage measured: not of a copy."""
    return {name: value for name, value in os.environ.items() if "COVERAGE" not in name}


def _break(file: Path, mutant: Mutant) -> None:
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise RuntimeError(f"{mutant.file}: {mutant.old!r} is not there once; mend the mutant")
    file.write_text(text.replace(mutant.old, mutant.new))


def main() -> None:
    """Tries every mutant."""
    alive = 0
    for mutant in MUTANTS:
        passes, is_alive = lives(None, mutant.tests), lives(mutant, mutant.tests)
        alive += is_alive or not passes
        found = {"broken": mutant.broken, "passes_unbroken": passes, "lives": is_alive}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
    sys.exit(1 if alive else 0)


if __name__ == "__main__":
    main()
