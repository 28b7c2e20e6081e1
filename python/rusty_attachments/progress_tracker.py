"""Counters of a transfer, reports of its progress, and the statistics at its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum
from logging import Logger, LoggerAdapter
from threading import Lock
from typing import TYPE_CHECKING, Any, Optional, Union

from ._path_summarization import human_readable_file_size
from ._utils import _normalize_windows_path

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

CALLBACK_INTERVAL = 1
"""Seconds between reports."""
MAX_FILES_IN_CHUNK = 50
"""Files between reports, where there are at least as many in all."""
LOG_INTERVAL = 300
"""Seconds between log lines."""
LOG_PERCENTAGE_THRESHOLD = 10
"""Per cent between log lines."""

if TYPE_CHECKING:
    AnyLogger: TypeAlias = Union[Logger, LoggerAdapter[Any]]


@dataclass
class SummaryStatistics:
    """What an operation has done.

    Attributes:
        total_time: Seconds.
        total_files: Files that the operation was asked for.
        total_bytes: Their size.
        processed_files: Files that were hashed or moved.
        processed_bytes: Bytes that were hashed or moved.
        skipped_files: Files that needed nothing: their hash was cached, or their contents were there already.
        skipped_bytes: Their size.
        transfer_rate: Processed bytes a second.
    """

    total_time: float = 0.0
    total_files: int = 0
    total_bytes: int = 0
    processed_files: int = 0
    processed_bytes: int = 0
    skipped_files: int = 0
    skipped_bytes: int = 0
    transfer_rate: float = 0.0

    def aggregate(self, other: SummaryStatistics) -> SummaryStatistics:
        """Adds another operation's counts and time to this one's; returns itself.

        Raises:
            TypeError: The other is not of this class or one derived from it. A class of the same name counts,
                so that the reference's statistics can be added.
        """
        if not any(known.__name__ == type(self).__name__ for known in type(other).__mro__):
            raise TypeError("Only instances of the same type can be aggregated.")
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.transfer_rate = _rate(self.processed_bytes, self.total_time)
        return self

    def __str__(self) -> str:
        plural = "" if self.processed_files == 1 else "s"
        return (
            f"Processed {self.processed_files} file{plural}"
            f" totaling {human_readable_file_size(self.processed_bytes)}.\n"
            f"Skipped re-processing {self.skipped_files} files"
            f" totaling {human_readable_file_size(self.skipped_bytes)}.\n"
            f"Total processing time of {round(self.total_time, ndigits=5)} seconds"
            f" at {human_readable_file_size(int(self.transfer_rate))}/s.\n"
        )


_COUNTS = (
    "total_time",
    "total_files",
    "total_bytes",
    "processed_files",
    "processed_bytes",
    "skipped_files",
    "skipped_bytes",
)


def _rate(processed_bytes: int, total_time: float) -> float:
    return processed_bytes / total_time if total_time else 0.0


@dataclass
class DownloadSummaryStatistics(SummaryStatistics):
    """The statistics of a download, with what was written where.

    Attributes:
        file_counts_by_root_directory: Written files by root directory.
        downloaded_files: Written files, sorted.
    """

    file_counts_by_root_directory: dict[str, int] = field(default_factory=dict)
    downloaded_files: list[str] = field(default_factory=list)

    def aggregate(self, other: SummaryStatistics) -> SummaryStatistics:
        """Adds another download's counts and time; the list of files stays as it is, as in the reference.

        Raises:
            TypeError: The other is no statistics of a download.
        """
        super().aggregate(other)
        counts = getattr(other, "file_counts_by_root_directory", None)
        if counts is None:
            raise TypeError(f"{type(other).__name__} does not have a file_counts_by_root_directory field.")
        # Counter's sum drops roots without files.
        self.file_counts_by_root_directory = dict(
            Counter(self.file_counts_by_root_directory) + Counter(counts)
        )
        return self

    def convert_to_summary_statistics(self) -> SummaryStatistics:
        """The same counts without the files."""
        return SummaryStatistics(
            **{name: getattr(self, name) for name in _COUNTS}, transfer_rate=self.transfer_rate
        )


class ProgressStatus(Enum):
    """What is going on, with the word for it in messages."""

    NONE = ("NONE", "")
    PREPARING_IN_PROGRESS = ("PREPARING_IN_PROGRESS", "Processed")
    UPLOAD_IN_PROGRESS = ("UPLOAD_IN_PROGRESS", "Uploaded")
    DOWNLOAD_IN_PROGRESS = ("DOWNLOAD_IN_PROGRESS", "Downloaded")
    SNAPSHOT_IN_PROGRESS = ("SNAPSHOT_IN_PROGRESS", "Snapshotted")

    def __init__(self, title: str, verb_in_message: str) -> None:
        self.title = title
        self.verb_in_message = verb_in_message


@dataclass
class ProgressReportMetadata:
    """One report.

    Attributes:
        status: What is going on.
        progress: Per cent of all bytes, with one decimal; 0 where there are none.
        transferRate: Bytes a second since the report before.
        progressMessage: The same for people.
        processedFiles: Files that were hashed or moved.

    A tracker of this package also sets four counts, which are no fields: reports of other trackers have `None`.

    Attributes:
        processedBytes: Bytes that were hashed or moved.
        skippedFiles: Files that needed nothing.
        checkedBytes: Bytes of files that were there already, read to see whether they are right.
        beats: Signs of life of work on this machine that counts for nothing else, such as looking at files.
    """

    status: ProgressStatus
    progress: float
    transferRate: float
    progressMessage: str
    processedFiles: int

    # Without annotations, so that they are no fields: fields, equality and `asdict` are the reference's.
    processedBytes = None  # type: Optional[int]
    skippedFiles = None  # type: Optional[int]
    checkedBytes = None  # type: Optional[int]
    beats = None  # type: Optional[int]


def _always_go_on(_report: ProgressReportMetadata) -> bool:
    return True


@dataclass(init=False, repr=False, eq=False)
class ProgressTracker:
    """Counts files and bytes, and tells a callback and a logger about them now and then.

    A report is due after `callback_interval` seconds, after a chunk of files (`max_files_in_chunk` where
    there are at least as many, else one), and at the end. A callback that returns something false asks to
    cancel: `continue_reporting` is false from then on. Reports never overlap.

    Args:
        status: What is going on.
        total_files: Files to be done.
        total_bytes: Bytes to be done.
        on_progress_callback: Gets each report; returns whether to go on.
        callback_interval: Seconds between reports.
        max_files_in_chunk: Files between reports.
        logger: Gets the message at INFO, at the first of the two limits below, and at the end.
        log_interval: Seconds between log lines.
        log_percentage_threshold: Per cent of all bytes between log lines.
    """

    def __init__(
        self,
        status: ProgressStatus,
        total_files: int,
        total_bytes: int,
        on_progress_callback: Optional[Callable[[ProgressReportMetadata], bool]] = None,
        callback_interval: int = CALLBACK_INTERVAL,
        max_files_in_chunk: int = MAX_FILES_IN_CHUNK,
        logger: Optional[AnyLogger] = None,
        log_interval: int = LOG_INTERVAL,
        log_percentage_threshold: int = LOG_PERCENTAGE_THRESHOLD,
    ) -> None:
        self.status = status
        self.on_progress_callback = on_progress_callback or _always_go_on
        self.continue_reporting = True

        self.reporting_interval = callback_interval
        self.reporting_files_per_chunk = 1
        self.max_files_in_chunk = max_files_in_chunk
        self.completed_files_in_chunk = 0
        self.last_report_time: Optional[float] = None
        self.last_report_processed_bytes = 0

        self.logger = logger
        self.log_interval = log_interval
        self.log_percentage_threshold = log_percentage_threshold
        self.last_logged_time: Optional[float] = None
        self.last_logged_completed_bytes = 0

        self.set_total_files(total_files, total_bytes)
        self.processed_files = 0
        self.processed_bytes = 0
        self.skipped_files = 0
        self.skipped_bytes = 0
        self.checked_bytes = 0
        self.beats = 0
        self.total_time = 0.0

        self._lock = Lock()
        # An attribute of the instance, so that it can be replaced and handed on by itself.
        self.track_progress_callback = self._track_progress

    def set_total_files(self, total_files: int, total_bytes: int) -> None:
        """Sets what there is to be done."""
        self.total_files = total_files
        self.total_bytes = total_bytes
        if total_files >= self.max_files_in_chunk:
            self.reporting_files_per_chunk = self.max_files_in_chunk

    def _track_progress(self, bytes_amount: int, current_file_done: Optional[bool] = False) -> bool:
        """Counts bytes of a file, and the file at its end; returns whether to go on."""
        with self._lock:
            self._initialize_timestamps_if_none()
            self.processed_bytes += bytes_amount
            if current_file_done:
                self.processed_files += 1
                self.completed_files_in_chunk += 1
            self._log_progress_message()
            return self._report_progress()

    def _initialize_timestamps_if_none(self) -> None:
        """The first rate is measured from the first progress, not from the construction."""
        now = time.perf_counter()
        if self.last_report_time is None:
            self.last_report_time = now
        if self.last_logged_time is None:
            self.last_logged_time = now

    def increase_processed(self, num_files: int = 1, file_bytes: int = 0) -> None:
        """Counts files that are done, without a report."""
        with self._lock:
            self._initialize_timestamps_if_none()
            self.processed_files += num_files
            self.completed_files_in_chunk += num_files
            self.processed_bytes += file_bytes

    def increase_skipped(self, num_files: int = 1, file_bytes: int = 0) -> None:
        """Counts files that needed nothing, without a report."""
        with self._lock:
            self.skipped_files += num_files
            self.completed_files_in_chunk += num_files
            self.skipped_bytes += file_bytes

    def increase_checked(self, file_bytes: int) -> None:
        """Counts bytes that were read to see whether a file is right; they are part of no total."""
        with self._lock:
            self.checked_bytes += file_bytes

    def increase_beats(self, number: int) -> None:
        """Counts signs of life of work on this machine; they are no progress."""
        with self._lock:
            self.beats += number

    @property
    def _is_complete(self) -> bool:
        return self.processed_files + self.skipped_files == self.total_files

    def _report_progress(self) -> bool:
        """Calls the callback if a report is due; the lock is held."""
        if not self.continue_reporting:
            return False
        now = time.perf_counter()
        is_due = (
            self.last_report_time is None
            or now - self.last_report_time >= self.reporting_interval
            or self.completed_files_in_chunk >= self.reporting_files_per_chunk
            or self._is_complete
        )
        if is_due:
            self.continue_reporting = self.on_progress_callback(self._get_progress_report_metadata())
            self.last_report_processed_bytes = self.processed_bytes
            self.last_report_time = now
            self.completed_files_in_chunk = 0
        return self.continue_reporting

    def report_progress(self) -> bool:
        """Calls the callback if a report is due; returns whether to go on."""
        with self._lock:
            return self._report_progress()

    def _get_progress_report_metadata(self) -> ProgressReportMetadata:
        completed = self.processed_bytes + self.skipped_bytes
        percentage = completed / self.total_bytes * 100 if self.total_bytes > 0 else 0
        seconds = round(time.perf_counter() - self.last_report_time if self.last_report_time else 0, 2)
        rate = (self.processed_bytes - self.last_report_processed_bytes) / seconds if seconds > 0 else 0
        # By name: the status may be the reference's.
        is_hashing = self.status.name == ProgressStatus.PREPARING_IN_PROGRESS.name
        rate_name = "Hashing speed" if is_hashing else "Transfer rate"
        message = (
            f"{self.status.verb_in_message}"
            f" {human_readable_file_size(completed)} / {human_readable_file_size(self.total_bytes)}"
            f" of {self.total_files} file{'' if self.total_files == 1 else 's'}"
            f" ({rate_name}: {human_readable_file_size(int(rate))}/s)"
        )
        report = ProgressReportMetadata(
            status=self.status,
            progress=round(percentage, 1),
            transferRate=rate,
            progressMessage=message,
            processedFiles=self.processed_files,
        )
        report.processedBytes = self.processed_bytes
        report.skippedFiles = self.skipped_files
        report.checkedBytes = self.checked_bytes
        report.beats = self.beats
        return report

    def get_summary_statistics(self) -> SummaryStatistics:
        """What was done so far; `total_time` is what the caller set."""
        return SummaryStatistics(
            **{name: getattr(self, name) for name in _COUNTS},
            transfer_rate=_rate(self.processed_bytes, self.total_time),
        )

    def get_download_summary_statistics(
        self, downloaded_files_paths_by_root: dict[str, list[str]]
    ) -> DownloadSummaryStatistics:
        """What was done so far, with the files that were written.

        Args:
            downloaded_files_paths_by_root: Written files by root directory.
        """
        written = (path for paths in downloaded_files_paths_by_root.values() for path in paths)
        return DownloadSummaryStatistics(
            **asdict(self.get_summary_statistics()),
            file_counts_by_root_directory={
                root: len(paths) for root, paths in downloaded_files_paths_by_root.items()
            },
            # For people: Windows' long-path prefixes come off here.
            downloaded_files=sorted(str(_normalize_windows_path(path)) for path in written),
        )

    def _log_progress_message(self) -> None:
        """Logs the message if a line is due; the lock is held."""
        if self.logger is None:
            return
        now = time.perf_counter()
        completed = self.processed_bytes + self.skipped_bytes
        gained = completed - self.last_logged_completed_bytes
        percentage = gained / self.total_bytes * 100 if self.total_bytes > 0 else 0
        is_due = (
            self.last_logged_time is None
            or now - self.last_logged_time >= self.log_interval
            or percentage >= self.log_percentage_threshold
            or self._is_complete
        )
        if is_due:
            self.logger.info(self._get_progress_report_metadata().progressMessage)
            self.last_logged_completed_bytes = completed
            self.last_logged_time = now
