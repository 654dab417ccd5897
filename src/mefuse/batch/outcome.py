"""How brackets ended, and the sum of it. Plain records; the exit code is the command line's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from mefuse.batch.jobs import Job
from mefuse.batch.manifest import Record

OutcomeKind = Literal["fused", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One bracket: fused, skipped because it is done, or failed; `message` says why."""

    job: Job
    kind: OutcomeKind
    message: str
    record: Record | None = None  # a Summary keeps none: there may be many thousands
    seconds: float | None = None  # of a bracket that was fused

    def to_json(self) -> dict[str, Any]:
        """The manifest's record, or for a skipped bracket that of the run that fused it."""
        content = dict(self.record.content) if self.record is not None else {}
        return {**content, "output": self.job.name, "outcome": self.kind, "message": self.message}


@dataclass(slots=True)
class Summary:
    """A whole batch; `dropped` brackets were begun and called off, `untried` never begun."""

    outcomes: list[Outcome] = field(default_factory=list)
    dropped: int = 0
    untried: int = 0
    is_interrupted: bool = False
    seconds: float = 0.0
    peak_held_bytes: int | None = None

    def count(self, kind: OutcomeKind) -> int:
        """How many brackets ended this way."""
        return Counter(outcome.kind for outcome in self.outcomes)[kind]
