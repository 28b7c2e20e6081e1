"""Manifests load from S3 by their URI, in one request, and errors name it."""

import boto3
import pytest
import rusty_attachments
from rusty_attachments import load_manifest
from rusty_attachments.asset_manifests.v2025_12_04 import AssetManifest, ManifestFilePath
from rusty_attachments.exceptions import AssetSyncError, JobAttachmentsS3ClientError

TEXT = (
    '{"hashAlg":"xxh128","manifestVersion":"2023-03-03",'
    '"paths":[{"hash":"a1","mtime":1,"path":"a\\u00e9.txt","size":5}],"totalSize":5}'
)
KEY = "root/Manifests/farm/queue/Inputs/0/a b+c_input"


def test_a_uri_is_fetched_in_one_request(rig, rig_bucket):
    rig.put(rig_bucket, KEY, TEXT.encode())
    rig.config(log=True)
    manifest = load_manifest(f"s3://{rig_bucket}/{KEY}")
    assert manifest.encode() == TEXT
    assert manifest.paths[0].path == "a\u00e9.txt"
    assert [request["operation"] for request in rig.log()] == ["GetObject"]
    assert rusty_attachments.load_manifest is load_manifest


def test_the_later_version_loads_too(rig, rig_bucket):
    made = AssetManifest(
        hash_alg="xxh128", paths=[ManifestFilePath(path="f", hash="a1", size=1, mtime=2)], total_size=1
    )
    rig.put(rig_bucket, "m", made.encode().encode())
    assert load_manifest(f"s3://{rig_bucket}/m") == made


def test_credentials_come_from_the_session(rig, rig_bucket, monkeypatch):
    rig.put(rig_bucket, KEY, TEXT.encode())
    session = boto3.Session("SESSIONKEY", "secret", region_name="us-west-2")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    rig.config(log=True)
    assert load_manifest(f"s3://{rig_bucket}/{KEY}", session=session).encode() == TEXT
    assert {request["access_key"] for request in rig.log()} == {"SESSIONKEY"}


def test_what_is_not_there_is_told_with_guidance(rig, rig_bucket):
    with pytest.raises(JobAttachmentsS3ClientError) as caught:
        load_manifest(f"s3://{rig_bucket}/absent")
    error = caught.value
    assert (error.action, error.status_code) == ("downloading binary file", 404)
    assert (error.bucket_name, error.key_or_prefix) == (rig_bucket, "absent")
    assert "Not found" in str(error)
    with pytest.raises(JobAttachmentsS3ClientError) as caught:
        load_manifest("s3://no-such-bucket/m")
    assert (caught.value.status_code, caught.value.bucket_name) == (404, "no-such-bucket")


def test_a_refusal_is_told_with_guidance(rig, rig_bucket):
    rig.put(rig_bucket, KEY, TEXT.encode())
    rig.rules({"operation": "GetObject", "fault": {"kind": "status", "status": 403, "code": "AccessDenied"}})
    with pytest.raises(JobAttachmentsS3ClientError, match="s3:GetObject") as caught:
        load_manifest(f"s3://{rig_bucket}/{KEY}")
    assert caught.value.status_code == 403


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"no manifest", "Expecting value"),
        (b"", "Expecting value"),
        (TEXT.replace("2023-03-03", "1999").encode(), "Unknown manifest version: 1999"),
        (TEXT.replace('"hash":"a1",', "").encode(), "missing required field"),
    ],
)
def test_what_is_no_manifest_is_named(rig, rig_bucket, body, problem):
    rig.put(rig_bucket, "m", body)
    with pytest.raises(AssetSyncError, match=problem) as caught:
        load_manifest(f"s3://{rig_bucket}/m")
    assert str(caught.value).startswith(f"s3://{rig_bucket}/m: ")


def test_strict_refuses_what_the_reference_would_take(rig, rig_bucket):
    rig.put(rig_bucket, "m", TEXT.replace('"totalSize":5', '"totalSize":1').encode())
    uri = f"s3://{rig_bucket}/m"
    assert load_manifest(uri).totalSize == 1
    with pytest.raises(AssetSyncError, match=f"^{uri}: totalSize is 1, but the sizes add up to 5"):
        load_manifest(uri, strict=True)


@pytest.mark.parametrize("uri", ["s3://", "s3://bucket", "s3://bucket/", "s3:///key"])
def test_a_uri_without_bucket_or_key_is_refused(uri):
    with pytest.raises(ValueError, match=f"not an S3 URI with bucket and key: {uri}$"):
        load_manifest(uri)


def test_a_name_that_no_bucket_has_is_refused_before_any_request(rig):
    with pytest.raises(AssetSyncError, match="Invalid bucket name"):
        load_manifest("s3://no bucket/key")
    assert rig.stats()["operations"] == {}
