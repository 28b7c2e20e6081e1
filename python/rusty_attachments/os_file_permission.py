"""What a download does to the permissions of what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Union

__all__ = [
    "FileSystemPermissionSettings",
    "PosixFileSystemPermissionSettings",
    "WindowsFileSystemPermissionSettings",
    "WindowsPermissionEnum",
]


@dataclass
class PosixFileSystemPermissionSettings:
    """Group and mode bits for POSIX.

    Each written file gets them, and each directory from the root down to it. The bits are added to those
    that are there; none is taken away.

    Attributes:
        os_user: The user that the job runs as.
        os_group: The group that gets the files.
        dir_mode: Bits for directories.
        file_mode: Bits for files.
    """

    os_user: str
    os_group: str
    dir_mode: int
    file_mode: int


class WindowsPermissionEnum(Enum):
    """What a user may do on Windows."""

    READ = "READ"
    WRITE = "WRITE"
    EXECUTE = "EXECUTE"
    READ_WRITE = "READ_WRITE"
    FULL_CONTROL = "FULL_CONTROL"


@dataclass
class WindowsFileSystemPermissionSettings:
    """An access control entry for Windows, for each written file and each directory from the root down.

    Attributes:
        os_user: The user that gets the access.
        dir_mode: To directories.
        file_mode: To files.
    """

    os_user: str
    dir_mode: WindowsPermissionEnum
    file_mode: WindowsPermissionEnum


FileSystemPermissionSettings = Union[PosixFileSystemPermissionSettings, WindowsFileSystemPermissionSettings]
"""Either, by the system that the download runs on."""
