"""How often progress is told of: as often as by the reference, where the clock stands still."""

from __future__ import annotations

import gc

import boto3
import pytest
from deadline.job_attachments import download as their_download
from deadline.job_attachments import models as their_models
from deadline.job_attachments import upload as their_upload
from deadline.job_attachments.asset_manifests import decode as their_decode
from download.job import PREFIX, JobInS3
from rusty_attachments import download as our_download
from rusty_attachments import models as our_models
from rusty_attachments import upload as our_upload
from rusty_attachments.asset_manifests import decode as our_decode

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
COUNTS = pytest.mark.parametrize("count", [1, 2, 49, 50, 51, 100, 125])
SIDES = {"theirs": (their_upload, their_models), "ours": (our_upload, our_models)}


@pytest.fixture(autouse=True)
def all_reports_are_due_by_files(slow_clock):
    yield
    gc.collect()


@pytest.fixture
def root(tmp_path, count):
    root = tmp_path / "root"
    root.mkdir()
    for number in range(count):
        (root / f"{number:04}").write_bytes(b"%d" % number)
    return root


class Heard(list):
    """Reports; of each the files that were done by then, and the progress."""

    def __bool__(self):
        # A falsy callback is ignored by both.
        return True

    def __call__(self, report):
        self.append((report.processedFiles, report.progress))
        return True

    def files(self):
        return [files for files, _ in self]


@COUNTS
def test_submissions(rig, rig_bucket, root, tmp_path, count):
    heard = {}
    for name, (upload, models) in SIDES.items():
        settings = models.JobAttachmentS3Settings(rig_bucket, name)
        manager = upload.S3AssetManager("farm-1", "queue-1", settings, session=boto3.Session())
        group = manager.prepare_paths_for_upload([str(path) for path in root.iterdir()], [], [])
        totals = (group.total_input_files, group.total_input_bytes)
        heard[name] = [Heard() for _ in range(4)]
        for number in (0, 2):
            _, manifests = manager.hash_assets_and_create_manifest(
                group.asset_groups, *totals, str(tmp_path / name), heard[name][number]
            )
            manager.upload_assets(manifests, heard[name][number + 1], str(tmp_path / name))
    for number, (theirs, ours) in enumerate(zip(heard["theirs"], heard["ours"])):
        if number in (0, 2):
            assert ours.files() == theirs.files()
        elif number == 1 and count >= 50:
            # An upload tells of its end twice, and of what it skips by chunks, too. The reference's
            # threads may count on between a chunk and its report, and then make no report of it:
            # ours has one for every chunk, and two of the end.
            assert len(theirs) <= len(ours) == -(-count // 50) + 1
        assert ours[-1] == theirs[-1]
        progress = [percent for _, percent in ours]
        assert progress == sorted(progress)


@COUNTS
def test_downloads(rig, rig_bucket, tmp_path, count):
    job = JobInS3(rig, rig_bucket)
    text = job.manifest({f"{number:04}": b"%d" % number for number in range(count)})
    heard = {"theirs": [], "ours": []}
    for name, module, decode, models in (
        ("theirs", their_download, their_decode, their_models),
        ("ours", our_download, our_decode, our_models),
    ):
        for resolution in ("OVERWRITE", "SKIP"):
            heard[name].append(Heard())
            module.download_files_from_manifests(
                s3_bucket=rig_bucket,
                manifests_by_root={str(tmp_path / name): decode.decode_manifest(text)},
                cas_prefix=f"{PREFIX}/Data",
                session=boto3.Session(),
                on_downloading_files=heard[name][-1],
                conflict_resolution=models.FileConflictResolution[resolution],
            )
    for theirs, ours in zip(heard["theirs"], heard["ours"]):
        assert ours.files() == theirs.files()
        assert ours[-1] == theirs[-1]
