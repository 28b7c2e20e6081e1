"""The safeguards of absolute paths."""

from __future__ import annotations

from mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "containment: absolute paths by their text",
        (
            Edit(
                "src/ops/download/absolute.rs",
                "if let Some(problem) = below_top.problem(PathFormat::host()) {",
                "if let Some(problem) = below_top.problem(PathFormat::host()).filter(|_| false) {",
            ),
        ),
        "F18",
        "absolute paths, and no root",
    ),
    Mutant(
        "containment: links on the way of relative paths beside absolute ones",
        (
            Edit(
                "src/ops/download/absolute.rs",
                "if real == allowed || !real.starts_with(allowed) {",
                "if real == allowed {",
            ),
        ),
        "F18",
        "absolute paths, and no root",
    ),
    Mutant(
        "containment: a link swapped in on the way to an absolute path",
        (
            Edit(
                "src/fs/target_root.rs",
                "top.links = Links::Refuse;",
                "top.links = Links::Beneath;",
            ),
        ),
        "F18",
        "a link swapped in on the way",
    ),
)
