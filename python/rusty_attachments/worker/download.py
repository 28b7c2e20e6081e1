"""The command `rusty-attachments-download`: fetches a job's inputs to a worker.

It takes the place of the worker agent's `attachment_download.py`: same arguments, same lines, same exit
statuses. Files that are there already with the right contents are kept, so that a retry fetches what is
missing.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Optional

# Absolute, so that the file can be run by its path, as the worker agent runs its scripts.
from rusty_attachments.asset_manifests import BaseAssetManifest
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.asset_manifests.operations import merge_asset_manifests
from rusty_attachments.download import download_files_from_manifests
from rusty_attachments.exceptions import AssetSyncCancelledError
from rusty_attachments.models import FileConflictResolution, JobAttachmentS3Settings
from rusty_attachments.progress_tracker import DownloadSummaryStatistics, ProgressReportMetadata
from rusty_attachments.worker._console import CommandFailed, ProgressLines, fail, parse_arguments, run
from rusty_attachments.worker.low_transfer_rate import LowTransferRateDetector
from rusty_attachments.worker.properties import WorkerManifestProperties, read_worker_properties


def main(arguments: Optional[list[str]] = None) -> int:
    """Runs the command.

    Args:
        arguments: Those of the command line, without the program's name.

    Returns:
        The exit status: 0, or 1 after a failure. Wrong arguments exit with 2.
    """
    given = parse_arguments("Download the inputs of a job", arguments)
    return run(lambda: _download(given.s3_uri, given.worker_properties))


def _download(s3_uri: str, properties_file: str) -> None:
    start = time.perf_counter()
    settings = JobAttachmentS3Settings.from_s3_root_uri(s3_uri)
    manifests = manifests_by_local_root(read_worker_properties(properties_file))
    print("\nStarting download...", flush=True)
    statistics = download(settings, manifests)
    print(f"Summary Statistics for file downloads:\n{statistics}")
    print(f"Finished downloading after {round(time.perf_counter() - start, 2)} seconds")


def manifests_by_local_root(properties: list[WorkerManifestProperties]) -> dict[str, BaseAssetManifest]:
    """Reads the input manifests, by the directory that they go to; those of one directory are merged.

    Raises:
        OSError: A manifest can't be read.
        ManifestDecodeValidationError: A manifest is not valid.
    """
    found: dict[str, BaseAssetManifest] = {}
    for each in properties:
        if not each.local_input_manifest_path:
            print(f"Root {each.root_path} contains no input manifest to sync.")
            continue
        manifest = decode_manifest(Path(each.local_input_manifest_path).read_text(encoding="utf-8"))
        known = found.get(each.local_root_path)
        both = merge_asset_manifests([known, manifest]) if known is not None else None
        found[each.local_root_path] = both or manifest
    return found


def download(
    settings: JobAttachmentS3Settings, manifests: dict[str, BaseAssetManifest]
) -> DownloadSummaryStatistics:
    """Downloads, prints progress, and gives up after a minute of low transfer rates.

    Raises:
        CommandFailed: The transfer rate was low for long; the reason is printed.
    """
    detector, lines = LowTransferRateDetector(), ProgressLines()
    gave_up = False

    def handle(report: ProgressReportMetadata) -> bool:
        nonlocal gave_up
        if detector(report):
            lines.show(report.progress, report.progressMessage)
            return True
        if not gave_up:
            gave_up = True
            fail(detector.failure_message)
        return False

    try:
        return download_files_from_manifests(
            s3_bucket=settings.s3BucketName,
            manifests_by_root=manifests,
            cas_prefix=settings.full_cas_prefix(),
            on_downloading_files=handle,
            conflict_resolution=FileConflictResolution.RESUME,
        )
    except AssetSyncCancelledError as error:
        if gave_up:
            raise CommandFailed from error
        raise


if __name__ == "__main__":
    sys.exit(main())
