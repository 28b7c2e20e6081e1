"""Small helpers that the other modules, and programs written for the reference, import by name."""

from __future__ import annotations

import ntpath
import random
import sys
import time as _time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import lru_cache, wraps
from hashlib import shake_256
from pathlib import Path, PureWindowsPath
from typing import Any, Optional, Union

__all__ = [
    "_float_to_iso_datetime_string",
    "_generate_random_guid",
    "_get_bucket_and_object_key",
    "_get_unique_dest_dir_name",
    "_is_relative_to",
    "_join_s3_paths",
]

TEMP_DOWNLOAD_ADDED_CHARS_LENGTH = 9
"""What a name grows by while its download is in progress: `.` and eight hexadecimal digits."""

WINDOWS_MAX_PATH_LENGTH = 260
"""https://learn.microsoft.com/windows/win32/fileio/maximum-file-path-limitation."""

WINDOWS_PATH_SEPARATOR = "\\"
WINDOWS_UNC_PATH_STRING_PREFIX = "\\\\?\\"
"""Before an absolute path it lifts the length limit, and switches off Windows' own normalisation."""

WINDOWS_UNC_DEVICE_PATH_STRING_PREFIX = "\\\\?\\UNC\\"
"""The same for a network path; it takes the place of the two backslashes in front."""


def _join_s3_paths(root: str, *args: str) -> str:
    """Joins the parts of a key with `/`. Nothing is normalised: `a/` and `b` give `a//b`."""
    return "/".join((root, *args))


def _generate_random_guid() -> str:
    """32 hexadecimal digits of a random UUID."""
    return uuid.uuid4().hex


def _float_to_iso_datetime_string(time: float) -> str:
    """A Unix time in seconds as `YYYY-MM-DDTHH:MM:SS.ffffffZ`; the fraction is cut, not rounded."""
    whole = int(time)
    moment = datetime.fromtimestamp(whole, tz=timezone.utc)
    moment += timedelta(microseconds=int((time - whole) * 1_000_000))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _get_unique_dest_dir_name(source_root: str) -> str:
    """The directory of a session that stands for a root of the submitter's machine.

    A hash of ten bytes keeps roots apart without making paths long. A root with bytes that are no UTF-8 (lone
    surrogates) has a name too.
    """
    digest = shake_256(source_root.encode("utf-8", "surrogatepass")).hexdigest(10)
    return f"assetroot-{digest}"


def _get_bucket_and_object_key(s3_path: str) -> tuple[str, str]:
    """Splits `s3://bucket/key` (or `bucket/key`) after the bucket.

    Raises:
        ValueError: There is no key.
    """
    bucket, key = s3_path.replace("s3://", "").split("/", maxsplit=1)
    return bucket, key


def _normalize_windows_path(path: Union[Path, str]) -> Path:
    r"""Drops a long-path prefix: `\\?\C:\x` is `C:\x`, `\\?\UNC\server\share` is `\\server\share`."""
    text = str(path)
    if text.startswith(WINDOWS_UNC_DEVICE_PATH_STRING_PREFIX):
        return Path(WINDOWS_PATH_SEPARATOR * 2 + text[len(WINDOWS_UNC_DEVICE_PATH_STRING_PREFIX) :])
    if text.startswith(WINDOWS_UNC_PATH_STRING_PREFIX):
        return Path(text[len(WINDOWS_UNC_PATH_STRING_PREFIX) :])
    return Path(path)


def _is_relative_to(path1: Union[Path, str], path2: Union[Path, str]) -> bool:
    """Whether `path1` lies at or below `path2`, after both are resolved on this machine."""
    inner = _normalize_windows_path(Path(path1).resolve())
    outer = _normalize_windows_path(Path(path2).resolve())
    return inner == outer or outer in inner.parents


@lru_cache(maxsize=1)
def _is_windows_long_path_registry_enabled() -> bool:
    """Whether this process may use long paths without a prefix; the answer never changes."""
    if sys.platform != "win32":
        return True
    import ctypes

    asks = ctypes.WinDLL("ntdll").RtlAreLongPathsEnabled
    asks.restype = ctypes.c_ubyte
    asks.argtypes = ()
    return bool(asks())


def _as_extended_length_path(original_path: Union[str, Path]) -> Path:
    """Gives an absolute Windows path its long-path prefix, however short it is; elsewhere does nothing.

    Raises:
        ValueError: On Windows, where the path is relative or has a `..`: the prefix switches off
            normalisation, and removing `..` from the text could lead elsewhere than the path that was checked
            with its links.
    """
    text = str(original_path)
    if sys.platform != "win32" or text.startswith(WINDOWS_UNC_PATH_STRING_PREFIX):
        return Path(text)
    if ".." in PureWindowsPath(text).parts:
        raise ValueError(
            f"Cannot build an extended-length path from a path containing '..': {text}. "
            "Resolve the path before passing it here."
        )
    normal = ntpath.normpath(text)
    pure = PureWindowsPath(normal)
    if not pure.is_absolute():
        raise ValueError(
            f"Cannot build an extended-length path from a relative path: {text}. "
            "Convert it to an absolute path first."
        )
    if pure.drive.startswith(WINDOWS_PATH_SEPARATOR * 2):
        return Path(WINDOWS_UNC_DEVICE_PATH_STRING_PREFIX + normal[2:])
    return Path(WINDOWS_UNC_PATH_STRING_PREFIX + normal)


def _get_long_path_compatible_path(original_path: Union[str, Path]) -> Path:
    """Gives a long absolute Windows path the prefix that system calls need; other paths stay as they are.

    Raises:
        ValueError: On Windows, where a long path has a `..`.
    """
    text = str(original_path)
    if sys.platform != "win32":
        return Path(text)
    is_long = len(text) + TEMP_DOWNLOAD_ADDED_CHARS_LENGTH >= WINDOWS_MAX_PATH_LENGTH
    if (
        is_long
        and not text.startswith(WINDOWS_UNC_PATH_STRING_PREFIX)
        and PureWindowsPath(ntpath.normpath(text)).is_absolute()
    ):
        return _as_extended_length_path(text)
    return Path(text)


def _retry(
    ExceptionToCheck: Union[type[Exception], tuple[type[Exception], ...]] = AssertionError,
    tries: int = 2,
    delay: Union[float, tuple[float, float]] = 1.0,
    backoff: float = 1.0,
    logger: Optional[Callable[[str], Any]] = print,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that calls again after the named exceptions.

    Args:
        ExceptionToCheck: What to catch.
        tries: Calls in all, not repetitions.
        delay: Seconds before the first repetition, or a range to draw them from.
        backoff: What the delay is multiplied by after each repetition.
        logger: Is told of each repetition.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if isinstance(delay, tuple):
                pause = random.uniform(*delay)
            elif isinstance(delay, (int, float)):
                pause = delay
            else:
                raise ValueError(f"Provided delay {delay} isn't supported")
            for _ in range(tries - 1):
                try:
                    return function(*args, **kwargs)
                except ExceptionToCheck as error:
                    if logger:
                        logger(f"{error}, Retrying in {pause} seconds...")
                    _time.sleep(pause)
                    pause *= backoff
            return function(*args, **kwargs)

        return call

    return decorate
