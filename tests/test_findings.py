"""Every file that did harm once, fused again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mefuse.bench import faults

FINDINGS = sorted(
    path for path in (Path(__file__).parent / "findings").iterdir() if path.suffix != ".md"
)
FUSED = {"lost_sector.jpg", "lost_sector_progressive.jpg"}  # with a warning


@pytest.fixture(scope="module")
def watched() -> Iterator[faults.Watched]:
    """A process of its own: what other tests left in this one's memory is no finding's doing."""
    watched = faults.Watched()
    yield watched
    watched.close()


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda path: path.name)
def test_it_does_no_harm_any_more(finding: Path, tmp_path: Path, watched: faults.Watched) -> None:
    frames = tuple(tmp_path / f"{i}{finding.suffix}" for i in range(2))
    for frame in frames:
        shutil.copy(finding, frame)
    verdict = watched.verdict(faults.Case(finding.name, frames, frames[0]))
    assert not faults.is_harmful(verdict), verdict
    assert verdict.end == ("fused" if finding.name in FUSED else "refused"), verdict


def test_the_command_has_one_sentence_for_each(tmp_path: Path) -> None:
    """And no library says anything beside it."""
    for finding in FINDINGS:
        done = subprocess.run(
            [sys.executable, "-m", "mefuse", "fuse", str(finding), str(finding),
             "-o", str(tmp_path / "out.png"), "--model", "mertens", "--no-align", "--strict"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 1, finding.name
        assert done.stderr.startswith(f"Error: {finding}: "), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    assert list(tmp_path.iterdir()) == []
