"""Memory and connections of downloads, in every form that takes them."""

from __future__ import annotations

import asyncio
import random

import pytest
from rusty_attachments import DownloadOptions, JobAttachmentS3Settings
from rusty_attachments.asset_manifests import HashAlgorithm
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.download import (
    InputDownloader,
    download_files,
    download_files_from_manifests,
    download_files_from_manifests_async,
)
from rusty_attachments.models import Attachments, ManifestPathGroup

from .job import PREFIX, JobInS3
from .trees import contents

MIB = 1 << 20


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


def plain(job, root, manifest, options):
    download_files_from_manifests(job.bucket, {str(root): manifest}, f"{PREFIX}/Data", options=options)


def awaitable(job, root, manifest, options):
    asyncio.run(
        download_files_from_manifests_async(
            job.bucket, {str(root): manifest}, f"{PREFIX}/Data", options=options
        )
    )


def settings(job) -> JobAttachmentS3Settings:
    return JobAttachmentS3Settings(job.bucket, PREFIX)


def listed(job, root, manifest, options):
    download_files(list(manifest.paths), HashAlgorithm.XXH128, str(root), settings(job), options=options)


def by_downloader(job, root, manifest, options):
    downloader = InputDownloader(settings(job), Attachments(manifests=[]), options=options)
    group = ManifestPathGroup()
    group.add_manifest_to_group(manifest)
    downloader.paths_by_root[str(root)] = group
    downloader.download()


@pytest.mark.parametrize("form", [plain, awaitable, listed, by_downloader])
def test_no_more_connections_than_asked_for(job, tmp_path, form):
    files = {f"{number}": random.Random(number).randbytes(2000) for number in range(12)}
    manifest = decode_manifest(job.manifest(files))
    job.rig.config(delay_ms=20)
    form(job, tmp_path / "many", manifest, DownloadOptions())
    assert job.rig.stats()["most_in_flight"] > 1, "by default there are more"
    job.rig.reset()
    job.rig.config(delay_ms=20)
    form(job, tmp_path / "one", manifest, DownloadOptions(max_connections=1))
    assert job.rig.stats()["most_in_flight"] == 1
    assert contents(tmp_path / "one") == files


def test_no_more_memory_than_asked_for(job, tmp_path, monkeypatch):
    monkeypatch.setenv("RUSTY_ATTACHMENTS_STALL_SECONDS", "20")
    files = {"large": random.Random(3).randbytes(6 * 8 * MIB)}
    manifest = decode_manifest(job.manifest(files))
    job.rig.config(delay_ms=200)
    plain(job, tmp_path / "root", manifest, DownloadOptions(buffer_bytes=8 * MIB))
    assert job.rig.stats()["most_in_flight"] == 1, "one range has all the room there is"
    assert contents(tmp_path / "root") == files


@pytest.mark.parametrize("numbers", [{"max_connections": 0}, {"buffer_bytes": -1}])
def test_numbers_that_are_not_positive_are_errors(numbers):
    with pytest.raises(ValueError, match=f"{next(iter(numbers))} must be a positive number, not"):
        DownloadOptions(**numbers)
