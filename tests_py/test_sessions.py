"""What a session raises while a call asks it for credentials, and credentials that no request can carry."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Callable

import pytest
from botocore import exceptions as botocore_exceptions
from rusty_attachments.download import (
    download_files_from_manifests,
    download_files_from_manifests_async,
    get_manifest_from_s3,
)
from rusty_attachments.exceptions import (
    AssetSyncError,
    InternalError,
    JobAttachmentS3BotoCoreError,
    JobAttachmentsError,
    JobAttachmentsS3ClientError,
)
from transfers import CAS_PREFIX, download, make_tree, manifest_of, upload


class Session:
    """What of a boto3 session is asked for."""

    region_name = "us-west-2"
    profile_name = "default"

    def __init__(self, fetch: Callable[[], Any]) -> None:
        self.get_credentials = fetch


def raising(raised: BaseException) -> Session:
    def fetch():
        raise raised

    return Session(fetch)


def having(access_key: Any, secret_key: Any, token: Any = None, account_id: Any = None) -> Session:
    frozen = SimpleNamespace(access_key=access_key, secret_key=secret_key, token=token)
    return Session(lambda: SimpleNamespace(get_frozen_credentials=lambda: frozen, account_id=account_id))


@pytest.fixture(params=["plain", "awaited"])
def call(request, rig, rig_bucket, tmp_path):
    """Callable: downloads with a session."""
    root = make_tree(tmp_path / "source", files=2)
    manifest = manifest_of(root)
    upload(rig_bucket, root, tmp_path / "caches", manifest=manifest)
    arguments = (rig_bucket, {str(tmp_path / "target"): manifest}, CAS_PREFIX)

    def run(session: Session) -> Any:
        if request.param == "plain":
            return download_files_from_manifests(*arguments, session=session)
        return asyncio.run(download_files_from_manifests_async(*arguments, session=session))

    return run


class OwnBase(BaseException):
    pass


@pytest.mark.parametrize(
    "raised", [KeyboardInterrupt(), SystemExit(3), OwnBase("own"), JobAttachmentsError("one of ours")]
)
def test_what_is_no_error_of_s3_comes_through_as_it_is(call, raised):
    with pytest.raises(type(raised)) as caught:
        call(raising(raised))
    assert caught.value is raised


def test_other_exceptions_are_the_cause_of_the_references_class(call):
    raised = ZeroDivisionError("in the session")
    with pytest.raises(AssetSyncError, match="in the session") as caught:
        call(raising(raised))
    assert caught.value.__cause__ is raised


def test_what_botocore_raises_is_reported_with_what_was_being_done(call, rig_bucket):
    raised = botocore_exceptions.UnauthorizedSSOTokenError()
    with pytest.raises(JobAttachmentS3BotoCoreError, match="downloading file") as caught:
        call(raising(raised))
    assert str(raised) in str(caught.value)
    assert caught.value.__cause__ is raised


def test_a_service_that_refuses_credentials_is_reported_with_its_status(call, rig_bucket):
    reply = {
        "Error": {"Code": "AccessDenied", "Message": "not yours"},
        "ResponseMetadata": {"HTTPStatusCode": 403},
    }
    raised = botocore_exceptions.ClientError(reply, "AssumeRole")
    with pytest.raises(JobAttachmentsS3ClientError, match="not yours") as caught:
        call(raising(raised))
    assert (caught.value.status_code, caught.value.bucket_name) == (403, rig_bucket)
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize(
    ("credentials", "mention"),
    [
        (("key\n", "secret"), "the access key id has a line end in it"),
        ((" key", "secret"), "the access key id has a blank in it"),
        (("key", "secret\r\n"), "secret access key"),
        (("key", "secret", "token\n"), "the session token has a line end in it"),
        (
            ("key", "secret", "t\N{LATIN SMALL LETTER O WITH DIAERESIS}ken"),
            "characters in it that can't be sent",
        ),
        (("key", "secret", None, "123456789012\n"), "the account id has a line end in it"),
        (("", "secret"), "the access key id is empty"),
    ],
)
def test_credentials_that_no_request_can_carry_are_named(call, credentials, mention, capfd):
    with pytest.raises(JobAttachmentS3BotoCoreError, match=mention):
        call(having(*credentials))
    assert capfd.readouterr().err == ""


def test_an_empty_token_is_none(call):
    assert call(having("test", "test", "")).processed_files == 2


def test_other_calls_too(rig, rig_bucket):
    raised = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught:
        get_manifest_from_s3("a key", rig_bucket, raising(raised))
    assert caught.value is raised


def test_a_panic_is_an_exception_of_ours(rig, rig_bucket, tmp_path):
    """A panic that passed through a callback is one again behind it."""
    assert issubclass(InternalError, Exception)
    assert InternalError.__module__ == "rusty_attachments.exceptions"
    assert not [kind for kind in BaseException.__subclasses__() if kind is InternalError]
    root = make_tree(tmp_path / "source", files=2)
    manifest = manifest_of(root)
    upload(rig_bucket, root, tmp_path / "caches", manifest=manifest)

    def callback(_metadata) -> bool:
        raise InternalError("a panic of an inner call")

    with pytest.raises(InternalError, match="a panic of an inner call"):
        download(rig_bucket, manifest, tmp_path / "target", callback=callback)
