//! Finding out which of the files that are there already are right, so that a worker that tries again fetches nothing twice.

use std::fs::File;
use std::io::Read;
use std::time::SystemTime;

use super::conflicts::{Settled, is_link};
use super::fetch::pieces;
use super::{CANCELLED, DownloadRequest, FileId};
use crate::cache::{ByteRange, FileState, HashCache, HashRecord, HashRequest, Lookup};
use crate::error::Result;
use crate::fs::open::FileStamp;
use crate::fs::path_list::PathList;
use crate::fs::target::TargetRoot;
use crate::hash::{ContentHash, Hasher};
use crate::manifest::Content;
use crate::ops::in_parallel;
use crate::path::wtf8_from_os_str;
use crate::transfer::context::{Context, LogLevel};

/// Read at a time, and how often cancellation is looked at.
const BUFFER_BYTES: usize = 1024 * 1024;

/// Marks files as left alone whose size and contents are those of the manifest.
///
/// Contents that the hash cache knows, by the file's size, times and inode, are not read. What is read goes into the cache, if
/// the file has rested for long enough that any later write would show.
pub(super) fn leave_what_is_right(
    request: &DownloadRequest,
    roots: &[TargetRoot],
    settled: &mut Settled,
    context: &Context,
) -> Result<()> {
    let search = Search { request, roots, context };
    let candidates = search.candidates(settled)?;
    let known = search.ask_cache(&candidates);
    let unknown: Vec<usize> = (0..candidates.len()).filter(|place| known[*place].is_none()).collect();
    let (read, error) = in_parallel::map(
        unknown.len(),
        || vec![0; BUFFER_BYTES],
        |buffer, place| search.read(&candidates[unknown[place]], buffer),
    );
    let read: Vec<Reading> = read.into_iter().flatten().collect();
    search.record(&candidates, &unknown, &read);
    if let Some(error) = error {
        return Err(error);
    }
    let by_cache = known.iter().enumerate().filter(|(_, right)| **right == Some(true)).map(|(place, _)| place);
    let by_reading = unknown.iter().zip(&read).filter(|(_, read)| read.is_right).map(|(place, _)| *place);
    for place in by_cache.chain(by_reading) {
        settled.skip(candidates[place].id);
    }
    Ok(())
}

struct Search<'a> {
    request: &'a DownloadRequest,
    roots: &'a [TargetRoot],
    context: &'a Context,
}

/// A file that is there with the right size.
struct Candidate {
    id: FileId,
    stamp: FileStamp,
}

/// What reading a file has shown.
struct Reading {
    is_right: bool,
    /// The file is the same after reading, and has rested: its hash may be kept.
    is_settled: bool,
}

impl Search<'_> {
    fn candidates(&self, settled: &Settled) -> Result<Vec<Candidate>> {
        let mut ids = Vec::new();
        for (root, download) in (0_u32..).zip(&self.request.roots) {
            let all = (0_u32..).take(download.manifest.files.len()).map(|entry| FileId { root, entry });
            ids.extend(all.filter(|id| settled.is_replaced(*id) && !is_link(&download.manifest, id.index())));
        }
        let (found, error) = in_parallel::map(
            ids.len(),
            || (),
            |(), place| {
                self.context.check_cancelled(CANCELLED)?;
                let id = ids[place];
                let stamp = self.open(id).map(|(_, stamp)| stamp);
                Ok(stamp.filter(|stamp| stamp.size_bytes == self.size_bytes(id)).map(|stamp| Candidate { id, stamp }))
            },
        );
        error.map_or_else(|| Ok(found.into_iter().flatten().flatten().collect()), Err)
    }

    fn open(&self, id: FileId) -> Option<(File, FileStamp)> {
        let manifest = &self.request.roots[id.root as usize].manifest;
        self.roots[id.root as usize].open_file(manifest.files.path(id.index()))
    }

    fn size_bytes(&self, id: FileId) -> u64 {
        let manifest = &self.request.roots[id.root as usize].manifest;
        u64::try_from(manifest.files.size_bytes(id.index())).unwrap_or(0)
    }

    /// The resolved paths, by which the cache knows files. Those in directories that are links are found by others' names.
    fn keys(&self, candidates: &[Candidate]) -> PathList {
        let real = |root: &TargetRoot| root.path().canonicalize().unwrap_or_else(|_| root.path().to_path_buf());
        let roots: Vec<Vec<u8>> = self.roots.iter().map(|root| wtf8_from_os_str(real(root).as_os_str())).collect();
        let mut keys = PathList::new();
        for Candidate { id, .. } in candidates {
            let path = self.request.roots[id.root as usize].manifest.files.path(id.index());
            let mut key = roots[id.root as usize].clone();
            for part in path.components() {
                key.push(b'/');
                key.extend_from_slice(part);
            }
            keys.push(&key);
        }
        keys
    }

    fn cache(&self) -> Option<&HashCache> {
        self.request.options.hash_cache.as_deref().filter(|cache| cache.is_usable())
    }

    /// Whether each file is right, as far as the cache knows. Chunked files are always read.
    fn ask_cache(&self, candidates: &[Candidate]) -> Vec<Option<bool>> {
        let mut known = vec![None; candidates.len()];
        let Some(cache) = self.cache() else { return known };
        let keys = self.keys(candidates);
        // The cache is fast where it is asked in the order of paths.
        let order: Vec<usize> = keys
            .sorted_indices()
            .into_iter()
            .filter(|place| self.whole_hash(candidates[*place].id).is_some())
            .collect();
        let requests: Vec<HashRequest<'_>> = order
            .iter()
            .map(|place| HashRequest {
                path: keys.get(*place),
                range: ByteRange::WHOLE_FILE,
                state: file_state(&candidates[*place].stamp),
            })
            .collect();
        for (place, answer) in order.iter().zip(cache.get_many(&requests)) {
            // The reference's rows know no sizes and no status changes: not enough to leave a file alone for.
            if let Lookup::Hit(hash) = answer {
                known[*place] = Some(Some(hash) == self.whole_hash(candidates[*place].id));
            }
        }
        self.report_warnings(cache);
        known
    }

    /// The hash of a file that is one object.
    fn whole_hash(&self, id: FileId) -> Option<ContentHash> {
        match self.request.roots[id.root as usize].manifest.files.content(id.index()) {
            Content::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    /// Reads a file and compares it with what the manifest says. A file that can't be read is not right.
    fn read(&self, candidate: &Candidate, buffer: &mut [u8]) -> Result<Reading> {
        let wrong = Reading { is_right: false, is_settled: false };
        let Some((mut file, before)) = self.open(candidate.id) else { return Ok(wrong) };
        let manifest = &self.request.roots[candidate.id.root as usize].manifest;
        let mut is_right = true;
        for (expected, length) in pieces(manifest, candidate.id.index()) {
            let found = self.hash_next(&mut file, length, buffer)?;
            is_right &= found == Some(expected);
        }
        let Some((_, after)) = self.open(candidate.id) else { return Ok(wrong) };
        let is_same = before == after && before == candidate.stamp;
        Ok(Reading { is_right: is_right && is_same, is_settled: is_same && before.is_settled(SystemTime::now()) })
    }

    /// The hash of the next `length` bytes, or `None` where the file has fewer or can't be read.
    fn hash_next(&self, file: &mut File, length: u64, buffer: &mut [u8]) -> Result<Option<ContentHash>> {
        let mut hasher = Hasher::new();
        let mut left = length;
        while left > 0 {
            self.context.check_cancelled(CANCELLED)?;
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            match file.read(&mut buffer[..most]) {
                Ok(0) => return Ok(None),
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    self.context.progress.check_bytes(read as u64);
                    left -= read as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(hasher.finish()))
    }

    fn record(&self, candidates: &[Candidate], unknown: &[usize], read: &[Reading]) {
        let Some(cache) = self.cache() else { return };
        let keys = self.keys(candidates);
        let kept: Vec<(usize, ContentHash)> = unknown
            .iter()
            .zip(read)
            .filter(|(_, read)| read.is_right && read.is_settled)
            .filter_map(|(place, _)| Some((*place, self.whole_hash(candidates[*place].id)?)))
            .collect();
        let records: Vec<HashRecord<'_>> = kept
            .iter()
            .map(|(place, hash)| HashRecord {
                path: keys.get(*place),
                range: ByteRange::WHOLE_FILE,
                state: file_state(&candidates[*place].stamp),
                hash,
            })
            .collect();
        cache.put_many(&records);
        self.report_warnings(cache);
    }

    fn report_warnings(&self, cache: &HashCache) {
        for warning in cache.take_warnings() {
            self.context.log(LogLevel::Warning, "caches", || warning);
        }
    }
}

const fn file_state(stamp: &FileStamp) -> FileState {
    FileState { size_bytes: stamp.size_bytes, mtime_ns: stamp.mtime_ns, ctime_ns: stamp.ctime_ns, inode: stamp.inode }
}
