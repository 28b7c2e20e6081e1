"""Swapping functions and classes of the reference for ours, one at a time, in unmodified programs.

For every program of a Python, until it is taken back:

    python -m rusty_attachments.swap enable

For one run of one program, or for a part of one:

    python -m rusty_attachments.swap all -- script.py ARGUMENTS…

    with swap.installed(["download_files_from_manifests"]):
        run_something_that_imports_deadline_job_attachments()

A swapped name is replaced in the module that defines it and in every module that has imported it; `uninstall`
puts back all of them. Names that only work together are swapped together or not at all. Exceptions and models
are not swapped: our functions take the reference's, and our exceptions are caught as the reference's are.
While names are swapped, log records go to the reference's loggers.
"""

from __future__ import annotations

from .names import KNOWN_VERSIONS, SWAPS
from .replacement import SwapError, UnknownReferenceWarning, install, installed, uninstall
from .switch import SwapStatus, disable, enable, status

__all__ = [
    "KNOWN_VERSIONS",
    "SWAPS",
    "SwapError",
    "SwapStatus",
    "UnknownReferenceWarning",
    "disable",
    "enable",
    "install",
    "installed",
    "status",
    "uninstall",
]
