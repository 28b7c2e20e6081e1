"""Making the manifest of one root, under the reference's name. The names are listed in `_reference_names`."""

from __future__ import annotations

from .._reference_names import names_of

__getattr__ = names_of(__name__)
