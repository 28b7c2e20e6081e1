"""boto3 clients and what Deadline Cloud answers, against the reference's functions."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from types import SimpleNamespace

import boto3
import deadline.job_attachments._aws.aws_clients as reference_clients
import deadline.job_attachments._aws.deadline as reference_deadline
import pytest
from botocore.exceptions import ClientError
from rusty_attachments import exceptions, models
from rusty_attachments._aws import aws_clients, deadline

QUEUE = {
    "queueId": "queue-1",
    "displayName": "Queue",
    "farmId": "farm-1",
    "status": "IDLE",
    "defaultBudgetAction": "NONE",
    "jobAttachmentSettings": {"s3BucketName": "bucket", "rootPrefix": "root"},
}
OLD_QUEUE = {
    **{key: value for key, value in QUEUE.items() if key not in ("displayName", "status")},
    "name": "Old",
    "state": "ON",
}
MANIFEST = {"rootPath": "/r", "rootPathFormat": "posix", "inputManifestPath": "k", "inputManifestHash": "h"}


class Session:
    """A boto3 session whose client answers with what it was given."""

    def __init__(self, answer):
        self.answer = answer

    def client(self, name, **_):
        assert name == "deadline"

        def call(**_):
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return SimpleNamespace(get_queue=call, get_job=call)


@pytest.mark.parametrize(
    "answer",
    [
        QUEUE,
        OLD_QUEUE,
        {**QUEUE, "jobAttachmentSettings": {}},
        {**QUEUE, "jobAttachmentSettings": {"s3BucketName": ""}},
    ],
)
def test_queues(answer):
    ours = deadline.get_queue("farm-1", "queue-1", session=Session(answer))
    theirs = reference_deadline.get_queue("farm-1", "queue-1", session=Session(answer))
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)


@pytest.mark.parametrize(
    "attachments", [None, {}, {"manifests": [MANIFEST]}, {"manifests": [MANIFEST], "fileSystem": "VIRTUAL"}]
)
def test_jobs(attachments):
    answer = {"jobId": "job-1", "attachments": attachments}
    ours = deadline.get_job("farm-1", "queue-1", "job-1", session=Session(answer))
    theirs = reference_deadline.get_job("farm-1", "queue-1", "job-1", session=Session(answer))
    if ours.attachments:
        assert ours.attachments.manifests == [models.ManifestProperties.from_dict(MANIFEST)]
        ours.attachments.manifests[0].inputManifestHash = None
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)


@pytest.mark.parametrize("name", ["get_queue", "get_job"])
def test_refusals(name):
    error = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetQueue")
    texts = []
    for module in (deadline, reference_deadline):
        arguments = ["farm-1", "queue-1", "job-1"][: 3 if name == "get_job" else 2]
        with pytest.raises(Exception, match="Failed to get") as raised:
            getattr(module, name)(*arguments, session=Session(error))
        texts.append(str(raised.value))
        if module is deadline:
            assert isinstance(raised.value, exceptions.JobAttachmentsError)
    assert texts[0] == texts[1]


def test_s3_clients_send_what_the_references_send(rig, rig_bucket):
    rig.put(rig_bucket, "key", b"body")
    seen = []
    for module in (aws_clients, reference_clients):
        rig.config(log=True)
        client = module.get_s3_client(boto3.session.Session())
        assert client.get_object(Bucket=rig_bucket, Key="key")["Body"].read() == b"body"
        (entry,) = [entry for entry in rig.log() if entry["operation"] == "GetObject"][-1:]
        seen.append("S3A/Deadline/NA/JobAttachments/" in entry["user_agent"])
        config = client.meta.config
        seen.append(
            (config.read_timeout, config.connect_timeout, config.max_pool_connections, config.retries)
        )
    assert seen[:2] == seen[2:]
    assert seen[0] is True
    assert aws_clients.get_account_id(boto3.session.Session()) == "123456789012"


def test_boto3_is_not_imported():
    code = (
        "import sys, rusty_attachments.swap, rusty_attachments.worker.upload, rusty_attachments.worker.download, "
        "rusty_attachments._aws.deadline; sys.exit('boto3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
