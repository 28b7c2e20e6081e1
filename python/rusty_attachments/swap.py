"""Swapping functions and classes of the reference for ours, one at a time, in unmodified programs.

    with swap.installed(["download_files_from_manifests"]):
        run_something_that_imports_deadline_job_attachments()

    python -m rusty_attachments.swap all -- script.py ARGUMENTS…

A swapped name is replaced in the module that defines it and in every module that has imported it; `uninstall`
puts back all of them. Names that only work together are swapped together or not at all. Exceptions and models
are not swapped: our functions take the reference's, and our exceptions are caught as the reference's are.
While names are swapped, log records go to the reference's loggers.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import importlib.util
import inspect
import runpy
import sys
import types
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from . import _logs

__all__ = [
    "KNOWN_VERSIONS",
    "SWAPS",
    "SwapError",
    "UnknownReferenceWarning",
    "install",
    "installed",
    "uninstall",
]

KNOWN_VERSIONS = ("0.1.3", "0.1.5")
"""Versions of the reference that this was tested with."""

_REFERENCE = "deadline.job_attachments"
_OURS = __package__ or "rusty_attachments"


class Swap(NamedTuple):
    """A name that can be swapped: the module that defines it, and those that it must be swapped with."""

    module: str
    together: tuple[str, ...] = ()


# What this package may swap, by module. Names that it lacks can't be swapped.
_NAMES = {
    "download": (
        "InputDownloader",
        "OutputDownloader",
        "download_file",
        "download_files",
        "download_files_from_manifests",
        "download_files_in_directory",
        "filter_manifests",
        "get_asset_root_and_manifest_from_s3",
        "get_job_input_output_paths_by_asset_root",
        "get_job_input_paths_by_asset_root",
        "get_job_output_paths_by_asset_root",
        "get_manifest_from_s3",
        "get_output_manifests_by_asset_root",
        "merge_asset_manifests",
    ),
    "upload": ("S3AssetManager", "S3AssetUploader"),
    "api.attachment": ("_attachment_download", "_attachment_upload"),
    "api.manifest": (
        "_glob_files",
        "_manifest_diff",
        "_manifest_download",
        "_manifest_merge",
        "_manifest_snapshot",
        "_manifest_upload",
    ),
    "api._hashing": ("_hash_attachments",),
    "_incremental_downloads._manifest_s3_downloads": (
        "_add_output_manifests_from_s3",
        "_download_all_manifests_with_absolute_paths",
        "_download_manifest_paths",
        "_get_manifests_to_download",
        "_merge_absolute_path_manifest_list",
    ),
    "_incremental_downloads.incremental_download_state": (
        "IncrementalDownloadJob",
        "IncrementalDownloadState",
    ),
    "_diff": ("diff_manifest", "find_file_with_status", "pretty_print_cli"),
    "_path_mapping": ("_PathMappingRuleApplier", "_generate_path_mapping_rules"),
    "_path_summarization": (
        "human_readable_file_size",
        "summarize_path_list",
        "summarize_paths_by_nested_directory",
        "summarize_paths_by_sequence",
    ),
    "_utils": ("_get_unique_dest_dir_name",),
    "asset_manifests.decode": ("decode_manifest",),
    "asset_manifests.hash_algorithms": ("hash_data", "hash_file"),
    "caches.hash_cache": ("HashCache", "HashCacheEntry"),
    "caches.s3_check_cache": ("S3CheckCache", "S3CheckCacheEntry"),
    "progress_tracker": (
        "DownloadSummaryStatistics",
        "ProgressReportMetadata",
        "ProgressStatus",
        "ProgressTracker",
        "SummaryStatistics",
    ),
}

# Modules whose names are swapped together: their objects are handed to each other.
_TOGETHER = (
    "_incremental_downloads.incremental_download_state",
    "caches.hash_cache",
    "caches.s3_check_cache",
    "progress_tracker",
)


def _swaps() -> dict[str, Swap]:
    found = {}
    for module, names in _NAMES.items():
        if importlib.util.find_spec(f"{_OURS}.{module}") is None:
            continue
        ours = importlib.import_module(f"{_OURS}.{module}")
        together = names if module in _TOGETHER else ()
        found.update({name: Swap(module, together) for name in names if hasattr(ours, name)})
    return found


SWAPS: dict[str, Swap] = _swaps()
"""What can be swapped, by name."""


class SwapError(Exception):
    """A name can't be swapped, or not by itself."""


class UnknownReferenceWarning(UserWarning):
    """The installed reference is of a version that swapping was not tested with."""


class _Installed(NamedTuple):
    reference: Any
    stand_in: Any
    is_ours: bool


_installed: dict[str, _Installed] = {}


def install(names: Union[str, Iterable[str]]) -> None:
    """Swaps names of the reference for ours, in all modules that have them now or import them later.

    Names that are swapped already stay so.

    Args:
        names: Keys of `SWAPS`, or `"all"`.

    Raises:
        SwapError: A name is not known, has to be swapped together with others, or is a class that others
            derive from; nothing was swapped.
        ImportError: The reference is not installed.
    """
    wanted = _wanted(names)
    _check_version()
    prepared = {name: _prepare(name) for name in wanted if name not in _installed}
    for name, swap in prepared.items():
        _replace(swap.reference, swap.stand_in)
        _installed[name] = swap
    _logs.use_those_of_the_reference(bool(_installed))


def uninstall(names: Union[str, Iterable[str]] = "all") -> None:
    """Puts the reference's names back, in modules that were imported since, too.

    Args:
        names: Which; by default all that are swapped. Names that are not swapped are passed over.

    Raises:
        SwapError: A name is not known, or has to be put back together with others.
    """
    for name in _wanted(names):
        swap = _installed.pop(name, None)
        if swap is not None:
            _replace(swap.stand_in, swap.reference, only_users=swap.is_ours)
    _logs.use_those_of_the_reference(bool(_installed))


@contextmanager
def installed(names: Union[str, Iterable[str]]) -> Iterator[None]:
    """Swaps names for the time of a `with` block; those that were swapped before stay swapped after it."""
    wanted = [name for name in _wanted(names) if name not in _installed]
    install(wanted)
    try:
        yield
    finally:
        uninstall(wanted)


def _wanted(names: Union[str, Iterable[str]]) -> list[str]:
    if isinstance(names, str):
        names = list(SWAPS) if names == "all" else [names]
    wanted = list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in SWAPS]
    if unknown:
        raise SwapError(
            f"Not a name that can be swapped: {', '.join(unknown)}. Known names: {', '.join(SWAPS)}"
        )
    for name in wanted:
        missing = [other for other in SWAPS[name].together if other not in wanted]
        if missing:
            raise SwapError(f"{name} has to be swapped together with {', '.join(missing)}")
    return wanted


def _check_version() -> None:
    version = importlib.import_module(_REFERENCE).version
    if version not in KNOWN_VERSIONS:
        warnings.warn(
            f"{_REFERENCE} {version} is not a version that swapping was tested with:"
            f" {', '.join(KNOWN_VERSIONS)}",
            UnknownReferenceWarning,
            stacklevel=3,
        )


def _prepare(name: str) -> _Installed:
    module = SWAPS[name].module
    reference = getattr(importlib.import_module(f"{_REFERENCE}.{module}"), name, None)
    if reference is None:
        raise SwapError(f"This version of the reference has no {module}.{name}")
    ours = getattr(importlib.import_module(f"{_OURS}.{module}"), name)
    if inspect.isclass(reference):
        derived = [
            each.__qualname__
            for each in reference.__subclasses__()
            # Ours derive from the reference's so that they are caught and recognised as those.
            if each.__module__.split(".")[0] != _OURS and each.__name__ not in SWAPS[name].together
        ]
        if derived:
            raise SwapError(f"{name} can't be swapped: {', '.join(derived)} derive from the reference's")
    stand_in = _stand_in(ours)
    return _Installed(reference, stand_in, stand_in is ours)


def _stand_in(ours: Any) -> Any:
    """An object of its own that does what ours does: `uninstall` can tell it from imports of ours."""
    if inspect.isclass(ours):
        if not _can_be_derived(ours):
            return ours
        names = {"__module__": ours.__module__, "__doc__": ours.__doc__, "__qualname__": ours.__qualname__}
        return types.new_class(ours.__name__, (ours,), {}, lambda namespace: namespace.update(names))

    @functools.wraps(ours)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    return stand_in


def _can_be_derived(ours: type) -> bool:
    """Enums can't; data classes had better not: what our functions return would be of another class."""
    return not issubclass(ours, enum.Enum) and not dataclasses.is_dataclass(ours)


def _replace(old: object, new: object, *, only_users: bool = False) -> None:
    """Puts `new` in the place of `old` in all modules but this package's.

    A class of ours that stood in for the reference's itself may have been imported from this package, too:
    with `only_users`, it is put back only in modules that have something else of the reference.
    """
    for module_name, module in list(sys.modules.items()):
        if module is None or module_name == _OURS or module_name.startswith(f"{_OURS}."):
            continue
        namespace = getattr(module, "__dict__", None)
        if not isinstance(namespace, dict) or (only_users and not _uses_reference(namespace)):
            continue
        for name in [name for name, value in namespace.items() if value is old]:
            namespace[name] = new


def _uses_reference(namespace: dict[str, Any]) -> bool:
    names = [namespace.get("__name__"), *(getattr(value, "__module__", None) for value in namespace.values())]
    return any(isinstance(name, str) and name.split(".")[0].startswith("deadline") for name in names)


def main(arguments: Optional[list[str]] = None) -> None:
    """Runs a script with names swapped: `NAMES|all -- SCRIPT ARGUMENTS…`, or `-- -m MODULE ARGUMENTS…`."""
    given = sys.argv[1:] if arguments is None else arguments
    if "--" not in given or given.index("--") in (0, len(given) - 1):
        print("usage: python -m rusty_attachments.swap NAMES|all -- SCRIPT ARGUMENTS...", file=sys.stderr)
        raise SystemExit(2)
    at = given.index("--")
    names = [name for part in given[:at] for name in part.split(",") if name]
    program = given[at + 1 :]
    try:
        install("all" if names == ["all"] else names)
    except (SwapError, ImportError) as error:
        print(f"rusty_attachments.swap: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    if program[0] == "-m":
        sys.argv = program[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        sys.path[0] = str(Path(program[0]).resolve().parent)
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    # The module that callers import, not this run of it: both must see what is installed.
    importlib.import_module(f"{_OURS}.swap").main()
