"""Queues and jobs from Deadline Cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional

from ..exceptions import JobAttachmentsError
from ..models import (
    Attachments,
    Job,
    JobAttachmentS3Settings,
    JobAttachmentsFileSystem,
    ManifestProperties,
    Queue,
)
from .aws_clients import get_deadline_client

if TYPE_CHECKING:
    import boto3


def get_queue(
    farm_id: str,
    queue_id: str,
    session: Optional[boto3.session.Session] = None,
    deadline_endpoint_url: Optional[str] = None,
) -> Queue:
    """Asks for a queue.

    Args:
        farm_id: The farm.
        queue_id: The queue.
        session: The session to ask with; by default one with boto3's own search for credentials.
        deadline_endpoint_url: Where to ask, if not at the service's own endpoint.

    Raises:
        JobAttachmentsError: The service refused.
    """
    client = get_deadline_client(session=session, endpoint_url=deadline_endpoint_url)
    answer = _ask(
        lambda: client.get_queue(farmId=farm_id, queueId=queue_id),
        lambda error: f'Failed to get queue "{queue_id}" from Deadline: {error}',
    )
    # A queue without job attachments has the settings too, with nothing in them.
    settings = answer.get("jobAttachmentSettings") or {}
    bucket = settings.get("s3BucketName")
    return Queue(
        queueId=answer["queueId"],
        # Earlier versions of the service called these "name" and "state".
        displayName=answer["name" if "name" in answer else "displayName"],
        farmId=answer["farmId"],
        status=answer["state" if "state" in answer else "status"],
        defaultBudgetAction=answer["defaultBudgetAction"],
        jobAttachmentSettings=(
            JobAttachmentS3Settings(s3BucketName=bucket, rootPrefix=settings.get("rootPrefix", ""))
            if bucket
            else None
        ),
    )


def get_job(
    farm_id: str,
    queue_id: str,
    job_id: str,
    session: Optional[boto3.session.Session] = None,
    deadline_endpoint_url: Optional[str] = None,
) -> Job:
    """Asks for a job.

    Args:
        farm_id: The farm.
        queue_id: The queue.
        job_id: The job.
        session: The session to ask with; by default one with boto3's own search for credentials.
        deadline_endpoint_url: Where to ask, if not at the service's own endpoint.

    Raises:
        JobAttachmentsError: The service refused.
    """
    client = get_deadline_client(session=session, endpoint_url=deadline_endpoint_url)
    answer = _ask(
        lambda: client.get_job(farmId=farm_id, queueId=queue_id, jobId=job_id),
        lambda _error: f'Failed to get job "{job_id}" from Deadline',
    )
    attachments = None
    found = answer.get("attachments")
    if found:
        attachments = Attachments(
            manifests=[ManifestProperties.from_dict(entry) for entry in found["manifests"]],
            fileSystem=JobAttachmentsFileSystem(
                found.get("fileSystem", JobAttachmentsFileSystem.COPIED.value)
            ),
        )
    return Job(jobId=answer["jobId"], attachments=attachments)


def _ask(request: Callable[[], Any], text: Callable[[Exception], str]) -> Any:
    """Makes a request; a refusal of the service is told with a text."""
    from botocore.exceptions import ClientError

    try:
        return request()
    except ClientError as error:
        raise JobAttachmentsError(text(error)) from error
