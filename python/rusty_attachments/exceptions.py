"""The errors that job attachments raise.

Names, hierarchy, fields and texts are those of the reference, `deadline.job_attachments.exceptions`. There
are two roots: `AssetSyncError`, for moving files to and from S3, and `JobAttachmentsError`, for everything
else; a cancelled operation is of the second.

Where the reference is installed, each class here derives from the reference's class of the same name, so that
`except deadline.job_attachments.exceptions.AssetSyncError` catches ours too. In the other direction
`isinstance` and `issubclass` take the reference's errors for ours; an `except` clause can't, since Python
looks only at true base classes there.
"""

from __future__ import annotations

import errno
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any, Optional

#: A panic of the native module: a bug in this package. Its text says what went wrong.
from ._native import InternalError

try:
    # Costs about a millisecond: this module of the reference imports nothing but `typing`.
    from deadline.job_attachments import exceptions as _found
except ImportError:
    _reference: Optional[ModuleType] = None
else:
    _reference = _found

if TYPE_CHECKING:
    from .progress_tracker import SummaryStatistics

__all__ = [
    "COMMON_ERROR_GUIDANCE_FOR_S3",
    "AssetOutsideOfRootError",
    "AssetSyncCancelledError",
    "AssetSyncError",
    "InternalError",
    "JobAttachmentS3BotoCoreError",
    "JobAttachmentsError",
    "JobAttachmentsS3ClientError",
    "MalformedAttachmentSettingError",
    "ManifestCreationException",
    "ManifestDecodeValidationError",
    "MisconfiguredInputsError",
    "MissingAssetRootError",
    "MissingJobAttachmentSettingsError",
    "MissingManifestError",
    "MissingS3BucketError",
    "MissingS3RootPrefixError",
    "NonValidInputError",
    "PathOutsideDirectoryError",
    "SourceFileError",
    "SourceFileIsADirectoryError",
    "SourceFileNotFoundError",
    "SourceFilePermissionError",
    "UnsupportedHashingAlgorithmError",
    "VFSExecutableMissingError",
    "VFSFailedToMountError",
    "VFSLaunchScriptMissingError",
    "VFSOSUserNotSetError",
    "VFSRunPathNotSetError",
]

COMMON_ERROR_GUIDANCE_FOR_S3 = {
    408: "Request timeout. Please consider retrying later, or ensure your network connection is stable.",
    500: (
        "Internal server error. It might be an issue on AWS's side; "
        "please consider retrying later or contacting AWS support."
    ),
    503: (
        "Service unavailable. AWS S3 might be down or experiencing high traffic. "
        "Please consider retrying after some time."
    ),
}
"""What to tell the user about an HTTP status that any S3 request may get."""


class _Twin(type):
    """Ties a class of this module to the reference's class of the same name, where there is one."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _Twin:
        twin = getattr(_reference, name, None) if namespace.get("__module__") == __name__ else None
        if isinstance(twin, type):
            # The twin comes last, so that what is defined here wins; a base that the twin has already would
            # come too early.
            bases = (*(base for base in bases if base not in twin.__mro__), twin)
        created = super().__new__(mcs, name, bases, namespace)
        created._twin = twin
        return created

    _twin: Optional[type]

    def __instancecheck__(cls, instance: object) -> bool:
        return cls.__subclasscheck__(type(instance))

    def __subclasscheck__(cls, subclass: type) -> bool:
        twin = cls._twin
        return super().__subclasscheck__(subclass) or (twin is not None and twin in subclass.__mro__)


class AssetSyncError(Exception, metaclass=_Twin):
    """Files could not be moved to or from S3."""


class SourceFileError(AssetSyncError, OSError):
    """A local file can't be hashed or uploaded, for a reason of the operating system's.

    The reference raises a plain `OSError` when it hashes, and an `AssetSyncError` when it uploads: `except` clauses
    for either catch this. Where Python has a subclass of `OSError` for the reason, the error is of that, too.

    Attributes:
        errno: The system's error number.
        strerror: The system's words for it.
        filename: The file.
    """

    def __init__(self, message: str, number: int, filename: str) -> None:
        OSError.__init__(self, number, os.strerror(number), filename)
        self.args = (message,)

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.errno, self.filename), self.__dict__


class SourceFileNotFoundError(SourceFileError, FileNotFoundError):
    """A local file to hash or upload is not there."""


class SourceFileIsADirectoryError(SourceFileError, IsADirectoryError):
    """A directory is where a local file to hash or upload should be."""


class SourceFilePermissionError(SourceFileError, PermissionError):
    """A local file to hash or upload may not be read."""


_BY_NUMBER: dict[int, type[SourceFileError]] = {
    errno.ENOENT: SourceFileNotFoundError,
    errno.EISDIR: SourceFileIsADirectoryError,
    errno.EACCES: SourceFilePermissionError,
    errno.EPERM: SourceFilePermissionError,
}


def source_file_error(message: str, number: int, filename: str) -> SourceFileError:
    """The error for a local file, of the class that belongs to the system's error number."""
    return _BY_NUMBER.get(number, SourceFileError)(message, number, filename)


class JobAttachmentsError(Exception, metaclass=_Twin):
    """Job attachments could not do what was asked, for another reason than a transfer's failure."""


class JobAttachmentsS3ClientError(AssetSyncError):
    """S3 answered with an error status.

    Attributes:
        action: What was being done, such as "uploading file".
        status_code: The HTTP status.
        bucket_name: The bucket.
        key_or_prefix: The object's key, or the prefix of a listing.
    """

    def __init__(
        self,
        action: str,
        status_code: int,
        bucket_name: str,
        key_or_prefix: str,
        message: Optional[str] = None,
    ) -> None:
        self.action = action
        self.status_code = status_code
        self.bucket_name = bucket_name
        self.key_or_prefix = key_or_prefix
        self._message = message
        text = (
            f"Error {action} in bucket '{bucket_name}', Target key or prefix: '{key_or_prefix}', "
            f"HTTP Status Code: {status_code}"
        )
        # Not super(): with the reference installed that is the twin's constructor, which takes other
        # arguments.
        Exception.__init__(self, f"{text}, {message}" if message else text)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.action, self.status_code, self.bucket_name, self.key_or_prefix, self._message)
        return type(self), fields, self.__dict__


class JobAttachmentS3BotoCoreError(AssetSyncError):
    """No usable answer came from AWS: no connection, no credentials, a time-out.

    Attributes:
        action: What was being done.
    """

    def __init__(self, action: str, error_details: str) -> None:
        self.action = action
        self._error_details = error_details
        Exception.__init__(
            self,
            f"An issue occurred with AWS service request while {action}: {error_details}\n"
            "This could be due to temporary issues with AWS, internet connection, or your AWS credentials. "
            "Please verify your credentials and network connection. If the problem persists, try again later "
            "or contact support for further assistance.",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.action, self._error_details), self.__dict__


class MissingJobAttachmentSettingsError(JobAttachmentsError):
    """The queue has no job attachment settings."""


class ManifestCreationException(Exception, metaclass=_Twin):
    """A manifest could not be made."""


class MissingS3BucketError(JobAttachmentsError):
    """The queue's job attachment settings name no bucket."""


class MissingS3RootPrefixError(JobAttachmentsError):
    """The queue's job attachment settings have no root prefix."""


class MalformedAttachmentSettingError(JobAttachmentsError):
    """A root path or root URI does not name a bucket and a prefix."""


class AssetOutsideOfRootError(JobAttachmentsError):
    """An asset lies outside its asset root."""


class MisconfiguredInputsError(JobAttachmentsError):
    """Inputs are missing, or are directories where files were meant."""


class ManifestDecodeValidationError(JobAttachmentsError):
    """A manifest's JSON does not follow the format."""


class MissingManifestError(JobAttachmentsError):
    """A manifest that was asked for is not there."""


class MissingAssetRootError(JobAttachmentsError):
    """An output manifest in S3 carries no asset root in its metadata."""


class AssetSyncCancelledError(JobAttachmentsError):
    """The caller stopped the operation.

    Attributes:
        summary_statistics: What was done before, where the operation knows it.
    """

    def __init__(self, message: str, summary_statistics: Optional[SummaryStatistics] = None) -> None:
        Exception.__init__(self, message)
        self.summary_statistics = summary_statistics


class PathOutsideDirectoryError(JobAttachmentsError):
    """A path leads out of the directory that it must stay in."""


class VFSExecutableMissingError(JobAttachmentsError):
    """The virtual file system's executable is not there."""


class VFSLaunchScriptMissingError(JobAttachmentsError):
    """The virtual file system's launch script is not there."""


class VFSFailedToMountError(JobAttachmentsError):
    """The virtual file system could not be mounted."""


class VFSOSUserNotSetError(JobAttachmentsError):
    """The virtual file system needs an operating system user, and none was given."""


class UnsupportedHashingAlgorithmError(JobAttachmentsError):
    """The hash algorithm is not one that is supported."""


class VFSRunPathNotSetError(JobAttachmentsError):
    """The virtual file system's run path was not set."""


class NonValidInputError(JobAttachmentsError):
    """An argument or a file that the user gave can't be used."""
