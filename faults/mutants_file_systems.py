"""The safeguards of writing to file systems that are shared, refuse late, or lack calls."""

from __future__ import annotations

from mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "what close says",
        (
            Edit(
                "src/fs/calls.rs",
                "    let closed = unsafe { rustix::io::try_close(descriptor.into_raw_fd()) };\n",
                "    let closed = unsafe { rustix::io::try_close(descriptor.into_raw_fd()) }.or(Ok(()));\n",
            ),
        ),
        "F23",
        "EDQUOT at flush",
    ),
    Mutant(
        "what fsync says",
        (
            Edit(
                "src/fs/stage.rs",
                "            sync_if_possible(&self.file).map_err(fail)?;\n",
                "            let _ = sync_if_possible(&self.file);\n",
            ),
        ),
        "F23",
        "EDQUOT at fsync",
    ),
    Mutant(
        "another host's process numbers mean nothing",
        (Edit("src/fs/leftovers.rs", "if self.world == 0 || self.world != own.world {", "if false {"),),
        "F26",
        "another host comes while a file is written to a disk, locks: as they are",
    ),
    Mutant(
        "a lock is no proof on a shared file system, however old the file",
        (
            Edit(
                "src/fs/leftovers.rs",
                "LOCKED_WITHIN: Duration = Duration::from_mins(1)",
                "LOCKED_WITHIN: Duration = Duration::ZERO",
            ),
            Edit("src/fs/leftovers.rs", "directory.kind() == FileSystemKind::Shared || ", ""),
        ),
        "F26",
        "written to FUSE, locks: as they are",
    ),
    Mutant(
        "a lock that everybody gets is no proof, however old the file",
        (
            Edit(
                "src/fs/leftovers.rs",
                "LOCKED_WITHIN: Duration = Duration::from_mins(1)",
                "LOCKED_WITHIN: Duration = Duration::ZERO",
            ),
            Edit("src/fs/leftovers.rs", " && calls::try_lock(&second) == Err(Errno::WOULDBLOCK)", ""),
        ),
        "F26",
        "written to a disk, locks: granted to everybody",
    ),
    Mutant(
        "what a dead writer of this host left goes at once",
        (Edit("src/fs/leftovers.rs", "Life::Dead => return true,", "Life::Dead => return false,"),),
        "F26",
        "a killed writer of this host is swept",
    ),
    Mutant(
        "a name is reserved before it is renamed over",
        (
            Edit(
                "src/fs/naming.rs",
                "            Err(Errno::EXIST) => return Ok(Committed::NameTaken),\n",
                "            Err(Errno::EXIST) => {}\n",
            ),
            Edit(
                "src/fs/naming.rs",
                "            Reserved::Theirs => return Ok(Committed::NameTaken),\n",
                "            Reserved::Theirs => {}\n",
            ),
        ),
        "F27",
        "somebody else's file comes meanwhile",
    ),
    Mutant(
        "what can't be done is done in another way",
        (
            Edit(
                "src/fs/naming.rs",
                "(Err(error), Some(next)) if means_cannot(error) => {",
                "(Err(error), Some(next)) if false && means_cannot(error) => {",
            ),
        ),
        "F27",
        "CREATE_COPY with linkat EPERM",
    ),
    Mutant(
        "local work beats",
        (Edit("src/transfer/progress.rs", "if self.local_work.load(Ordering::Relaxed) > 0 {", "if false {"),),
        "F29",
        "a copy to the second path",
    ),
)
