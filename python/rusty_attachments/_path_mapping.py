"""Path mapping, under the reference's names. The names are listed in `_reference_names`."""

from __future__ import annotations

from ._reference_names import NAMES, names_of

__all__ = list(NAMES["_path_mapping"])

__getattr__ = names_of(__name__)
