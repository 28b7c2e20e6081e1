"""Path mapping under the reference's names; the public ones are in `rusty_attachments.path_mapping`."""

from __future__ import annotations

from .path_mapping import PathMappingRuleApplier as _PathMappingRuleApplier
from .path_mapping import generate_path_mapping_rules as _generate_path_mapping_rules

__all__ = ["_PathMappingRuleApplier", "_generate_path_mapping_rules"]
