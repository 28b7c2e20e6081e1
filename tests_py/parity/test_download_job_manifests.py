"""Both implementations find the same manifests of jobs, and fail with the same words."""

from __future__ import annotations

import os
import time

import pytest
from deadline.job_attachments import download as their_download
from deadline.job_attachments import exceptions as their_exceptions
from deadline.job_attachments import models as their_models
from download.job import IDS, JOB, PREFIX, JobInS3
from rusty_attachments import download as our_download
from rusty_attachments import models as our_models
from rusty_attachments.asset_manifests import HashAlgorithm
from rusty_attachments.asset_manifests.v2025_12_04 import (
    AssetManifest,
    ManifestDirectoryPath,
    ManifestFilePath,
)

TASKS = int(os.environ.get("JOB_TASKS", "1000"))
SIDES = [(their_download, their_models), (our_download, our_models)]


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


def settings(models, job):
    return models.JobAttachmentS3Settings(s3BucketName=job.bucket, rootPrefix=PREFIX)


def rows(manifest):
    return [(row.path, row.hash, row.size, row.mtime) for row in manifest.paths], manifest.totalSize


def told(call):
    """What a call gives, or its error's class and words."""
    try:
        return call()
    except Exception as error:
        name = type(error).__name__
        fields = [
            getattr(error, field, None) for field in ("action", "status_code", "bucket_name", "key_or_prefix")
        ]
        return (name, str(error), fields)


def outputs(download, models, job, *ids, **options):
    def call():
        found = download.get_output_manifests_by_asset_root(settings(models, job), *IDS, *ids, **options)
        return {root: [rows(manifest) for manifest in manifests] for root, manifests in found.items()}

    return told(call)


def both(job, *ids, **options):
    theirs, ours = (outputs(download, models, job, *ids, **options) for download, models in SIDES)
    assert theirs == ours
    return ours


def groups(found):
    return {
        root: (
            group.total_bytes,
            group.get_all_paths(),
            {alg.value: [row.path for row in entries] for alg, entries in group.files_by_hash_alg.items()},
        )
        for root, group in found.items()
    }


@pytest.fixture
def farm(job):
    """A job with a step of tasks, one that runs in chunks, and several roots."""
    job.output("step-1/task-1/2023-01-01T00:00:00.000000Z_sessionaction-1-0", {"a": b"old", "gone": b"1"})
    job.output("step-1/task-1/2023-01-02T00:00:00.000000Z_sessionaction-1-1", {"a": b"new", "b": b"2"})
    job.output("step-1/task-1/2023-01-02T00:00:00.000000Z_sessionaction-1-1", {"z": b"3"}, "/other", "b")
    job.output("step-1/task-2/2023-01-01T00:00:00.000000Z_sessionaction-2-0", {"c": b"4"})
    job.output("step-2/2023-01-01T00:00:00.000000Z_sessionaction-3-0", {"d": b"5", "shared": b"first"})
    # LastModified has whole seconds: a later one decides.
    time.sleep(1.1)
    job.output("step-2/2023-01-01T00:00:00.000000Z_sessionaction-4-0", {"e": b"6", "shared": b"second"})
    return job


@pytest.mark.parametrize("ids", [(), ("step-1",), ("step-2",), ("step-1", "task-1"), ("step-1", "task-9")])
def test_outputs_of_jobs_steps_and_tasks(farm, ids):
    found = both(farm, *ids)
    assert bool(found) == (ids != ("step-1", "task-9"))


def test_the_latest_folder_of_a_task_and_the_latest_manifest_of_a_root_count(farm):
    paths = [row[0] for row in both(farm)["/root"][0][0]]
    assert "gone" not in paths
    assert set(paths) == {"a", "b", "c", "d", "e", "shared"}
    found = {row[0]: row[2] for row in both(farm)["/root"][0][0]}
    assert found["shared"] == len(b"second")


@pytest.mark.parametrize(
    "action", ["sessionaction-1-0", "sessionaction-3-0", "sessionaction-9-9", "sessionaction-1"]
)
def test_outputs_of_a_session_action(farm, action):
    # The third is in a step that runs in chunks: nothing is below a task.
    step = "step-2" if action == "sessionaction-3-0" else "step-1"
    found = both(farm, step, "task-1", action)
    assert bool(found) == (action != "sessionaction-9-9")


def test_combinations_of_ids_that_make_no_sense(farm):
    for ids in [("", "task-1"), ("step-1", None, "sessionaction-1-0"), (None, None, "sessionaction-1-0")]:
        name, text, _ = both(farm, *ids)
        assert name == "JobAttachmentsError", text


def test_nothing_found_is_an_empty_mapping_that_gives_empty_lists(job):
    assert both(job) == {}
    found = our_download.get_output_manifests_by_asset_root(settings(our_models, job), *IDS)
    assert found["/anything"] == []


@pytest.mark.parametrize("root", [None, ""])
def test_a_manifest_without_a_root(farm, root):
    farm.output("step-1/task-3/2023-01-01T00:00:00.000000Z_sessionaction-5-0", {"x": b"x"}, root)
    for ids in [(), ("step-1", "task-3", "sessionaction-5-0")]:
        name, text, _ = both(farm, *ids)
        assert name == "MissingAssetRootError"
        assert text.startswith("Failed to get asset root from metadata of output manifest: ")


def test_the_json_form_of_a_root_wins(job):
    headers = {"x-amz-meta-asset-root-json": '"/r\\u00f6\\udc80t"'}
    job.output("step-1/task-1/2023_sessionaction-1", {"x": b"x"}, "plain", headers=headers)
    assert list(both(job)) == ["/r\u00f6\udc80t"]


def test_a_manifest_that_is_none_and_one_that_is_not_there(job):
    key = job.output("step-1/task-1/2023_sessionaction-1", {"x": b"x"})
    for body in [
        b"",
        b"{",
        b'{"manifestVersion":"2023-03-03"}',
        b'{"manifestVersion":"2023-03-03","paths":[]}',
    ]:
        job.rig.put(job.bucket, key, body, {"x-amz-meta-asset-root": "/root"})
        assert both(job)[0] == "AssetSyncError"
    told_by_both = [
        told(lambda download=download: download.get_manifest_from_s3(f"{JOB}/none", job.bucket))
        for download, _ in SIDES
    ]
    assert told_by_both[0] == told_by_both[1]
    assert told_by_both[1][0] == "JobAttachmentsS3ClientError"
    with pytest.raises(their_exceptions.JobAttachmentsS3ClientError):
        our_download.get_manifest_from_s3(f"{JOB}/none", job.bucket)


@pytest.mark.parametrize("message", ["Access Denied", "no kms:Decrypt for you"])
def test_refused_requests(job, message):
    job.output("step-1/task-1/2023_sessionaction-1", {"x": b"x"})
    for operation in ["GetObject", "ListObjectsV2"]:
        fault = {"kind": "status", "status": 403, "code": "AccessDenied", "message": message}
        job.rig.rules({"operation": operation, "fault": fault})
        name, _, fields = both(job)
        assert name == "JobAttachmentsS3ClientError"
        assert fields[1] == 403


@pytest.mark.parametrize("body", [b"[]", b"3", b"null", b'"text"', b"[{}]"])
def test_json_that_is_no_object_has_a_text_of_its_own(job, body):
    key = job.output("step-1/task-1/2023_sessionaction-1", {"x": b"x"})
    job.rig.put(job.bucket, key, body, {"x-amz-meta-asset-root": "/root"})
    theirs, ours = (outputs(download, models, job) for download, models in SIDES)
    assert theirs[0] == ours[0] == "AssetSyncError"
    assert ours[1] == "manifest must be a JSON object"


def test_groups_of_the_later_version_hold_files_and_links_and_no_directories(job):
    rows = [
        ManifestFilePath(path="d/file", hash="0" * 32, size=3, mtime=5),
        ManifestFilePath(path="link", symlink_target="d/file"),
    ]
    manifest = AssetManifest(
        hash_alg=HashAlgorithm.XXH128,
        paths=rows,
        total_size=3,
        dirs=[ManifestDirectoryPath("d"), ManifestDirectoryPath("empty")],
    )
    key = job.output("step-1/task-1/2023_sessionaction-1", {"x": b"x"})
    job.rig.put(job.bucket, key, manifest.encode().encode(), {"x-amz-meta-asset-root": "/root"})
    group = our_download.get_job_output_paths_by_asset_root(settings(our_models, job), *IDS)["/root"]
    assert group.get_all_paths() == ["d/file", "link"]
    assert group.total_bytes == 3
    (entries,) = group.files_by_hash_alg.values()
    assert {row.path: row.symlink_target for row in entries} == {"d/file": None, "link": "d/file"}


def test_virtual_file_systems_stay_with_the_reference():
    for name in ["mount_vfs_from_manifests", "handle_existing_vfs"]:
        assert hasattr(their_download, name)
        assert not hasattr(our_download, name)


def test_keys_of_output_manifests(farm):
    prefix = f"{PREFIX}/Manifests/{'/'.join(IDS)}/"
    for latest in [True, False]:
        theirs, ours = (
            download._get_tasks_manifests_keys_from_s3(prefix, farm.bucket, select_latest_per_task=latest)
            for download, _ in SIDES
        )
        assert theirs == ours
        assert len(ours) == (5 if latest else 6)
        theirs, ours = (
            download._get_output_manifest_files_by_asset_root_with_last_modified(settings(models, farm), ours)
            for download, models in SIDES
        )
        assert [(root, when, rows(found)) for root, when, found in theirs] == [
            (root, when, rows(found)) for root, when, found in ours
        ]
    theirs, ours = (
        told(lambda download=download: download._get_tasks_manifests_keys_from_s3("no/", farm.bucket))
        for download, _ in SIDES
    )
    assert (
        theirs
        == ours
        == ("JobAttachmentsError", f"Unable to find asset manifest in s3://{farm.bucket}/no/", [None] * 4)
    )


@pytest.mark.parametrize("prefix", ["night-task-data", "task-", "step-x/task-y", "my_output"])
def test_a_root_prefix_may_have_any_words_in_it_unlike_in_the_reference(job, monkeypatch, prefix):
    monkeypatch.setattr("download.job.PREFIX", prefix)
    job.output("step-1/task-1/2023-01-01T00:00:00.000000Z_sessionaction-1-0", {"a": b"old", "gone": b"1"})
    job.output("step-1/task-1/2023-01-02T00:00:00.000000Z_sessionaction-1-1", {"a": b"new"})
    job.output("step-1/task-2/2023-01-01T00:00:00.000000Z_sessionaction-1-2", {"b": b"2"})
    job.output("step-2/2023-01-01T00:00:00.000000Z_sessionaction-1-10", {"c": b"3"})
    # What S3's console makes for a folder ends the reference's call.
    job.rig.put(job.bucket, f"{prefix}/Manifests/{'/'.join(IDS)}/step-1/task-1/output/", b"")
    in_prefix = our_models.JobAttachmentS3Settings(s3BucketName=job.bucket, rootPrefix=prefix)

    def paths(*ids, **options):
        found = our_download.get_output_manifests_by_asset_root(in_prefix, *IDS, *ids, **options)
        return sorted(
            row.path for manifests in found.values() for manifest in manifests for row in manifest.paths
        )

    assert paths() == ["a", "b", "c"]
    assert paths("step-1") == ["a", "b"]
    assert paths("step-1", "task-1") == ["a"]
    assert paths("step-2", "task-9", session_action_id="sessionaction-1-1") == [], "1-10 is another"
    assert paths("step-2", "task-9", session_action_id="sessionaction-1-10") == ["c"]


def test_paths_of_jobs_by_root(farm):
    first = farm.input("first", {"a": b"in", "only-in": b"3"})
    second = farm.input("second", {"more": b"4", "a": b"again"})
    found = []
    for download, models in SIDES:
        posix = models.PathFormat.POSIX
        attachments = models.Attachments(
            manifests=[
                models.ManifestProperties(rootPath="/root", rootPathFormat=posix, inputManifestPath=first),
                models.ManifestProperties(rootPath="/empty", rootPathFormat=posix),
                models.ManifestProperties(rootPath="/root", rootPathFormat=posix, inputManifestPath=second),
            ]
        )
        place = settings(models, farm)
        found.append(
            [
                groups(download.get_job_input_paths_by_asset_root(place, attachments)),
                groups(download.get_job_output_paths_by_asset_root(place, *IDS)),
                groups(download.get_job_input_output_paths_by_asset_root(place, attachments, *IDS)),
                groups(
                    download.get_job_output_paths_by_asset_root(
                        place, *IDS, "step-1", "task-1", "sessionaction-1-0"
                    )
                ),
            ]
        )
    assert found[0] == found[1]
    assert found[1][0]["/root"][1] == ["a", "a", "more", "only-in"]


def tasks_of_a_step(job, count):
    """A manifest for each task: its own file, one that all have, and for every seventh another root."""
    for number in range(count):
        root = "/other" if number % 7 == 0 else "/root"
        files = {f"f{number:05}": b"x", "shared": b"%d" % (number % 10)}
        job.output(f"step-1/task-{number:05}/2023_sessionaction-{number}", files, root)
        if number % 50 == 0:
            job.output(f"step-1/task-{number:05}/2022_sessionaction-{number}", {"never": b"x"}, root)


@pytest.mark.parametrize("ids", [(), ("step-1",)])
def test_manifests_of_many_tasks_are_one_request_each_and_many_at_a_time(job, ids):
    tasks_of_a_step(job, TASKS)
    old = -(-TASKS // 50)
    job.rig.reset()
    job.rig.config(delay_ms=20)
    found = our_download.get_output_manifests_by_asset_root(settings(our_models, job), *IDS, *ids)
    stats = job.rig.stats()
    assert stats["operations"] == {"ListObjectsV2": -(-(TASKS + old) // 1000), "GetObject": TASKS}
    assert stats["most_in_flight"] >= min(32, TASKS)
    names = {"/root": set(), "/other": set()}
    for number in range(TASKS):
        names["/other" if number % 7 == 0 else "/root"] |= {f"f{number:05}", "shared"}
    assert {root: {row.path for row in manifests[0].paths} for root, manifests in found.items()} == names
    assert all(len(manifests) == 1 for manifests in found.values())


def test_the_manifests_of_some_tasks_are_what_the_reference_finds(job):
    tasks_of_a_step(job, 120)
    both(job)
    ours = both(job, "step-1")
    assert len(ours["/root"][0][0]) == 120 - 18 + 1
    both(job, "step-1", "task-00007")


def test_pages_are_followed(job):
    for number in range(1105):
        job.output(f"step-1/task-{number:05}/2023_sessionaction-{number}", {f"f{number}": b"x"})
    job.rig.reset()
    assert len(both(job)["/root"][0][0]) == 1105
    # Both sides asked for both pages, and for each manifest.
    assert job.rig.stats()["operations"] == {"ListObjectsV2": 4, "GetObject": 2210}
