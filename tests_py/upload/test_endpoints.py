"""Endpoints that are slow of understanding, far away, or forgetful of who we are."""

from __future__ import annotations

import logging
import os
from types import SimpleNamespace
from typing import Any

import pytest
from rusty_attachments.exceptions import JobAttachmentS3BotoCoreError, JobAttachmentsS3ClientError
from rusty_attachments.upload import S3AssetUploader, UploadOptions

PART = 8 * 1024 * 1024
SIZES = [0, 1, PART - 1, PART, PART + 1, 3 * PART + 7]


class RotatingSession:
    """Like a boto3 session: hands out new credentials each time it is asked, if it has any."""

    def __init__(self, *keys: str) -> None:
        self.keys, self.asked = list(keys), 0
        self.region_name, self.profile_name = "us-west-2", "default"

    def get_credentials(self) -> Any:
        self.asked += 1
        key = self.keys[min(self.asked, len(self.keys)) - 1]
        frozen = SimpleNamespace(
            access_key=key, secret_key="secret", token="token", account_id="123456789012"
        )
        return SimpleNamespace(get_frozen_credentials=lambda: frozen)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(300):
        (root / f"file {number}").write_bytes(f"contents {number}".encode())
    return root


def uploader(session: Any = None, **options: Any) -> S3AssetUploader:
    return S3AssetUploader(
        session,
        s3_max_pool_connections=50,
        small_file_threshold_multiplier=20,
        options=UploadOptions(**options),
    )


def test_credentials_that_expire_on_the_way_are_fetched_anew(rig, upload, stored, tree):
    rig.config(token_requests=100)
    session = RotatingSession("first", "second", "third", "fourth", "fifth")
    upload(tree, uploader=uploader(session))
    assert len(stored()) == 300
    assert 4 <= session.asked <= 5


def test_credentials_that_stay_expired_are_one_clear_error(rig, upload, rig_bucket, tree):
    rig.config(expired_keys=["old"])
    session = RotatingSession("old")
    with pytest.raises(JobAttachmentsS3ClientError, match="expired") as error:
        upload(tree, uploader=uploader(session))
    assert error.value.bucket_name == rig_bucket
    assert rig.objects(rig_bucket) == []


def test_an_endpoint_that_rejects_the_xxh128_header_is_done_without_it(rig, upload, stored, tree, caplog):
    rig.config(xxhash128="reject")
    caplog.set_level(logging.WARNING)
    upload(tree)
    assert len(stored()) == 300
    refused = rig.count("PutObject") - 301
    # Requests that were under way when it was learned; a second call knows.
    assert refused <= 50
    assert caplog.text.count("rejects x-amz-checksum-xxhash128") <= 1
    rig.reset()
    rig.config(xxhash128="reject")
    upload(tree, force_s3_check=True)
    assert rig.count("PutObject") == 1


def test_an_endpoint_that_overlooks_conditions_is_found_out(rig, upload, stored, tree, tmp_path):
    """On an endpoint of its own: what an endpoint can do is remembered."""
    from rig.server import RigServer

    with RigServer("--if-none-match", "off", "--auto-buckets") as careless:
        previous = {name: os.environ.get(name) for name in careless.environment()}
        os.environ.update(careless.environment())
        try:
            upload(tree)
            puts = careless.count("PutObject")
            assert puts == 301
            upload(tree, s3_check_cache_dir=str(tmp_path / "another"))
            # One is sent to find out; requests that were under way by then are sent, too.
            assert careless.count("PutObject") - puts < 250
            before = careless.count("PutObject")
            upload(tree, s3_check_cache_dir=str(tmp_path / "a third"))
            assert careless.count("PutObject") - before == 1, "the manifest"
        finally:
            for name, value in previous.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@pytest.mark.parametrize("by", ["option", "environment"])
def test_checksums_that_s3_does_not_ask_for_can_be_left_out(rig, upload, stored, tmp_path, monkeypatch, by):
    root = tmp_path / "sizes"
    root.mkdir()
    for size in (1, PART + 1):
        (root / str(size)).write_bytes(os.urandom(size))
    if by == "environment":
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    rig.config(log=True)
    upload(root, uploader=uploader(checksums=by != "option"))
    assert len(stored()) == 2
    sent = {row["operation"]: row["checksums"] for row in rig.log() if row["operation"] != "HeadObject"}
    assert {"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"} <= sent.keys()
    assert not any(sent.values()), sent


def test_small_files_and_a_large_one_go_at_the_same_time(rig, upload, stored, tree):
    (tree / "large").write_bytes(os.urandom(3 * PART))
    slow = [("PutObject", 100), ("UploadPart", 500)]
    rig.rules(*({"operation": name, "fault": {"kind": "delay", "ms": ms}} for name, ms in slow))
    rig.config(log=True)
    few = S3AssetUploader(s3_max_pool_connections=50, small_file_threshold_multiplier=1)
    upload(tree, uploader=few)
    assert len(stored()) == 301
    # Requests in the order of their coming; the manifest is the last.
    order = [row["operation"] for row in rig.log() if "/Data/" in row["key"]]
    puts = [place for place, name in enumerate(order) if name == "PutObject"]
    assert len(puts) == 300
    assert order.index("CreateMultipartUpload") < puts[-1], "the large file did not wait for the small ones"
    assert order.index("CompleteMultipartUpload") > puts[0], "nor the small ones for the large one"


def test_sizes_around_a_part_arrive_as_they_were(upload, stored, tmp_path):
    root = tmp_path / "sizes"
    root.mkdir()
    for size in SIZES:
        (root / str(size)).write_bytes(os.urandom(size))
    upload(root)
    assert sorted(stored().values()) == SIZES


def test_sizes_around_a_part_arrive_at_a_strict_server(s3_fs, tmp_path):
    import boto3
    from rusty_attachments.asset_manifests import HashAlgorithm, hash_data

    client = boto3.client("s3", endpoint_url=s3_fs)
    client.create_bucket(Bucket="strict")
    try:
        for size in SIZES:
            body = os.urandom(size)
            (tmp_path / "file").write_bytes(body)
            uploader().upload_file_to_s3(tmp_path / "file", "strict", f"size-{size}")
            found = client.get_object(Bucket="strict", Key=f"size-{size}")["Body"].read()
            assert hash_data(found, HashAlgorithm.XXH128) == hash_data(body, HashAlgorithm.XXH128), size
    finally:
        client.close()


def test_bursts_of_slow_down_are_outlasted(rig, upload, stored, tree):
    rig.rules(
        {"operation": "PutObject", "skip": 20, "times": 20, "fault": {"kind": "status", "status": 503}},
        {
            "operation": "*",
            "probability": 0.1,
            "per_key": True,
            "times": 2,
            "fault": {"kind": "status", "status": 500},
        },
    )
    upload(tree)
    assert len(stored()) == 300


@pytest.mark.parametrize(
    "operation", ["PutObject", "UploadPart", "CompleteMultipartUpload", "CreateMultipartUpload"]
)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lost_reply"},
        {"kind": "reset"},
        {"kind": "reset_request", "at": 0},
        {"kind": "reset_request", "at": 0.5},
        {"kind": "reset_request", "at": -1},
        {"kind": "status", "status": 503, "retry_after": 0},
    ],
    ids=["lost reply", "reset", "reset at 0", "reset in the middle", "reset at the end", "503"],
)
def test_broken_connections_are_mended(rig, rig_bucket, upload, stored, tmp_path, operation, fault):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "small").write_bytes(b"small")
    (root / "large").write_bytes(os.urandom(2 * PART + 1))
    rig.rules({"operation": operation, "nth": [1], "fault": fault})
    upload(root)
    assert len(stored()) == 2
    left = rig.uploads(rig_bucket)
    # A begun upload whose reply was lost is known to nobody.
    assert len(left) <= (operation == "CreateMultipartUpload" and fault["kind"] == "lost_reply")


def test_an_error_in_a_200_is_an_error(rig, rig_bucket, upload, stored, tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "large").write_bytes(os.urandom(2 * PART + 1))
    fault = {"kind": "error_in_200"}
    rig.rules({"operation": "CompleteMultipartUpload", "times": 2, "fault": fault})
    upload(root)
    assert len(stored()) == 1
    rig.delete(rig_bucket, next(row["key"] for row in rig.objects(rig_bucket, "root/Data/")))
    rig.rules({"operation": "CompleteMultipartUpload", "fault": {**fault, "code": "SomethingElse"}})
    with pytest.raises((JobAttachmentsS3ClientError, JobAttachmentS3BotoCoreError), match=rig_bucket):
        upload(root, force_s3_check=True)
    assert stored() == {}
    assert rig.uploads(rig_bucket) == [], "dropped"


def test_an_upload_that_can_not_be_dropped_is_named(rig, rig_bucket, upload, tmp_path, caplog):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "large").write_bytes(os.urandom(PART + 1))
    rig.rules(
        {"operation": "UploadPart", "fault": {"kind": "status", "status": 403}},
        {"operation": "AbortMultipartUpload", "fault": {"kind": "status", "status": 403}},
    )
    with pytest.raises(JobAttachmentsS3ClientError):
        upload(root)
    (left,) = rig.uploads(rig_bucket)
    assert f"The unfinished upload {left['upload_id']} of s3://{rig_bucket}/" in caplog.text
    rig.rules()
    from datetime import timedelta

    from rusty_attachments.models import JobAttachmentS3Settings

    settings = JobAttachmentS3Settings(rig_bucket, "root")
    assert uploader().abort_stale_uploads(settings) == [], "it may be under way"
    (dropped,) = uploader().abort_stale_uploads(settings, timedelta(0))
    assert dropped.startswith(f"s3://{rig_bucket}/root/Data/")
    assert rig.uploads(rig_bucket) == []


def test_a_bucket_that_is_none(upload, tree):
    with pytest.raises(JobAttachmentS3BotoCoreError, match='Invalid bucket name "a/b"'):
        uploader().file_already_uploaded("a/b", "key")
    with pytest.raises(JobAttachmentS3BotoCoreError, match='Invalid bucket name ""'):
        uploader().upload_file_to_s3(tree / "file 1", "", "key")


def test_nobody_there_is_one_clear_error(upload, rig_bucket, tree, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(JobAttachmentS3BotoCoreError, match=rig_bucket):
        upload(tree)
