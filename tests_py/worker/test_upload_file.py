"""`S3AssetUploader.upload_file_to_s3`, which `AssetSync` calls for each output."""

from __future__ import annotations

import pytest
from rusty_attachments.progress_tracker import ProgressStatus, ProgressTracker
from rusty_attachments.upload import S3AssetUploader


@pytest.mark.parametrize("size", [3, 9_000_000])
def test_a_file_replaces_what_is_there(tmp_path, rig, rig_bucket, size):
    uploader = S3AssetUploader(s3_max_pool_connections=50, small_file_threshold_multiplier=20)
    file = tmp_path / "file"
    for body in (b"a" * size, b"b" * size, b"b" * size):
        file.write_bytes(body)
        tracker = ProgressTracker(ProgressStatus.UPLOAD_IN_PROGRESS, 1, size)
        uploader.upload_file_to_s3(file, rig_bucket, "key", tracker)
        assert rig.get(rig_bucket, "key") == body
        assert (tracker.processed_files, tracker.processed_bytes) == (1, size)
