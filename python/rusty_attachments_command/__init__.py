"""The program `rusty-attachments`.

It is a package of its own because a command should start at once: it loads the native module of `rusty_attachments` and
imports nothing else of that package.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from os.path import abspath, dirname, isfile, join

# As in `typing`, which takes longer to import than all else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

NATIVE = "rusty_attachments._native"


def main(arguments: Optional[list[str]] = None) -> int:
    """Runs the program.

    Args:
        arguments: Those of the command line, without the program's name.

    Returns:
        The exit status: 0, 1 after a failure, 2 for wrong arguments, 130 after Ctrl-C.
    """
    given = sys.argv[1:] if arguments is None else arguments
    # `doctor` shows what is swapped, and needs the whole package for that.
    facts = _facts() if "doctor" in given[:2] else []
    status: int = _native().run_command(["rusty-attachments", *given], facts)
    return status


def _native() -> Any:
    """The native module, as importing `rusty_attachments` would load it."""
    known = sys.modules.get(NATIVE)
    if known is not None:
        return known
    folder = join(dirname(dirname(abspath(__file__))), "rusty_attachments")
    for suffix in EXTENSION_SUFFIXES:
        path = join(folder, "_native" + suffix)
        if isfile(path):
            loader = ExtensionFileLoader(NATIVE, path)
            module = loader.create_module(ModuleSpec(NATIVE, loader, origin=path))
            loader.exec_module(module)
            sys.modules[NATIVE] = module
            return module
    # An editable installation may keep it elsewhere.
    from rusty_attachments import _native as imported

    return imported


def _facts() -> list[tuple[str, str]]:
    """What this Python knows, for `doctor`."""
    from rusty_attachments import swap

    version = ".".join(map(str, sys.version_info[:3]))
    facts = [("python", f"{version}, {sys.executable}")]
    try:
        status = swap.status()
    except swap.SwapError as error:
        return [*facts, ("swap", " ".join(str(error).split()))]
    reference = status.reference_version or "not installed"
    names = ", ".join(status.names) if status.enabled else "off"
    return [*facts, ("reference", reference), ("swap", names)]
