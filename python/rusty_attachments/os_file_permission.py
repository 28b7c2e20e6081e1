"""What a download does to the permissions of what it writes."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Optional, Union

from . import _native

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


def posix_permissions(settings: FileSystemPermissionSettings) -> tuple[Optional[int], int, int]:
    """A group's number, bits for files, and bits for directories.

    Raises:
        TypeError: The settings are for another system.
        LookupError: There is no such group.
    """
    names = ("os_group", "file_mode", "dir_mode")
    if os.name != "posix":
        raise TypeError("Permissions can only be set on POSIX systems by this package.")
    if not all(hasattr(settings, name) for name in names):
        raise TypeError("The file system permission settings must be specific to Posix-based system.")
    import grp

    group, file_mode, dir_mode = (getattr(settings, name) for name in names)
    if not isinstance(group, int):
        try:
            group = grp.getgrnam(group).gr_gid
        except KeyError:
            raise LookupError(f"no such group: {group!r}") from None
    return (group, int(file_mode), int(dir_mode))


def _set_fs_group_for_posix(
    file_paths: Sequence[str],
    local_root: str,
    fs_permission_settings: FileSystemPermissionSettings,
) -> None:
    """Adds a group and permission bits to files and to each directory from the root down to them, each once.

    Everything is opened below the root; a link that leads out of it is refused.

    Args:
        file_paths: Files below the root.
        local_root: The root.
        fs_permission_settings: The group and the bits.

    Raises:
        TypeError: The settings are for another system.
        PathOutsideDirectoryError: A file is not below the root. Nothing was changed.
        LookupError: There is no such group.
        OSError: A file or directory can't be changed.
    """
    wanted = posix_permissions(fs_permission_settings)
    _native.add_permissions(Path(local_root), [Path(path) for path in file_paths], wanted)


def _change_permission_for_posix(path_str: str, os_group: str, mode: int) -> None:
    """Gives one file or directory to a group, and adds permission bits.

    Raises:
        EnvironmentError: This is no POSIX system.
        LookupError: There is no such group.
        OSError: The file can't be changed.
    """
    if sys.platform == "win32":
        raise OSError("This function can only be executed on POSIX systems.")
    path = Path(path_str)
    shutil.chown(path, group=os_group)
    path.chmod(stat.S_IMODE(path.stat().st_mode) | mode)
