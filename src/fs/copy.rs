//! Copying the contents of one file to another, in steps that can be counted and between which the copying can end.

use std::fs::File;
use std::io::{ErrorKind, Result};
use std::os::unix::fs::FileExt;

/// So much is copied at a time where the kernel does it. On a disk of 5 MB/s that takes less than two seconds.
const STEP_BYTES: u64 = 8 * 1024 * 1024;
/// So much is copied at a time through memory.
const BUFFER_BYTES: usize = 1024 * 1024;

/// A copy under way.
pub(super) struct Copying<'file> {
    source: &'file File,
    target: &'file File,
    offset: u64,
    size_bytes: u64,
    way: Way,
}

/// How to copy, best first. Each is tried once it shows that the one before it can't be done.
enum Way {
    /// Share the blocks.
    Reflink,
    /// Within the kernel, or on the server.
    InKernel,
    /// Through memory.
    Buffer(Vec<u8>),
}

impl<'file> Copying<'file> {
    /// A copy of the first `size_bytes` of a file to the start of another.
    pub(super) const fn new(source: &'file File, target: &'file File, size_bytes: u64) -> Self {
        Self { source, target, offset: 0, size_bytes, way: Way::Reflink }
    }

    /// Copies some more. Gives how many bytes, or `None` at the end.
    pub(super) fn step(&mut self) -> Result<Option<u64>> {
        let left = self.size_bytes - self.offset;
        if left == 0 {
            return Ok(None);
        }
        let copied = match &mut self.way {
            Way::Reflink => {
                self.way = Way::InKernel;
                if !reflink(self.source, self.target) {
                    return self.step();
                }
                left
            }
            Way::InKernel => {
                let most = left.min(STEP_BYTES);
                let Some(copied) = copy_in_kernel(self.source, self.target, self.offset, most) else {
                    self.way = Way::Buffer(vec![0; BUFFER_BYTES]);
                    return self.step();
                };
                copied
            }
            Way::Buffer(buffer) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                match self.source.read_at(&mut buffer[..most], self.offset) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(read) => {
                        self.target.write_all_at(&buffer[..read], self.offset)?;
                        read as u64
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => return self.step(),
                    Err(error) => return Err(error),
                }
            }
        };
        self.offset += copied;
        Ok(Some(copied))
    }
}

#[cfg(target_os = "linux")]
fn reflink(source: &File, target: &File) -> bool {
    rustix::fs::ioctl_ficlone(target, source).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn reflink(_source: &File, _target: &File) -> bool {
    false
}

/// Copies some bytes; `None` where the kernel can't, or says so. Copying through memory then shows whether it is the disk.
#[cfg(target_os = "linux")]
fn copy_in_kernel(source: &File, target: &File, offset: u64, length: u64) -> Option<u64> {
    let (mut from, mut to) = (offset, offset);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let copied = rustix::io::retry_on_intr(|| {
        rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), length)
    });
    copied.ok().filter(|copied| *copied > 0).map(|copied| copied as u64)
}

#[cfg(not(target_os = "linux"))]
fn copy_in_kernel(_source: &File, _target: &File, _offset: u64, _length: u64) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    fn files(contents: &[u8]) -> (File, File) {
        let mut source = tempfile::tempfile().unwrap();
        source.write_all(contents).unwrap();
        (source, tempfile::tempfile().unwrap())
    }

    #[test]
    fn each_way_copies_the_same_in_steps() {
        let contents: Vec<u8> = (0..2 * STEP_BYTES + 9).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let steps_in_kernel = if cfg!(target_os = "linux") { 3 } else { 17 };
        for (way, least_steps) in
            [(Way::Reflink, 1), (Way::InKernel, steps_in_kernel), (Way::Buffer(vec![0; BUFFER_BYTES]), 17)]
        {
            let (source, mut target) = files(&contents);
            let mut copying = Copying { way, ..Copying::new(&source, &target, contents.len() as u64) };
            let mut steps = Vec::new();
            while let Some(copied) = copying.step().unwrap() {
                steps.push(copied);
            }
            assert!(steps.len() >= least_steps, "{steps:?}");
            assert_eq!(steps.iter().sum::<u64>(), contents.len() as u64);
            let mut found = Vec::new();
            target.rewind().unwrap();
            target.read_to_end(&mut found).unwrap();
            assert!(found == contents, "after {} steps", steps.len());
        }
    }

    #[test]
    fn a_source_that_shrank_is_an_error() {
        let (source, target) = files(b"abc");
        let mut copying = Copying { way: Way::InKernel, ..Copying::new(&source, &target, 4) };
        assert_eq!(copying.step().unwrap(), Some(3));
        assert_eq!(copying.step().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        let mut nothing = Copying::new(&source, &target, 0);
        assert_eq!(nothing.step().unwrap(), None);
    }
}
