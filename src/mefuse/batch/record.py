"""What the manifest tells of one bracket; docs/manifest.md describes every field."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from mefuse.batch.jobs import Job
from mefuse.batch.manifest import FAILED, FUSED, VERSION, Record
from mefuse.batch.resume import Conditions
from mefuse.batch.work import Failure, Made


def fused_record(job: Job, made: Made, conditions: Conditions) -> Record:
    """The record of a bracket that was fused."""
    report = made.report.to_json()
    del report["output"]  # its place in the folder is told below
    inputs = [identity.to_json() for identity in made.inputs]
    picture = {"bytes": made.size_bytes, "mtime_ns": made.mtime_ns, "sha256": made.sha256}
    return Record(
        {
            **_head(job, FUSED, conditions, made.started_ns, made.host),
            "inputs": inputs,
            "picture": picture,
            "error": None,
            **report,
        }
    )


def failed_record(job: Job, failure: Failure, conditions: Conditions) -> Record:
    """The record of a bracket that failed."""
    return Record(
        {
            **_head(job, FAILED, conditions, failure.started_ns, failure.host),
            "inputs": [{"path": str(frame)} for frame in job.frames],
            "picture": None,
            "error": {"kind": failure.kind, "message": failure.message},
        }
    )


def _head(
    job: Job, outcome: str, conditions: Conditions, started_ns: int, host: str
) -> dict[str, Any]:
    """What every record has."""
    asked = None if job.reference is None else job.frames[job.reference].name
    return {
        "mefuse_manifest": VERSION,
        "outcome": outcome,
        "output": job.name,
        "index": job.index,
        "reason": job.reason,
        "started": _utc(started_ns),
        "finished": _utc(time.time_ns()),
        "started_ns": started_ns,
        "host": host,
        "version": conditions.version,
        "settings": conditions.settings,
        "weights": conditions.weights,
        "reference_asked": asked,
    }


def _utc(time_ns: int) -> str:
    """A moment as ISO 8601 in UTC."""
    moment = datetime.fromtimestamp(time_ns / 1e9, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
