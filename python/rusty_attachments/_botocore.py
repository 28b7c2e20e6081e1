"""The errors of botocore that the reference chains to its own.

Programs look at `error.__cause__.response`. Where botocore is installed, the cause is of its classes, else of classes
of this module that look alike.
"""

from __future__ import annotations

from typing import Any, Optional

__all__ = ["BotoCoreError", "ClientError", "client_error", "request_error"]


class ClientError(Exception):
    """An error reply of a service, as `botocore.exceptions.ClientError` shows it.

    Attributes:
        response: `Error` with `Code` and `Message`, and `ResponseMetadata` with `HTTPStatusCode`.
        operation_name: The service's name of the operation, such as `PutObject`.
    """

    def __init__(self, error_response: dict[str, Any], operation_name: str) -> None:
        error = error_response.get("Error", {})
        super().__init__(
            f"An error occurred ({error.get('Code', 'Unknown')}) when calling the {operation_name} operation: "
            f"{error.get('Message', 'Unknown')}"
        )
        self.response = error_response
        self.operation_name = operation_name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.response, self.operation_name)


class BotoCoreError(Exception):
    """No usable answer came from a service, as `botocore.exceptions.BotoCoreError` says it."""


def client_error(
    operation: str, status: int, code: str, text: str, ids: tuple[Optional[str], Optional[str]]
) -> Exception:
    """The error of an error reply; `ids` are those of the request and of the host."""
    request_id, host_id = ids
    metadata = {"RequestId": request_id, "HostId": host_id}
    response = {
        "Error": {"Code": code, "Message": text},
        "ResponseMetadata": {
            **{name: value for name, value in metadata.items() if value},
            "HTTPStatusCode": status,
            "HTTPHeaders": {},
            "RetryAttempts": 0,
        },
    }
    try:
        from botocore.exceptions import ClientError as found
    except ImportError:
        return ClientError(response, operation)
    made: Exception = found(response, operation)
    return made


def request_error(details: str) -> Exception:
    """The error of a request that got no usable answer."""
    try:
        from botocore.exceptions import HTTPClientError as found
    except ImportError:
        return BotoCoreError(details)
    # The class by which botocore tells of connections and bodies that failed.
    made: Exception = found(error=details)
    return made
