"""The real command in odd surroundings: names, locales, terminals, variables of the environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batch_helpers import write_bracket
from mefuse.fuse import fuse_files
from mefuse.settings import FuseSettings

NAME = "-\u00e9\n\x1b[31m{0}%s$(id)\U0001f600.jpg"  # a dash first, a newline, an escape
SURROUNDINGS: dict[str, dict[str, str | None]] = {
    "a locale of ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "streams of ASCII, a plain terminal": {"PYTHONIOENCODING": "ascii", "TERM": "dumb"},
    "no home, no folder for temporary files": {"HOME": None, "TMPDIR": "/nonexistent"},
    "nonsense": {
        "MEFUSE_MODEL": "nonsense", "MEFUSE_WEIGHTS": "/nonexistent", "COLUMNS": "-7",
        "OMP_NUM_THREADS": "many", "FORCE_COLOR": "1", "MALLOC_PERTURB_": "77",
    },
}  # fmt: skip


@pytest.fixture
def card(tmp_path: Path) -> list[str]:
    frames = write_bracket(tmp_path, 1)
    odd = tmp_path / NAME
    frames[0].rename(odd)
    shutil.copy(odd, tmp_path / "same.jpg")
    return [odd.name, *[path.name for path in frames[1:]]]


@pytest.mark.parametrize("case", SURROUNDINGS, ids=list(SURROUNDINGS))
def test_it_does_the_same_everywhere_and_says_it_in_one_line(
    case: str, card: list[str], tmp_path: Path
) -> None:
    changed = os.environ | SURROUNDINGS[case]
    here = {name: value for name, value in changed.items() if value is not None}
    fuse = [sys.executable, "-m", "mefuse", "fuse", "-o", "a.tif", "--strip", "all", "--"]

    def run(*frames: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*fuse, *frames], cwd=tmp_path, env=here, capture_output=True, timeout=120, check=False
        )

    done = run(*card)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    fused = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").unlink()
    settings = FuseSettings(strip="all")
    fuse_files([tmp_path / name for name in card], tmp_path / "b.tif", settings=settings)
    assert fused == (tmp_path / "b.tif").read_bytes()
    (tmp_path / NAME).write_bytes(b"no picture")
    done = run(*card)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"Error: -")
    assert done.stderr.rstrip().endswith(b"save it as JPEG, PNG or TIFF")
    assert b"\x1b" not in done.stderr
    assert not (tmp_path / "a.tif").exists()


def test_no_variable_of_the_environment_is_read() -> None:
    import mefuse

    package = Path(mefuse.__file__).parent
    read = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "environ" in path.read_text() or "getenv" in path.read_text()
    ]
    assert read == ["bench/mutants.py"]  # which runs tests
