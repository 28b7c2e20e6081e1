"""Giving a download up once it has been slow for long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from .. import _native

if TYPE_CHECKING:
    from ..progress_tracker import ProgressReportMetadata

LOW_TRANSFER_RATE_THRESHOLD: float = _native.LowTransferRateDetector.THRESHOLD_BYTES_PER_SECOND
"""Bytes a second below which a report is low."""

LOW_TRANSFER_COUNT_THRESHOLD: int = _native.LowTransferRateDetector.MAXIMUM_REPORTS
"""Low reports in a row that end a download. A report comes at least once a second: this is a minute."""


class LowTransferRateDetector:
    """A progress callback that asks to cancel after a series of low transfer rates, as the worker agent does.

    A finished file begins a new series: small files are slow by their number, not by their bytes. This package's
    reports also count bytes and files that needed nothing, and any of those begins a new series, too, as does a
    byte that was read of a file that is there already, and a sign of life of work on this machine (looking,
    copying, setting permissions): what ends a download is then a series of reports between which nothing came at
    all and nothing but the network was waited for. A body that comes too slowly, the engine asks for again by
    itself. Reports of the reference don't count bytes: for them the rate decides, as it does for the agent.

        download_files_from_manifests(…, on_downloading_files=LowTransferRateDetector())

    Args:
        threshold: Bytes a second below which a report is low.
        maximum_reports: Low reports in a row that end the download.
    """

    def __init__(
        self,
        threshold: float = LOW_TRANSFER_RATE_THRESHOLD,
        maximum_reports: int = LOW_TRANSFER_COUNT_THRESHOLD,
    ) -> None:
        self._native = _native.LowTransferRateDetector(threshold, maximum_reports)

    def __call__(self, report: ProgressReportMetadata) -> bool:
        """Takes in a report; returns whether the download should go on."""
        files: int = report.processedFiles + (getattr(report, "skippedFiles", None) or 0)
        size_bytes: Optional[int] = getattr(report, "processedBytes", None)
        if size_bytes is not None:
            size_bytes += getattr(report, "checkedBytes", None) or 0
            size_bytes += getattr(report, "beats", None) or 0
        return self._native.observe(report.transferRate, files, size_bytes)

    @property
    def low_reports(self) -> int:
        """Low reports in the series so far."""
        return self._native.low_reports

    @property
    def failure_message(self) -> str:
        """Why the download was given up, in the agent's words."""
        return self._native.failure_message
