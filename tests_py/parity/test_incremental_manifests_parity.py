"""The output manifests of session actions, and downloads to absolute paths: ours and the reference's agree."""

from __future__ import annotations

import copy
import gc

import boto3
import pytest
from deadline.job_attachments import _path_mapping as their_mapping
from deadline.job_attachments import models as their_models
from deadline.job_attachments._incremental_downloads import _manifest_s3_downloads as theirs
from deadline.job_attachments.asset_manifests import HashAlgorithm as TheirHashAlgorithm
from download.job import FARM, JOB, PREFIX, QUEUE, JobInS3, entry
from rusty_attachments import _path_mapping, models
from rusty_attachments._incremental_downloads import _manifest_s3_downloads as ours
from rusty_attachments.asset_manifests import HashAlgorithm, hash_data, v2023_03_03, v2025_12_04
from rusty_attachments.exceptions import AssetSyncCancelledError, JobAttachmentsS3ClientError

# boto3's clients, which the reference makes, leave their connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
SIDES = pytest.mark.parametrize("side", [ours, theirs], ids=["ours", "theirs"])
SUBMITTED = "2023-11-14T22:13:20.123456Z"


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


@pytest.fixture
def session(rig):
    yield boto3.Session(region_name="us-west-2")
    gc.collect()


def queue_of(job):
    settings = {"s3BucketName": job.bucket, "rootPrefix": PREFIX}
    return {"queueId": QUEUE, "jobAttachmentSettings": settings}


def output(job, number, root, files, location=""):
    name = hash_data((location + root).encode(), HashAlgorithm.XXH128)
    folder = f"step-1/task-{number}/{SUBMITTED}_sessionaction-abc-{number}"
    return job.output(folder, files, root=root, name=name)


def described(*roots):
    """A job as the service gives it."""
    manifests = [
        {"rootPath": root, **({"fileSystemLocationName": name} if name else {})} for root, name in roots
    ]
    return {
        "jobId": JOB,
        "name": "a job",
        "storageProfileId": "sp-1",
        "attachments": {"manifests": manifests},
    }


def actions(*numbers, **more):
    return [{"sessionActionId": f"sessionaction-abc-{number}", **more} for number in numbers]


def told(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__, str(error)


def both(call):
    """The same call on copies of the same arguments, on both sides."""
    found = [told(lambda module=module: call(module)) for module in (theirs, ours)]
    assert found[0] == found[1]
    return found[1]


def test_session_actions_get_their_manifests(job, session):
    output(job, 0, "/root", {"a": b"1"})
    output(job, 0, "/shared", {"b": b"2"}, location="shows")
    output(job, 1, "/root", {"a": b"3"})
    job_dict = described(("/root", None), ("/shared", "shows"))

    def add(module, job_dict=job_dict, found=None):
        found = copy.deepcopy(actions(0, 1, 2) if found is None else found)
        module._add_output_manifests_from_s3(FARM, queue_of(job), job_dict, session, found)
        return found

    found = both(add)
    kinds = [[sorted(row) for row in action["manifests"]] for action in found]
    path = ["outputManifestPath"]
    assert kinds == [[path, path], [path, []], [[], []]]
    assert found[0]["manifests"][1]["outputManifestPath"].startswith(f"{FARM}/{QUEUE}/{JOB}/step-1/task-0/")
    # What is known already stays; jobs without attachments have nothing.
    known = actions(0, manifests=[{"outputManifestPath": "x", "outputManifestHash": "y"}, {}])
    assert both(lambda module: add(module, found=known)) == known
    assert both(lambda module: add(module, {"jobId": JOB})) == actions(0, 1, 2)
    # A root that the job does not have, and a key of no session action.
    error = both(lambda module: add(module, described(("/root", None))))
    assert error[0] == "RuntimeError"
    job.output("step-1/task-7/x", {"a": b"1"})
    assert both(add)[1] == f"Job attachments manifest key for job a job ({JOB}) lacks a session action id"


def test_a_job_without_outputs(job, session):
    def add(module):
        found = actions(0)
        module._add_output_manifests_from_s3(FARM, queue_of(job), described(("/root", None)), session, found)
        return found

    assert both(add) == actions(0, manifests=[{}])


def rows(found):
    return [[(row.path, row.hash, row.size, row.mtime) for row in manifest.paths] for _, manifest in found]


def fetched(module, job, session, job_dict, found, appliers):
    """What a side makes of some session actions: manifests, unmapped paths, lines; in a comparable form."""
    found = copy.deepcopy(found)
    module._add_output_manifests_from_s3(FARM, queue_of(job), job_dict, session, found)
    unmapped, lines = {}, []
    made = module._download_all_manifests_with_absolute_paths(
        queue_of(job),
        {JOB: job_dict},
        {JOB: [{"sessionActions": found}, {}]},
        appliers,
        unmapped,
        session,
        lines.append,
    )
    merged = module._merge_absolute_path_manifest_list(list(made))
    unmapped = {name: sorted(paths) for name, paths in unmapped.items()}
    return rows(made), [row.path for row in merged], unmapped, lines[:2], lines[-1].split(" in ")[0]


def test_paths_become_absolute(job, session, tmp_path):
    root = str(tmp_path / "root")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    output(job, 0, root, {"a": b"1", "folder/./b": b"2", "../escapes": b"3", "out/escapes": b"4"})
    output(job, 1, root, {"a": b"newer", "é": b"2"})
    job_dict = described((root, None))
    found = both(lambda module: fetched(module, job, session, job_dict, actions(0, 1), {}))
    assert [row[0] for row in found[0][0]] == [f"{root}/a", f"{root}/folder/b"]
    assert found[1] == [f"{root}/a", f"{root}/folder/b", f"{root}/é"]
    assert found[2] == {JOB: sorted([str(tmp_path / "escapes"), f"{root}/out/escapes"])}


@pytest.mark.parametrize(
    ("kind", "source", "root"),
    [("posix", "/mnt/shows", "/mnt/shows/a"), ("windows", "Z:\\Shows", "z:\\shows\\a")],
)
def test_paths_are_mapped(job, session, tmp_path, kind, source, root):
    files = {"x/y.exr": b"1", "../b": b"2", "../../other": b"3"}
    output(job, 0, root, files, location="shows")
    job_dict = described((root, "shows"))

    def run(module):
        mapping, classes = (_path_mapping, models) if module is ours else (their_mapping, their_models)
        rule = classes.PathMappingRule(kind, source, str(tmp_path))
        appliers = {"sp-1": mapping._PathMappingRuleApplier([rule])}
        return fetched(module, job, session, job_dict, actions(0), appliers)

    found = both(run)
    assert found[1] == [f"{tmp_path}/a/x/y.exr", f"{tmp_path}/b"]
    assert len(found[2][JOB]) == 1


def test_storage_profiles_without_mapping(job, session, tmp_path):
    output(job, 0, str(tmp_path), {"x": b"1"})
    job_dict = described((str(tmp_path), None))
    found = both(lambda module: fetched(module, job, session, job_dict, actions(0), {"sp-1": None}))
    assert found[1] == [f"{tmp_path}/x"]
    assert both(lambda module: fetched(module, job, session, job_dict, actions(5), {"other": None}))[0] == []
    assert told(lambda: fetched(ours, job, session, job_dict, actions(0), {"other": None})) == (
        "KeyError",
        "'sp-1'",
    )


def download(side, job, session, files, resolution="CREATE_COPY", callback=None):
    """Downloads `{absolute path: contents}`."""
    algorithm, classes = (HashAlgorithm, models) if side is ours else (TheirHashAlgorithm, their_models)
    for body in files.values():
        job.data(body)
    entries = [v2023_03_03.ManifestPath(**entry(str(path), body)) for path, body in files.items()]
    side._download_manifest_paths(
        entries,
        algorithm.XXH128,
        queue_of(job),
        session,
        classes.FileConflictResolution[resolution],
        callback,
    )


@SIDES
def test_files_go_to_absolute_paths(side, job, session, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "there").write_bytes(b"old")
    files = {
        tmp_path / "new" / "folder" / "a": b"1" * 100,
        tmp_path / "link" / "b": b"2",
        tmp_path / "there": b"3",
        tmp_path / "large": b"4" * (3 << 20),
    }
    reports = []
    download(side, job, session, files, callback=lambda report: reports.append(report) or True)
    assert (tmp_path / "new" / "folder" / "a").read_bytes() == b"1" * 100
    assert (tmp_path / "real" / "b").read_bytes() == b"2"
    assert (tmp_path / "there").read_bytes() == b"old"
    assert (tmp_path / "there (1)").read_bytes() == b"3"
    assert (tmp_path / "large").stat().st_size == 3 << 20
    assert (tmp_path / "large").stat().st_mtime_ns // 10**9 == 1_700_000_000
    assert (reports[-1].progress, reports[-1].processedFiles) == (100.0, 4)
    download(side, job, session, {tmp_path / "there": b"3"}, "SKIP")
    assert (tmp_path / "there").read_bytes() == b"old"
    download(side, job, session, {tmp_path / "there": b"3"}, "OVERWRITE")
    assert (tmp_path / "there").read_bytes() == b"3"
    with pytest.raises(ValueError, match="Unknown choice for file conflict resolution"):
        download(side, job, session, {tmp_path / "there": b"3"}, "NOT_SELECTED")
    download(side, job, session, {})


@SIDES
def test_a_missing_object_and_a_cancelled_download(side, job, session, tmp_path):
    job.rig.rules({"operation": "GetObject", "fault": {"kind": "status", "status": 404, "code": "NoSuchKey"}})
    with pytest.raises(Exception, match="HTTP Status Code: 404") as raised:
        download(side, job, session, {tmp_path / "a": b"1"})
    assert isinstance(raised.value, JobAttachmentsS3ClientError)
    # Slow enough to be under way when the callback is first asked.
    job.rig.rules({"operation": "GetObject", "fault": {"kind": "delay", "ms": 300}})
    with pytest.raises(Exception, match=r"^File download cancelled\.") as raised:
        download(
            side,
            job,
            session,
            {tmp_path / f"c{n}": bytes([n]) * 200_000 for n in range(60)},
            callback=lambda _: False,
        )
    # The reference wraps the cancellation into another error.
    assert isinstance(raised.value, AssetSyncCancelledError) is (side is ours)


def test_a_relative_path_is_refused(job, session):
    with pytest.raises(ValueError, match="not absolute: a/b"):
        download(ours, job, session, {"a/b": b"1"})


def test_links_of_the_later_version(job, session, tmp_path):
    """Outputs with a link: made absolute, merged, and downloaded as a link."""
    root = tmp_path / "root"
    job.data(b"x")
    manifest = v2025_12_04.AssetManifest(
        hash_alg=HashAlgorithm.XXH128,
        total_size=1,
        paths=[
            v2025_12_04.ManifestFilePath(**entry("folder/x", b"x"), runnable=True),
            v2025_12_04.ManifestFilePath(path="link", symlink_target="folder/x"),
        ],
        dirs=[v2025_12_04.ManifestDirectoryPath(path="folder")],
    )
    key = output(job, 0, str(root), {"placeholder": b""})
    job.rig.put(job.bucket, key, manifest.encode().encode(), {"x-amz-meta-asset-root": str(root)})
    found = actions(0)
    job_dict = described((str(root), None))
    ours._add_output_manifests_from_s3(FARM, queue_of(job), job_dict, session, found)
    made = ours._download_all_manifests_with_absolute_paths(
        queue_of(job), {JOB: job_dict}, {JOB: [{"sessionActions": found}]}, {}, {}, session
    )
    entries = ours._merge_absolute_path_manifest_list(made)
    resolution = models.FileConflictResolution.OVERWRITE
    ours._download_manifest_paths(entries, HashAlgorithm.XXH128, queue_of(job), session, resolution, None)
    assert (root / "link").read_bytes() == b"x"
    assert (root / "link").is_symlink()
    assert (root / "folder" / "x").stat().st_mode & 0o100
