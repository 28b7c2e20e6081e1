"""How far an incremental download of a queue's outputs has come, as a JSON file.

A job is remembered while it is active, and as a stub afterwards, to see that it was queued again. A session
is remembered while it runs, with the index of the last session action whose outputs were fetched: indexes are
sequential.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Optional

from .._files import write_text

EVENTUAL_CONSISTENCY_MAX_SECONDS = 120
"""How much queries of jobs overlap: SearchJobs shows changes late, at most by this under heavy load."""


def _datetimes_to_str(obj: Any) -> Any:
    """The same value with ISO texts for times, at any depth."""
    if isinstance(obj, datetime):
        return obj.isoformat()
    if isinstance(obj, list):
        return [_datetimes_to_str(item) for item in obj]
    if isinstance(obj, dict):
        return {key: _datetimes_to_str(value) for key, value in obj.items()}
    return obj


def _require(data: object, fields: Sequence[str]) -> None:
    if not isinstance(data, dict):
        raise ValueError("Input must be a dict.")
    missing = [field for field in fields if field not in data]
    if missing:
        raise ValueError(f"Input is missing required fields: {missing}")


class IncrementalDownloadJob:
    """What is remembered of a job.

    Args:
        job: The job as SearchJobs gives it; times become ISO texts.
        session_ended_timestamp: The latest end of a session whose outputs were fetched; None for a job
            without attachments.
        session_completed_indexes: By session, the index of the last session action whose outputs were
            fetched.
    """

    _required_dict_fields = ("job",)

    def __init__(
        self,
        job: dict[str, Any],
        session_ended_timestamp: Optional[datetime],
        session_completed_indexes: Optional[dict[str, int]],
    ) -> None:
        self.job: dict[str, Any] = _datetimes_to_str(job)
        self.session_ended_timestamp = session_ended_timestamp
        self.session_completed_indexes: dict[str, int] = session_completed_indexes or {}

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self.job["jobId"])

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> IncrementalDownloadJob:
        """From the JSON form.

        Raises:
            ValueError: It is no object, a field is missing, or the time is none.
        """
        _require(data, cls._required_dict_fields)
        ended = data.get("sessionEndedTimestamp")
        return cls(
            job=data["job"],
            session_ended_timestamp=None if ended is None else datetime.fromisoformat(ended),
            session_completed_indexes=data.get("sessionCompletedIndexes", {}),
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; what is not known is left out."""
        result: dict[str, Any] = {"job": self.job}
        if self.session_ended_timestamp is not None:
            result["sessionEndedTimestamp"] = self.session_ended_timestamp.isoformat()
        if self.session_completed_indexes:
            result["sessionCompletedIndexes"] = self.session_completed_indexes
        return result


class IncrementalDownloadState:
    """What is remembered of a queue.

    Args:
        local_storage_profile_id: This machine's storage profile, or None if profiles are ignored.
        downloads_started_timestamp: When the first download began.
        downloads_completed_timestamp: Up to when all outputs were fetched; by default the start.
        jobs: The jobs that became active in between and are not done.
        eventual_consistency_max_seconds: How much queries of jobs overlap.
    """

    _required_dict_fields = (
        "downloadsStartedTimestamp",
        "downloadsCompletedTimestamp",
        "eventualConsistencyMaxSeconds",
        "localStorageProfileId",
        "jobs",
    )

    eventual_consistency_max_seconds: int = EVENTUAL_CONSISTENCY_MAX_SECONDS

    def __init__(
        self,
        local_storage_profile_id: Optional[str],
        downloads_started_timestamp: datetime,
        downloads_completed_timestamp: Optional[datetime] = None,
        jobs: Optional[list[IncrementalDownloadJob]] = None,
        eventual_consistency_max_seconds: Optional[int] = None,
    ) -> None:
        self.local_storage_profile_id = local_storage_profile_id
        self.downloads_started_timestamp = downloads_started_timestamp
        self.downloads_completed_timestamp = (
            downloads_started_timestamp
            if downloads_completed_timestamp is None
            else downloads_completed_timestamp
        )
        if eventual_consistency_max_seconds:
            self.eventual_consistency_max_seconds = eventual_consistency_max_seconds
        self.jobs: list[IncrementalDownloadJob] = jobs or []

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> IncrementalDownloadState:
        """From the JSON form.

        Raises:
            ValueError: It is no object, a field is missing, or a time or a number is none.
        """
        _require(data, cls._required_dict_fields)
        return cls(
            local_storage_profile_id=data["localStorageProfileId"],
            downloads_started_timestamp=datetime.fromisoformat(data["downloadsStartedTimestamp"]),
            downloads_completed_timestamp=datetime.fromisoformat(data["downloadsCompletedTimestamp"]),
            eventual_consistency_max_seconds=int(data["eventualConsistencyMaxSeconds"]),
            jobs=[IncrementalDownloadJob.from_dict(job) for job in data["jobs"]],
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "localStorageProfileId": self.local_storage_profile_id,
            "downloadsStartedTimestamp": self.downloads_started_timestamp.isoformat(),
            "eventualConsistencyMaxSeconds": self.eventual_consistency_max_seconds,
            "jobs": [job.to_dict() for job in self.jobs],
            "downloadsCompletedTimestamp": self.downloads_completed_timestamp.isoformat(),
        }

    @classmethod
    def from_file(cls, file_path: str) -> IncrementalDownloadState:
        """Reads a state file.

        Raises:
            OSError: It can't be read.
            ValueError: It is no state file.
        """
        return cls.from_dict(json.loads(Path(file_path).read_text(encoding="utf-8")))

    def save_file(self, file_path: str) -> None:
        """Writes a state file: wholly, or not at all. Its directory is made.

        Raises:
            OSError: It can't be written; the file that was there stays, and nothing else is left.
        """
        target = Path(file_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=2)
        write_text(target, text, private=True)
