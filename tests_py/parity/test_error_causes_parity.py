"""The errors of S3 carry botocore's beneath them, as the reference's do, and say the same."""

from __future__ import annotations

import gc
import importlib
import io
import pickle
import subprocess
import sys

import boto3
import botocore.exceptions
import pytest
from download.job import FARM, JOB, PREFIX, QUEUE, JobInS3, entry, manifest_text
from download.trees import SIDES
from rusty_attachments import _botocore

# boto3's clients, which the reference makes, leave their connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Calls:
    """The same calls of either side."""

    def __init__(self, side, bucket, folder):
        self.side, self.bucket = side, bucket
        self.folder = folder / side.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.session = boto3.Session(region_name="us-west-2")
        self.settings = side.models.JobAttachmentS3Settings(s3BucketName=bucket, rootPrefix=PREFIX)

    def upload_file(self):
        file = self.folder / "input"
        file.write_bytes(b"input")
        self.uploader().upload_file_to_s3(file, self.bucket, "key of a file")

    def upload_bytes(self):
        self.uploader().upload_bytes_to_s3(io.BytesIO(b"bytes"), self.bucket, "key of bytes")

    def look(self):
        return self.uploader().file_already_uploaded(self.bucket, "key that is looked for")

    def manifest(self):
        self.side.download.get_manifest_from_s3("key of a manifest", self.bucket, self.session)

    def outputs(self):
        self.side.download.get_output_manifests_by_asset_root(
            self.settings, FARM, QUEUE, JOB, session=self.session
        )

    def download(self):
        manifest = self.side.decode(manifest_text([entry("a", b"a")]))
        self.side.download.download_files_from_manifests(
            self.bucket, {str(self.folder): manifest}, cas_prefix=f"{PREFIX}/Data", session=self.session
        )

    def uploader(self):
        package = self.side.download.__name__.rpartition(".")[0]
        return importlib.import_module(f"{package}.upload").S3AssetUploader(
            session=self.session, s3_max_pool_connections=10, small_file_threshold_multiplier=20
        )


CALLS = [name for name, value in vars(Calls).items() if not name.startswith("_") and name != "uploader"]


def raised(side, bucket, folder, call):
    """The error of a call, without what differs from side to side in its text."""
    calls = Calls(side, bucket, folder)
    with pytest.raises(Exception) as found:  # noqa: PT011 - the type is compared
        getattr(calls, call)()
    gc.collect()
    return found.value, str(found.value).replace(str(calls.folder), "<folder>")


def both(bucket, folder, call):
    (theirs, their_text), (ours, our_text) = (raised(side, bucket, folder, call) for side in SIDES)
    assert type(ours).__name__ == type(theirs).__name__
    return theirs, their_text, ours, our_text


OPERATIONS = {
    "upload_file": "PutObject",
    "upload_bytes": "PutObject",
    "look": "HeadObject",
    "manifest": "GetObject",
    "outputs": "ListObjectsV2",
    "download": "GetObject",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_refusal(rig, rig_bucket, tmp_path, call):
    JobInS3(rig, rig_bucket)
    fault = {"kind": "status", "status": 403, "code": "AccessDenied", "message": "Access Denied"}
    rig.rules({"operation": OPERATIONS[call], "fault": fault})
    theirs, their_text, ours, our_text = both(rig_bucket, tmp_path, call)
    same_reply(ours, theirs)
    assert our_text == their_text


@pytest.mark.parametrize("call", [call for call in CALLS if call != "look"])
def test_a_bucket_that_is_not_there(rig, tmp_path, call):
    theirs, their_text, ours, our_text = both("no-such-bucket", tmp_path, call)
    same_reply(ours, theirs)
    assert our_text == their_text


def same_reply(ours, theirs):
    for error in (ours, theirs):
        assert isinstance(error.__cause__, botocore.exceptions.ClientError)
    mine, expected = ours.__cause__.response, theirs.__cause__.response
    assert {name: mine["Error"].get(name) for name in ("Code", "Message")} == {
        name: expected["Error"].get(name) for name in ("Code", "Message")
    }
    status = "HTTPStatusCode"
    assert mine["ResponseMetadata"][status] == expected["ResponseMetadata"][status] == ours.status_code
    assert set(mine["ResponseMetadata"]) >= {"HTTPHeaders", "RetryAttempts"}
    assert ours.__cause__.operation_name == theirs.__cause__.operation_name
    assert str(ours.__cause__) == str(theirs.__cause__)


@pytest.mark.parametrize("call", CALLS)
def test_an_endpoint_that_is_not_there(rig, monkeypatch, tmp_path, call):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    theirs, their_text, ours, our_text = both("bucket", tmp_path, call)
    for error in (theirs, ours):
        assert isinstance(error.__cause__, botocore.exceptions.BotoCoreError)
    # What went wrong is each side's own; what was being done, and the advice, are the same.
    assert ours.action == theirs.action
    assert our_text.split(": ")[0] == their_text.split(": ")[0]
    assert our_text.splitlines()[-1] == their_text.splitlines()[-1]


WITHOUT_BOTOCORE = """
import pickle, sys
for name in ("botocore", "boto3", "deadline"):
    sys.modules[name] = None
from rusty_attachments import download
from rusty_attachments.exceptions import JobAttachmentsS3ClientError
try:
    download.get_manifest_from_s3("key", "no-such-bucket")
except JobAttachmentsS3ClientError as error:
    cause = error.__cause__
    print(type(cause).__module__, cause.response["Error"]["Code"], cause.operation_name, cause)
    again = pickle.loads(pickle.dumps(cause))
    print((again.response, str(again)) == (cause.response, str(cause)))
"""


def test_without_botocore_the_cause_looks_alike(rig):
    done = subprocess.run([sys.executable, "-c", WITHOUT_BOTOCORE], capture_output=True, text=True)
    text = "An error occurred (NoSuchBucket) when calling the GetObject operation: "
    first, second = done.stdout.splitlines()
    assert first.startswith(f"rusty_attachments._botocore NoSuchBucket GetObject {text}"), done.stderr
    assert second == "True"


def test_errors_can_be_pickled_with_their_causes():
    error = _botocore.ClientError({"Error": {"Code": "X", "Message": "why"}}, "PutObject")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "An error occurred (X) when calling the PutObject operation: why"
    assert again.response == error.response
