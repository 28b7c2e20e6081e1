"""Finding files by patterns, with the meaning that Python's `glob` gives them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from . import _native
from ._logs import logger
from ._reference_names import names_of
from .exceptions import NonValidInputError
from .models import GlobConfig

__all__ = ["find_files", "glob_config", "glob_paths", "process_glob_inputs"]

_ALL = ("**/*",)


def process_glob_inputs(glob_arg_input: str) -> GlobConfig:
    """Reads include and exclude patterns.

    Args:
        glob_arg_input: JSON with `include` and `exclude`, or a file that has it. Empty: all files.

    Returns:
        The patterns.

    Raises:
        NonValidInputError: It is no JSON object.
    """
    config = GlobConfig()
    if not glob_arg_input:
        return config
    text = glob_arg_input
    try:
        file = Path(glob_arg_input)
        if file.is_file():
            text = file.read_text()
    except (OSError, ValueError):
        # A long JSON text is no file name; what can't be read is tried as JSON.
        text = glob_arg_input
    try:
        parsed = json.loads(text)
        config.include_glob = parsed.get(GlobConfig.INCLUDE, config.include_glob)
        config.exclude_glob = parsed.get(GlobConfig.EXCLUDE, config.exclude_glob)
    except (ValueError, AttributeError, RecursionError) as error:
        raise NonValidInputError(f"Glob input {text} cannot be deserialized as JSON") from error
    return config


def glob_config(
    include: Optional[Sequence[str]], exclude: Optional[Sequence[str]], include_exclude_config: Optional[str]
) -> GlobConfig:
    """The patterns that the three arguments of snapshots and diffs stand for."""
    if include or exclude:
        return GlobConfig(
            include_glob=list(_ALL if include is None else include),
            exclude_glob=[] if exclude is None else list(exclude),
        )
    return process_glob_inputs(include_exclude_config) if include_exclude_config else GlobConfig()


def glob_paths(
    path: str, include: Sequence[str] = _ALL, exclude: Optional[Sequence[str]] = None
) -> list[str]:
    """Finds files below a directory.

    Args:
        path: The directory.
        include: Patterns of files to find, as `glob.glob(..., recursive=True)` takes them.
        exclude: Patterns of files to leave out.

    Returns:
        Absolute, normalised paths of files.

    Raises:
        OSError: A directory can't be read. (The reference leaves its files out.)
    """
    root = os.path.abspath(path)  # noqa: PTH100 (normalises too)
    files, outside = find_files(root, include, exclude)
    return files.strings(root if root.endswith("/") else f"{root}/") + outside.strings()


def find_files(
    root: str, include: Sequence[str], exclude: Optional[Sequence[str]]
) -> tuple[_native.LocalPaths, _native.LocalPaths]:
    """Finds files below a directory, as native lists.

    Args:
        root: The directory, absolute and normalised.
        include: Patterns of files to find.
        exclude: Patterns of files to leave out.

    Returns:
        Files below the root, relative to it; and files elsewhere that absolute patterns and `..` lead to.
    """
    files, outside, loops = _native.glob_files(root, list(include), list(exclude or ())).run()
    for loop in loops:
        logger("upload").warning("The link %s leads back to a directory above it and is not followed.", loop)
    return files, outside


if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
