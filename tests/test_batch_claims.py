"""Several runs in one folder: each bracket has one of them, and none outlives its process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batch_helpers import record_of
from mefuse.batch.claims import CLAIMS, Claims, read_journal
from mefuse.errors import WriteError

OTHER = """
import sys
from pathlib import Path
from mefuse.batch.claims import Claims
claims = Claims(Path(sys.argv[1]))
for name in sys.argv[2:]:
    print(claims.take(name), flush=True)
sys.stdin.readline()
claims.close()
"""


@contextmanager
def another_run(folder: Path, *names: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has tried to claim these names."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(folder), *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def answers(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def test_a_bracket_is_claimed_by_one_run_until_that_dies(tmp_path: Path) -> None:
    with another_run(tmp_path, "a.png") as other:
        assert answers(other, 1) == ["True"]
        mine = Claims(tmp_path)
        assert not mine.take("a.png")
        assert mine.take("b.png")
        other.kill()
        other.wait()
        assert mine.take("a.png")
    mine.give_back("b.png")
    with another_run(tmp_path, "a.png", "b.png") as third:
        assert answers(third, 2) == ["False", "True"]
    mine.close()


def test_the_last_run_that_leaves_takes_the_file_with_it(tmp_path: Path) -> None:
    with another_run(tmp_path, "a.png") as other:
        assert answers(other, 1) == ["True"]
        Claims(tmp_path).close()
        assert (tmp_path / CLAIMS).exists()
        other.communicate("\n", timeout=30)
        assert not (tmp_path / CLAIMS).exists()


def test_the_journal_outlives_its_run(tmp_path: Path) -> None:
    with another_run(tmp_path, "other.png") as other:
        assert answers(other, 1) == ["True"]
        died = Claims(tmp_path)
        died.note(record_of("a.png", sha256="1"))
        died.note(record_of("a.png", sha256="2"))
        assert read_journal(tmp_path)["a.png"].picture.sha256 == "2"
        died.close()
        next_run = Claims(tmp_path)
        found = next_run.noted("a.png")
        assert found is not None
        assert found.picture.sha256 == "2"
        assert next_run.noted("b.png") is None
        next_run.close()
    assert read_journal(tmp_path / "absent") == {}


def test_without_locks_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.lockf", no_locks)
    claims = Claims(tmp_path)
    assert not claims.works
    assert claims.take("a.png")
    claims.give_back("a.png")
    claims.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot be written to"):
        Claims(tmp_path / "absent")
