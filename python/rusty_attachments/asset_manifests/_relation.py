"""How these classes and the reference's take each other for instances, where both are in one process.

The reference is never imported from here: its classes are looked up among the modules that are loaded already. A class
of ours enters the registry of the reference's class of the same name as soon as somebody asks after both.
"""

from __future__ import annotations

import sys
from abc import ABCMeta
from typing import Any, Optional

_ROOT = "deadline.job_attachments.asset_manifests"


def counterpart(cls: type) -> Optional[type]:
    """Gives the reference's class for one of ours, if its module is loaded."""
    own_root, _, module = cls.__module__.partition(".asset_manifests")
    loaded = sys.modules.get(_ROOT + module)
    found = getattr(loaded, cls.__name__, None) if loaded is not None and own_root else None
    return found if isinstance(found, type) and found is not cls else None


class Related:
    """A mixin for abstract base classes, and what derives from them, that stand for the reference's."""

    def __get_class(self) -> type:
        cls = type(self)
        if _ROOT in sys.modules and not cls.__dict__.get("_is_registered", False):
            _register(cls)
        return cls

    # `isinstance` asks an object for its class before an abstract class is asked whether it knows that class: the last
    # moment to enter the reference's registry, which the reference may have been imported too late for otherwise.
    __class__ = property(__get_class)  # type: ignore[assignment,unused-ignore]

    @classmethod
    def __subclasshook__(cls, candidate: type) -> Any:
        twin = None if _registering else counterpart(cls)
        if twin is not None and twin in getattr(candidate, "__mro__", ()):
            return True
        return NotImplemented


_registering: list[type] = []
"""The class that is being registered: `register` refuses classes that know each other already."""


def _register(cls: type) -> None:
    _registering.append(cls)
    try:
        for base in cls.__mro__:
            twin = counterpart(base)
            if isinstance(twin, ABCMeta):
                twin.register(cls)
    finally:
        _registering.pop()
    cls._is_registered = True  # type: ignore[attr-defined]
