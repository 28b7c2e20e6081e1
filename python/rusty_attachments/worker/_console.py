"""What the two commands share: their arguments, their output, their exit status."""

from __future__ import annotations

import argparse
import io
import sys
import time
import traceback
from collections.abc import Callable
from typing import Optional

from ..models import ManifestProperties
from .properties import WorkerManifestProperties

PROGRESS_INTERVAL = 1.0
"""Seconds between progress lines: the agent reads each, and passes it on to the service."""


class CommandFailed(Exception):
    """The command can't go on, and has said why."""


def fail(message: str) -> None:
    """Tells the session why its action fails: one line."""
    print(f"openjd_fail: {' '.join(message.split())}", flush=True)


def run(command: Callable[[], None]) -> int:
    """Runs a command; any error is a failure that the session's log tells.

    Returns:
        The exit status.
    """
    use_utf8_output()
    try:
        command()
    except CommandFailed:
        return 1
    except Exception as error:
        fail(f"{type(error).__name__}: {error}")
        traceback.print_exc()
        return 1
    return 0


def use_utf8_output() -> None:
    """Writes UTF-8 line by line, whatever the console's encoding is.

    A path may hold bytes that are no UTF-8; they are shown as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def parse_arguments(description: str, arguments: Optional[list[str]]) -> argparse.Namespace:
    """Parses the arguments that both commands take; exits with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "-s3", "--s3-uri", required=True, help="where the queue's attachments are: s3://bucket/root-prefix"
    )
    parser.add_argument(
        "-wp", "--worker-properties", required=True, help="a JSON file: the job's roots on this worker"
    )
    return parser.parse_args(arguments)


class ProgressLines:
    """Prints progress for the session, at most once in a while, and at the end."""

    def __init__(self, interval: float = PROGRESS_INTERVAL) -> None:
        self._interval = interval
        self._last: Optional[float] = None

    def show(self, progress: float, message: str) -> None:
        """Prints two lines if it is time, or if all is done."""
        now = time.monotonic()
        if self._last is not None and now - self._last < self._interval and progress < 100:
            return
        self._last = now
        print(f"openjd_progress: {progress}\nopenjd_status: {message}", flush=True)


def merge_equal_roots(properties: list[WorkerManifestProperties]) -> list[WorkerManifestProperties]:
    """Makes one of properties that are the same root at the same place.

    Its manifests and output directories are those of all, in their order.
    """
    merged: dict[tuple[object, ...], WorkerManifestProperties] = {}
    for each in properties:
        of_job = each.manifest_properties
        key = (
            each.root_path,
            of_job.rootPathFormat.value,
            of_job.fileSystemLocationName,
            each.local_root_path,
        )
        first = merged.get(key)
        if first is None:
            merged[key] = each
        else:
            print(f"Duplicate root path for {each.root_path}, taking both together", flush=True)
            merged[key] = _together(first, each)
    return list(merged.values())


def _together(first: WorkerManifestProperties, second: WorkerManifestProperties) -> WorkerManifestProperties:
    of_job = first.manifest_properties
    directories = [
        *(first.output_relative_directories or ()),
        *(second.output_relative_directories or ()),
    ]
    return WorkerManifestProperties(
        ManifestProperties(
            rootPath=of_job.rootPath,
            rootPathFormat=of_job.rootPathFormat,
            fileSystemLocationName=of_job.fileSystemLocationName,
            inputManifestPath=of_job.inputManifestPath,
            inputManifestHash=of_job.inputManifestHash,
            outputRelativeDirectories=list(dict.fromkeys(directories)) or None,
        ),
        first.local_root_path,
        list(dict.fromkeys([*first.local_manifest_paths, *second.local_manifest_paths])),
        first.local_input_manifest_path or second.local_input_manifest_path,
    )
