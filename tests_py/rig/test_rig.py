"""The rig as boto3 sees it, and its fixtures."""

from __future__ import annotations

import hashlib
import io
import socket

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from rig.server import RigServer

PART_BYTES = 5 * 1024 * 1024


@pytest.fixture
def s3(rig):
    client = boto3.client(
        "s3", config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    )
    yield client
    client.close()


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def test_objects_come_back_with_their_metadata(s3, rig, rig_bucket):
    s3.put_object(
        Bucket=rig_bucket, Key="a/ü b", Body=b"hello", Metadata={"asset-root": "/x"}, ContentType="text/y"
    )
    got = s3.get_object(Bucket=rig_bucket, Key="a/ü b")
    assert got["Body"].read() == b"hello"
    assert got["Metadata"] == {"asset-root": "/x"}
    assert got["ContentType"] == "text/y"
    assert s3.head_object(Bucket=rig_bucket, Key="a/ü b")["ContentLength"] == 5
    assert rig.stats()["operations"] == {"CreateBucket": 1, "GetObject": 1, "HeadObject": 1, "PutObject": 1}


def test_a_managed_upload_is_put_together(s3, rig, rig_bucket):
    body = bytes(range(256)) * 4096 * 20
    s3.upload_fileobj(io.BytesIO(body), rig_bucket, "large")
    assert rig.count("UploadPart") == 3
    assert rig.uploads(rig_bucket) == []
    target = io.BytesIO()
    s3.download_fileobj(rig_bucket, "large", target)
    assert hashlib.sha256(target.getvalue()).digest() == hashlib.sha256(body).digest()


def test_listings_are_paged(s3, rig_bucket):
    for number in range(5):
        s3.put_object(Bucket=rig_bucket, Key=f"p/{number} ü", Body=b"")
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(
            Bucket=rig_bucket, Prefix="p/", PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["Contents"]) for page in pages] == [2, 2, 1]
    assert [row["Key"] for page in pages for row in page["Contents"]] == [
        f"p/{number} ü" for number in range(5)
    ]


def test_rules_strike_and_are_counted(s3, rig, rig_bucket):
    rig.rules({"operation": "GetObject", "nth": [1], "fault": {"kind": "status", "status": 500}})
    s3.put_object(Bucket=rig_bucket, Key="k", Body=b"x")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=rig_bucket, Key="k")
    assert code(error) == "InternalError"
    assert s3.get_object(Bucket=rig_bucket, Key="k")["Body"].read() == b"x"
    assert rig.stats()["faults"] == [1]


def test_what_a_client_asked_before_it_went_is_counted_once_the_rig_is_idle():
    with RigServer() as rig:
        rig.create_bucket("bucket")
        with socket.create_connection((rig.host, rig.port)) as client:
            client.sendall(b"HEAD /bucket/k HTTP/1.1\r\nHost: rig\r\n\r\n" * 50)
            with pytest.raises(TimeoutError, match="still holds"):
                rig.wait_until_idle(seconds=0.05)
        rig.wait_until_idle()
        assert rig.count("HeadObject") > 0


def test_a_rule_that_makes_no_sense_is_refused(rig):
    with pytest.raises(ValueError, match="unknown variant"):
        rig.rules({"fault": {"kind": "no such fault"}})


def test_the_oracle_sees_contents_under_a_wrong_key(rig, rig_bucket):
    rig.put(rig_bucket, "Data/00.xxh128", b"")
    (row,) = rig.objects(rig_bucket, hashed=True)
    assert row["xxh128"] == "99aa06d3014798d86001c324468d497f"
    assert row["size"] == 0


def test_contents_are_stored_under_their_hash(rig, rig_bucket):
    digest = rig.store(b"hello", rig_bucket, "root/Data/")
    assert digest == "b5e9c1ad071b3e7fc779cfaa5e523818" == rig.store(b"hello")
    assert rig.get(rig_bucket, f"root/Data/{digest}.xxh128") == b"hello"


def test_each_test_starts_clean(rig, rig_bucket):
    assert rig.objects(rig_bucket) == []
    assert rig.config()["delay_ms"] == 0


def test_owner_and_expiry(s3, rig, rig_bucket):
    rig.config(account="1")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=rig_bucket, Key="k", Body=b"", ExpectedBucketOwner="2")
    assert code(error) == "AccessDenied"
    rig.config(account=None, expired_keys=["test"])
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=rig_bucket, Key="k", Body=b"")
    assert code(error) == "ExpiredToken"


def test_s3s_fs_serves(s3_fs):
    client = boto3.client("s3", endpoint_url=s3_fs)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="k", Body=b"x")
    assert client.get_object(Bucket="bucket", Key="k")["Body"].read() == b"x"
    client.close()
