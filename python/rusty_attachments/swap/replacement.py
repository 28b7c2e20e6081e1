"""Replacing names of the reference by ours in all modules, and putting them back."""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import inspect
import sys
import types
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Union

from .. import _logs
from .names import KNOWN_VERSIONS, OURS, REFERENCE, SWAPS


class SwapError(Exception):
    """A name can't be swapped, or not by itself."""


class UnknownReferenceWarning(UserWarning):
    """The installed reference is of a version that swapping was not tested with."""


class _Installed(NamedTuple):
    reference: Any
    stand_in: Any
    is_ours: bool


_installed: dict[str, _Installed] = {}


def swapped_names() -> tuple[str, ...]:
    """The names that are swapped in this process now."""
    return tuple(_installed)


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
    wanted = check_names(names)
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
    for name in check_names(names):
        swap = _installed.pop(name, None)
        if swap is not None:
            _replace(swap.stand_in, swap.reference, only_users=swap.is_ours)
    _logs.use_those_of_the_reference(bool(_installed))


@contextmanager
def installed(names: Union[str, Iterable[str]]) -> Iterator[None]:
    """Swaps names for the time of a `with` block; those that were swapped before stay swapped after it."""
    wanted = [name for name in check_names(names) if name not in _installed]
    install(wanted)
    try:
        yield
    finally:
        uninstall(wanted)


def check_names(names: Union[str, Iterable[str]]) -> list[str]:
    """The names that are meant, each once.

    Raises:
        SwapError: A name is not known, or has to be swapped together with others.
    """
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
    version = importlib.import_module(REFERENCE).version
    if version not in KNOWN_VERSIONS:
        warnings.warn(
            f"{REFERENCE} {version} is not a version that swapping was tested with:"
            f" {', '.join(KNOWN_VERSIONS)}",
            UnknownReferenceWarning,
            stacklevel=3,
        )


def _prepare(name: str) -> _Installed:
    module = SWAPS[name].module
    reference = getattr(importlib.import_module(f"{REFERENCE}.{module}"), name, None)
    if reference is None:
        raise SwapError(f"This version of the reference has no {module}.{name}")
    ours = getattr(importlib.import_module(f"{OURS}.{module}"), name)
    if inspect.isclass(reference):
        derived = [
            each.__qualname__
            for each in reference.__subclasses__()
            # Ours derive from the reference's so that they are caught and recognised as those.
            if each.__module__.split(".")[0] != OURS and each.__name__ not in SWAPS[name].together
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
        if module is None or module_name == OURS or module_name.startswith(f"{OURS}."):
            continue
        namespace = getattr(module, "__dict__", None)
        if not isinstance(namespace, dict) or (only_users and not _uses_reference(namespace)):
            continue
        for name in [name for name, value in namespace.items() if value is old]:
            namespace[name] = new


def _uses_reference(namespace: dict[str, Any]) -> bool:
    names = [namespace.get("__name__"), *(getattr(value, "__module__", None) for value in namespace.values())]
    return any(isinstance(name, str) and name.split(".")[0].startswith("deadline") for name in names)
