"""Turning swapping on and off for every program of a Python, by two files beside its packages."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Optional, Union

from .._version import __version__
from .names import PROGRAMS
from .replacement import SwapError, check_names, swapped_names

PTH_NAME = "rusty_attachments_swap.pth"
CONFIG_NAME = "rusty_attachments_swap.json"

_MADE_BY = "rusty_attachments.swap"
_STARTUP = Path(__file__).with_name("_startup.py")


class SwapStatus(NamedTuple):
    """What is switched on, and what is swapped."""

    folder: str
    """Where the two files of the switch are, or would be."""
    enabled: bool
    """Whether programs of this Python are swapped from their start."""
    names: tuple[str, ...]
    """The names that they have swapped."""
    environment: dict[str, str]
    """The variables that come before the switch, as they are set here."""
    swapped: tuple[str, ...]
    """The names that are swapped in this process."""
    version: str
    """This package's."""
    reference_version: Optional[str]
    """The installed reference's; `None` where there is none."""


def enable(
    names: Optional[Union[str, Iterable[str]]] = None,
    program: str = "all",
    target: Optional[Union[str, os.PathLike[str]]] = None,
) -> SwapStatus:
    """Swaps names in every program that this Python runs from now on, its children included.

    Two files are written, each in one step: a `.pth` that Python reads at its start, and the names. What was enabled
    before is replaced. Programs that never import the reference are not slowed down.

    Args:
        names: Keys of `SWAPS`, or `"all"`; by default those that `program` uses.
        program: `"worker-agent"`, `"deadline"` or `"all"`.
        target: The folder of packages to write to; by default this Python's.

    Raises:
        SwapError: A name or the program is not known, a name has to be swapped together with others, or one of the
            files is there and was not made by this function; nothing was changed.
        OSError: The folder can't be written to.
    """
    if program not in PROGRAMS:
        raise SwapError(f"Not a program that is known: {program}. Known programs: {', '.join(PROGRAMS)}")
    wanted = check_names(PROGRAMS[program] if names is None else names)
    if not wanted:
        raise SwapError("No name was given to swap")
    pth, config = _files(target)
    text = json.dumps({"made_by": _MADE_BY, "version": __version__, "names": wanted}, indent=2)
    # The names first: the other file is what switches.
    _write(config, text + "\n")
    _write(pth, _pth_text(config))
    return status(target)


def disable(target: Optional[Union[str, os.PathLike[str]]] = None) -> SwapStatus:
    """Takes back `enable`: its two files are removed. Programs that run already stay as they are.

    Args:
        target: The folder that was given to `enable`.

    Raises:
        SwapError: One of the files was not made by `enable`; nothing was removed.
        OSError: The folder can't be written to.
    """
    pth, config = _files(target)
    pth.unlink(missing_ok=True)
    config.unlink(missing_ok=True)
    return status(target)


def status(target: Optional[Union[str, os.PathLike[str]]] = None) -> SwapStatus:
    """What is switched on in a folder of packages, and what is swapped in this process.

    Raises:
        SwapError: The files are there and can't be read, or were not made by `enable`.
    """
    pth, config = _files(target)
    names = _names_in(config)
    variables = ("DEADLINE_USE_NATIVE", "RUSTY_ATTACHMENTS_SWAP")
    return SwapStatus(
        folder=str(pth.parent),
        enabled=pth.exists() and bool(names),
        names=names,
        environment={name: os.environ[name] for name in variables if name in os.environ},
        swapped=swapped_names(),
        version=__version__,
        reference_version=_reference_version(),
    )


def _files(target: Optional[Union[str, os.PathLike[str]]]) -> tuple[Path, Path]:
    """The two files of the switch, which are there and ours or are not there."""
    folder = Path(sysconfig.get_path("purelib") if target is None else target).absolute()
    if not folder.is_dir():
        raise SwapError(f"There is no folder '{folder}'")
    pth, config = folder / PTH_NAME, folder / CONFIG_NAME
    if pth.exists() and f"made_by {_MADE_BY}" not in pth.read_text(encoding="utf-8", errors="replace"):
        raise SwapError(f"'{pth}' is not a file that `enable` has made: it is left as it is")
    _names_in(config)
    return pth, config


def _pth_text(config: Path) -> str:
    """One line, as `.pth` files have it. Without our package, which may have been uninstalled, it does nothing."""
    startup, names = repr(str(_STARTUP)), repr(str(config))
    return (
        f"# made_by {_MADE_BY}: `python -m rusty_attachments.swap disable` removes this file\n"
        f"import os; p = {startup}; g = {{'__name__': '{_MADE_BY}._startup', '__file__': p}}; "
        f"os.path.exists(p) and (exec(compile(open(p, encoding='utf-8').read(), p, 'exec'), g), "
        f"g['wait_for_reference']({names}))\n"
    )


def _names_in(config: Path) -> tuple[str, ...]:
    """The names in the file that `enable` has made; none where there is no file."""
    if not config.exists():
        return ()
    try:
        read = json.loads(config.read_text(encoding="utf-8"))
        is_ours = read["made_by"] == _MADE_BY and all(isinstance(name, str) for name in read["names"])
    except (ValueError, KeyError, TypeError) as error:
        raise SwapError(f"'{config}' can't be read: {error}") from error
    if not is_ours:
        raise SwapError(f"'{config}' is not a file that `enable` has made: it is left as it is")
    return tuple(read["names"])


def _write(path: Path, text: str) -> None:
    """Writes a file such that it is there in whole or not at all, and readable for all users."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _reference_version() -> Optional[str]:
    try:
        return importlib.metadata.version("deadline-job-attachments")
    except importlib.metadata.PackageNotFoundError:
        return None
