"""Log records reach the loggers that a program has set up for the reference."""

from __future__ import annotations

import contextlib
import gc
import logging
import re
from importlib import import_module

import boto3
import pytest
from download.job import PREFIX, JobInS3
from rusty_attachments import _logs, swap

# boto3's clients, which the reference makes, leave their connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

THEIRS, OURS = "deadline.job_attachments", "rusty_attachments"


@contextlib.contextmanager
def listening(*names):
    """The records of some loggers and of those below them: name, level and message."""
    heard = []

    class Handler(logging.Handler):
        def emit(self, record):
            heard.append((record.name, record.levelname, record.getMessage()))

    handler = Handler()
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        for name, level in before.items():
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).setLevel(level)


def module(name):
    return import_module(f"{THEIRS}.{name}")


def work(rig, bucket, folder):
    """A submission twice, and a download, by the names of the reference, whoever is behind them."""
    root, cache = folder / "root", str(folder / "cache")
    (root / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (root / name).write_bytes(name.encode())
    (root / "loop").symlink_to("loop")
    settings = module("models").JobAttachmentS3Settings(s3BucketName=bucket, rootPrefix=PREFIX)
    manager = module("upload").S3AssetManager(
        farm_id="farm-1", queue_id="queue-1", job_attachment_settings=settings, session=boto3.Session()
    )
    paths = [str(root / "a"), str(root / "sub" / "b"), str(root / "missing")]
    for _ in range(2):
        group = manager.prepare_paths_for_upload(paths, [], [])
        _, manifests = manager.hash_assets_and_create_manifest(
            group.asset_groups, group.total_input_files, group.total_input_bytes, cache
        )
        manager.upload_assets(manifests, s3_check_cache_dir=cache, manifest_write_dir=str(folder / "written"))
    manifest = manifests[0].asset_manifest
    module("download").download_files_from_manifests(
        bucket, {str(folder / "target"): manifest}, cas_prefix=f"{PREFIX}/Data", session=boto3.Session()
    )
    gc.collect()


def test_all_that_the_reference_logs_is_heard_where_it_was(rig, tmp_path):
    heard = {}
    for name in ("theirs", "ours"):
        # The same folder and bucket for both: they are in the messages.
        rig.reset(objects=True)
        folder = tmp_path / "work"
        swapped = swap.installed("all") if name == "ours" else contextlib.nullcontext()
        with listening(THEIRS) as records, swapped:
            work(rig, rig.create_bucket("bucket"), folder)
        heard[name] = {
            # A folder of a random name for each submission.
            (logger, level, re.sub(r"/Inputs/[0-9a-f]{32}/", "/Inputs/<guid>/", text))
            for logger, level, text in records
            # What each knows of the account, and of its sample of the check cache, it says in its own words.
            if "account" not in text.lower() and not text.startswith("cache_entry: ")
        }
        folder.rename(tmp_path / name)
    assert len(heard["theirs"]) >= 5
    assert heard["theirs"] - heard["ours"] == set()
    # Ours says more, and by the same loggers.
    assert {record[0] for record in heard["ours"]} <= {THEIRS, f"{THEIRS}.upload", f"{THEIRS}.download"}


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_the_references_levels_count(rig, rig_bucket, tmp_path, level):
    with listening(f"{THEIRS}.download", OURS) as records:
        logging.getLogger(f"{THEIRS}.download").setLevel(level)
        with swap.installed(["download_files_from_manifests"]):
            work(rig, rig_bucket, tmp_path)
    names = {record[0] for record in records if record[2].startswith("Downloaded ")}
    assert names == ({f"{THEIRS}.download"} if level == logging.DEBUG else set())


def test_records_come_back_when_names_are_put_back(rig, rig_bucket, tmp_path):
    job = JobInS3(rig, rig_bucket)
    manifest = import_module(f"{OURS}.asset_manifests.decode").decode_manifest(job.manifest({"a": b"a"}))

    def download(place):
        import_module(f"{OURS}.download").download_files_from_manifests(
            rig_bucket, {str(tmp_path / place): manifest}, cas_prefix=f"{PREFIX}/Data"
        )

    with listening(THEIRS, OURS) as records:
        download("1")
        with swap.installed(["hash_data"]):
            download("2")
            with swap.installed(["decode_manifest"]):
                pass
            download("3")
        download("4")
    names = [name for name, _, text in records if text.startswith("Downloaded a to ")]
    assert names == [f"{OURS}.download", *[f"{THEIRS}.download"] * 2, f"{OURS}.download"]


def test_caches_speak_by_the_references_logger():
    with swap.installed(["hash_data"]):
        assert _logs.logger("caches").name == "Deadline"
        assert _logs.logger().name == THEIRS
    assert _logs.logger("caches").name == f"{OURS}.caches"
