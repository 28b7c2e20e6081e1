"""What a Python does at its start where the switch is on: `rusty_attachments.pth` runs this file, without its package.

It must cost a program that never imports the reference next to nothing, and must never keep a program from starting. So
nothing is imported here but what every Python has in memory already, and all that is done is to wait for the import of
`deadline.job_attachments`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Optional, Union

REFERENCE = "deadline.job_attachments"
OURS = "rusty_attachments"


def _log(level: str, text: str, *arguments: object) -> None:
    import logging

    logging.getLogger(REFERENCE).log(getattr(logging, level), f"{OURS}: {text}", *arguments)


def _wanted(config: str) -> Union[str, list[str]]:
    """The names to swap; none where the environment says so. It comes before the configuration file."""
    if os.environ.get("DEADLINE_USE_NATIVE", "").strip().lower() in ("0", "false", "no", "off"):
        return []
    asked = os.environ.get("RUSTY_ATTACHMENTS_SWAP", "").strip()
    if asked.lower() == "off":
        return []
    if asked:
        return "all" if asked.lower() == "all" else asked.replace(",", " ").split()
    import json

    # `pathlib` is not in memory yet.
    with open(config, encoding="utf-8") as file:  # noqa: PTH123
        names: list[str] = json.load(file)["names"]
    return names


def swap_or_wait(config: str) -> None:
    """Swaps now; or, where our package is what imports the reference, at its end."""
    ours = sys.modules.get(OURS)
    if ours is not None and getattr(ours.__spec__, "_initializing", False):
        vars(ours)["_swap_pending"] = lambda: swap_now(config)
    else:
        swap_now(config)


def swap_now(config: str) -> None:
    """Swaps once the reference is there. Whatever goes wrong, the reference stays in place."""
    try:
        names = _wanted(config)
        if not names:
            return
        from rusty_attachments import __version__, swap

        version = sys.modules[REFERENCE].version
        if version not in swap.KNOWN_VERSIONS:
            known = ", ".join(swap.KNOWN_VERSIONS)
            _log("WARNING", "nothing was swapped: not tested with %s %s (with %s)", REFERENCE, version, known)
            return
        swap.install(names)
        count = len(swap.status().swapped)
        _log(
            "INFO", "version %s is in the place of %s names of %s %s", __version__, count, REFERENCE, version
        )
    except Exception as error:  # a program must run as it would without us
        _log("WARNING", "nothing was swapped: %s: %s", type(error).__name__, error)


class _AfterImport:
    """The loader of the reference's package, which tells when it is done."""

    def __init__(self, loader: Any, finder: _Finder) -> None:
        self._loader, self._finder = loader, finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._finder.end()
        self._loader.exec_module(module)
        swap_or_wait(self._finder.config)


class _Finder:
    """Waits for one import, and then is gone."""

    def __init__(self, config: str) -> None:
        self.config, self._is_asking = config, False

    def find_spec(
        self, name: str, path: Optional[Sequence[str]] = None, target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        if name != REFERENCE or self._is_asking:
            return None
        from importlib.util import find_spec

        self._is_asking = True
        try:
            spec = find_spec(name)
        finally:
            self._is_asking = False
        if spec is not None and spec.loader is not None:
            # Not derived from a loader: `importlib.abc` is not in memory yet.
            spec.loader = _AfterImport(spec.loader, self)  # type: ignore[assignment]
        return spec

    def end(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)


def wait_for_reference(config: str) -> None:
    """Called by the `.pth` file, once for each folder of packages that has one: the first counts."""
    if not any(
        type(finder).__qualname__ == "_Finder" and hasattr(finder, "config") for finder in sys.meta_path
    ):
        sys.meta_path.insert(0, _Finder(config))
