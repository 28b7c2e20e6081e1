//! An open directory, and what was found out about its file system.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// A directory that files are written in. Its file system is asked about once.
#[derive(Debug)]
pub(crate) struct Directory {
    descriptor: OwnedFd,
    kind: OnceLock<FileSystemKind>,
    naming: AtomicU8,
}

/// What matters of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystemKind {
    /// It is this kernel's alone: what a write says is final, and a lock excludes everybody.
    Local,
    /// It is memory, and this kernel's alone.
    Memory,
    /// Other hosts or programs may be behind it. They may refuse late what a write took, and may not see locks.
    Shared,
}

/// How a file can be given a name that must be free, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// One call that fails where the name is taken.
    ExclusiveRename,
    /// A second name, which fails where it is taken; then the first one goes.
    HardLink,
    /// An empty file that is created under the name, and a rename over it.
    Reservation,
}

impl Directory {
    pub(super) const fn new(descriptor: OwnedFd) -> Self {
        Self { descriptor, kind: OnceLock::new(), naming: AtomicU8::new(0) }
    }

    /// The kind of its file system.
    pub(super) fn kind(&self) -> FileSystemKind {
        *self.kind.get_or_init(|| kind_of(self.descriptor.as_fd()))
    }

    /// The way of naming that worked last, to begin with.
    pub(super) fn naming(&self) -> Naming {
        match self.naming.load(Ordering::Relaxed) {
            0 => Naming::ExclusiveRename,
            1 => Naming::HardLink,
            _ => Naming::Reservation,
        }
    }

    pub(super) fn remember(&self, naming: Naming) {
        self.naming.store(naming as u8, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn pretend(&self, kind: FileSystemKind) {
        self.kind.set(kind).unwrap();
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(target_os = "linux")]
fn kind_of(directory: BorrowedFd<'_>) -> FileSystemKind {
    #[allow(
        clippy::cast_sign_loss,
        clippy::cast_lossless,
        clippy::unnecessary_cast,
        reason = "the type differs by target"
    )]
    rustix::fs::fstatfs(directory).map_or(FileSystemKind::Shared, |stat| kind_of_type(stat.f_type as u64))
}

#[cfg(not(target_os = "linux"))]
fn kind_of(_directory: BorrowedFd<'_>) -> FileSystemKind {
    FileSystemKind::Shared
}

/// The kind by `f_type` of statfs(2). A type that is not known here may be anything, so it counts as shared.
#[cfg(target_os = "linux")]
fn kind_of_type(file_system_type: u64) -> FileSystemKind {
    const MEMORY: &[u64] = &[
        0x0102_1994, // tmpfs
        0x8584_58F6, // ramfs
    ];
    const LOCAL: &[u64] = &[
        0xEF53,      // ext2, ext3, ext4
        0x5846_5342, // XFS
        0x9123_683E, // Btrfs
        0x794C_7630, // overlayfs, whose upper layer can't be a network's
        0x2FC1_2FC1, // ZFS
        0xF2F5_2010, // F2FS
        0xCA45_1A4E, // bcachefs
        0x3153_464A, // JFS
        0x5265_4973, // ReiserFS
        0x3434,      // NILFS
        0x4D44,      // FAT
        0x2011_BAB0, // exFAT
        0x7366_746E, // ntfs3
        0x482B,      // HFS+
        0x1501_3346, // UDF
    ];
    // The field is signed on some targets: what is above 32 bits is its sign.
    let file_system_type = file_system_type & 0xFFFF_FFFF;
    if MEMORY.contains(&file_system_type) {
        FileSystemKind::Memory
    } else if LOCAL.contains(&file_system_type) {
        FileSystemKind::Local
    } else {
        FileSystemKind::Shared
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_be_local_is_shared() {
        for local in [0xEF53, 0x5846_5342, 0xFFFF_FFFF_9123_683E] {
            assert_eq!(kind_of_type(local), FileSystemKind::Local, "{local:x}");
        }
        assert_eq!(kind_of_type(0x0102_1994), FileSystemKind::Memory);
        // NFS, SMB, FUSE, VirtualBox's, Lustre, OCFS2, GFS2, and one that nobody knows.
        for shared in
            [0x6969, 0xFE53_4D42, 0x6573_5546, 0x786F_4256, 0x0BD0_0BD0, 0x7461_636F, 0x0116_1970, 0x1234_5678]
        {
            assert_eq!(kind_of_type(shared), FileSystemKind::Shared, "{shared:x}");
        }
    }
}
