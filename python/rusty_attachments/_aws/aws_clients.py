"""boto3 clients as the reference makes them.

boto3 is imported in the functions: it is no dependency of this package.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Optional

from .._logs import logger
from .._version import version
from .aws_config import (
    S3_CONNECT_TIMEOUT_IN_SECS,
    S3_READ_TIMEOUT_IN_SECS,
    S3_RETRIES_MODE,
    VENDOR_CODE,
)

if TYPE_CHECKING:
    import boto3
    from botocore.client import BaseClient
    from botocore.session import Session as BotocoreSession

MAX_SIZE_CACHE = 128
"""Sessions and clients that are kept: making a client takes botocore some tenths of a second."""

_STS_TIMEOUT_IN_SECS = 2


def get_botocore_session() -> BotocoreSession:
    """A new session that asks regional endpoints, as newer versions of botocore do by default."""
    from botocore.session import get_session

    session = get_session()
    session.set_config_variable("sts_regional_endpoints", "regional")
    session.set_config_variable("s3", {"us_east_1_regional_endpoint": "regional"})
    return session


@lru_cache(maxsize=MAX_SIZE_CACHE)
def get_boto3_session(botocore_session: Optional[BotocoreSession] = None) -> boto3.session.Session:
    """A boto3 session on the botocore session, or on a new one."""
    import boto3

    return boto3.session.Session(botocore_session=botocore_session or get_botocore_session())


@lru_cache(maxsize=MAX_SIZE_CACHE)
def get_deadline_client(
    session: Optional[boto3.session.Session] = None, endpoint_url: Optional[str] = None
) -> BaseClient:
    """A client of Deadline Cloud."""
    return (session or get_boto3_session()).client(VENDOR_CODE, endpoint_url=endpoint_url)


@lru_cache(maxsize=MAX_SIZE_CACHE)
def get_s3_client(
    session: Optional[boto3.session.Session] = None, s3_max_pool_connections: int = 50
) -> BaseClient:
    """A client of S3 that sends `ExpectedBucketOwner` where the caller's account is known.

    Checksums of replies are checked only where S3 sends them unasked: asking costs a HEAD for each GET.
    """
    from botocore.client import Config

    session = session or get_boto3_session()
    client = session.client(
        "s3",
        config=Config(
            signature_version="s3v4",
            connect_timeout=S3_CONNECT_TIMEOUT_IN_SECS,
            read_timeout=S3_READ_TIMEOUT_IN_SECS,
            retries={"mode": S3_RETRIES_MODE},
            user_agent_extra=f"S3A/Deadline/NA/JobAttachments/{version}",
            max_pool_connections=s3_max_pool_connections,
            response_checksum_validation="when_required",
        ),
    )

    def add_expected_bucket_owner(params: dict[str, Any], model: Any, **_: Any) -> None:
        if "ExpectedBucketOwner" in model.input_shape.members:
            account_id = get_account_id(session=session)
            if account_id:
                params["ExpectedBucketOwner"] = account_id

    client.meta.events.register("provide-client-params.s3.*", add_expected_bucket_owner)
    return client


@lru_cache(maxsize=MAX_SIZE_CACHE)
def get_s3_transfer_manager(s3_client: BaseClient) -> Any:
    """A transfer manager of boto3 with its defaults."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    return create_transfer_manager(client=s3_client, config=TransferConfig())


@lru_cache(maxsize=MAX_SIZE_CACHE)
def get_account_id(session: Optional[boto3.session.Session] = None) -> Optional[str]:
    """The account that the session's credentials belong to, if it can be known.

    Credentials may carry it. Otherwise STS is asked, with short time-outs: a worker without a way to STS must
    not wait.
    """
    from botocore.client import Config
    from botocore.exceptions import BotoCoreError, ClientError

    session = session or get_boto3_session()
    credentials = session.get_credentials()
    if credentials is not None:
        account_id: Optional[str] = getattr(credentials.get_frozen_credentials(), "account_id", None)
        if account_id:
            return account_id
    config = Config(
        connect_timeout=_STS_TIMEOUT_IN_SECS,
        read_timeout=_STS_TIMEOUT_IN_SECS,
        retries={"max_attempts": 2},
    )
    try:
        answer = session.client("sts", config=config).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        logger().debug(
            "The AWS account is not known, and S3 requests name no expected bucket owner: %s", error
        )
        return None
    return str(answer["Account"])
