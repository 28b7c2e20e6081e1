"""The safeguards of paths with links, where the kernel does not resolve them."""

from __future__ import annotations

from mutant import Edit, Mutant

_COMPONENTS = "src/fs/beneath/components.rs"

MUTANTS = (
    Mutant(
        "no openat2: a link is told from what is no directory",
        (Edit(_COMPONENTS, "Errno::NOTDIR | Errno::LOOP | Errno::MLINK)", "Errno::LOOP | Errno::MLINK)"),),
        "F25",
        "snapshots, openat2: ENOSYS",
    ),
    Mutant(
        "no openat2: links that stay below the root are followed",
        (Edit(_COMPONENTS, "if self.links == Links::Refuse ||", "if true ||"),),
        "F25",
        "downloads, openat2: ENOSYS",
    ),
    Mutant(
        "no openat2: `..` ends at the root",
        (
            Edit(
                _COMPONENTS,
                "0 => return Err(Errno::XDEV.into()),",
                '0 => return Ok(self.below.push(rustix::fs::openat(self.base, "..", STEP, Mode::empty())?)),',
            ),
        ),
        "F25",
        "links that lead out, openat2: ENOSYS",
    ),
    Mutant(
        "a sandbox's EPERM is told from a file's",
        (Edit("src/fs/beneath/openat2.rs", "Errno::PERM => works_for_root().map(|works| !works),", ""),),
        "F25",
        "submission, openat2: EPERM",
    ),
    Mutant(
        "a call that is missing is not made again",
        (Edit("src/fs/beneath/openat2.rs", "self.0.store(Self::MISSING, Ordering::Relaxed);\n", ""),),
        "F25",
        "a call that is missing is not made for every file",
    ),
)
