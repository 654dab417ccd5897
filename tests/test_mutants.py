"""The mutants fit the sources: each breaks one place, and names tests that are there."""

from __future__ import annotations

import pytest

from mefuse.bench.mutants import _ROOT, MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.broken.split(":")[0] for mutant in MUTANTS])
def test_a_mutant_breaks_one_place(mutant: Mutant) -> None:
    assert (_ROOT / "src" / "mefuse" / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old
    assert (_ROOT / mutant.tests[0]).is_file()
