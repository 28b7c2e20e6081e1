//! Finding out which of the files that are there already are right, so that a worker that tries again fetches nothing twice.
//!
//! Right is a file that has the manifest's size and contents. It is left alone but for its time, which becomes the manifest's: a
//! later diff of the tree would list it as changed.

use super::conflicts::is_link;
use super::present::{BUFFER_BYTES, Present};
use super::request::{CANCELLED, DownloadRequest, FileId, LOGGER};
use super::settled::Settled;
use crate::cache::{ByteRange, HashCache, HashRecord, HashRequest, Lookup};
use crate::error::Result;
use crate::fs::File;
use crate::fs::open::FileStamp;
use crate::fs::path_list::PathList;
use crate::fs::target_root::TargetRoot;
use crate::fs::times::{SetTime, set_mtime};
use crate::hash::ContentHash;
use crate::manifest::Content;
use crate::ops::hash_files::file_state;
use crate::ops::in_parallel::{self, Mapped};
use crate::path::wtf8_from_os_str;
use crate::transfer::context::{Context, LogLevel};
use parking_lot::Mutex;

/// A file whose time was set this long before the call, or longer, shows any later write: the write sets another time.
const LONG_AGO_NS: i128 = 2_000_000_000;

/// Marks files as left alone whose size and contents are those of the manifest, and gives them its time.
///
/// Contents that the hash cache knows, by the file's size, times and inode, are not read. What is read goes into the cache, if
/// the file had rested for long enough before that any write would show. What the cache knows about files that are going to be
/// replaced is dropped: the reference's rows know a file by its time alone, and the new one has the same.
pub(super) fn leave_what_is_right(
    request: &DownloadRequest,
    roots: &[TargetRoot],
    settled: &mut Settled,
    context: &Context,
) -> Result<()> {
    let search = Search::new(request, roots, context);
    let candidates = search.candidates(settled)?;
    let known = search.ask_cache(&candidates);
    let Mapped { done, error } =
        in_parallel::map(&known.unknown, || vec![0; BUFFER_BYTES], |buffer, candidate| search.read(candidate, buffer));
    let read: Vec<(&Candidate, Reading)> = done.into_iter().map(|(candidate, reading)| (*candidate, reading)).collect();
    let timed = in_parallel::map(&known.right, || (), |(), candidate| search.set_time_of(candidate));
    search.record(&read, &timed.done);
    search.report_refusals();
    if let Some(error) = error {
        return Err(error);
    }
    timed.all()?;
    let by_reading = read.iter().filter(|(_, reading)| reading.is_right).map(|(candidate, _)| *candidate);
    for candidate in known.right.iter().copied().chain(by_reading) {
        settled.skip(candidate.id);
    }
    search.forget_replaced(settled);
    Ok(())
}

struct Search<'a> {
    present: Present<'a>,
    request: &'a DownloadRequest,
    /// The roots with all links resolved, in WTF-8: how the cache's keys begin.
    real_roots: Vec<Vec<u8>>,
    context: &'a Context,
    refused: Mutex<Refused>,
}

/// Files whose time could not be set.
#[derive(Default)]
struct Refused {
    count: usize,
    first: Option<(FileId, std::io::Error)>,
}

/// A file that is there with the right size.
struct Candidate {
    id: FileId,
    stamp: FileStamp,
}

/// What the cache says about candidates.
struct Known<'c> {
    right: Vec<&'c Candidate>,
    /// It doesn't know these. Those that it knows to be wrong are in neither list.
    unknown: Vec<&'c Candidate>,
}

/// What reading a file has shown.
struct Reading {
    is_right: bool,
    /// The file as it was read, if its hash may be kept: it is the same after reading, and had rested before.
    keep: Option<FileStamp>,
}

impl<'a> Search<'a> {
    fn new(request: &'a DownloadRequest, roots: &'a [TargetRoot], context: &'a Context) -> Self {
        let real = |root: &TargetRoot| root.path().canonicalize().unwrap_or_else(|_| root.path().to_path_buf());
        let real_roots = roots.iter().map(|root| wtf8_from_os_str(real(root).as_os_str())).collect();
        let present = Present { request, roots, context };
        Self { present, request, real_roots, context, refused: Mutex::default() }
    }

    fn candidates(&self, settled: &Settled) -> Result<Vec<Candidate>> {
        let ids: Vec<FileId> = self.replaced(settled).collect();
        let look = |(): &mut (), id: &FileId| {
            self.context.check_cancelled(CANCELLED)?;
            let stamp = self.present.open(*id).map(|(_, stamp)| stamp);
            Ok(stamp.filter(|stamp| self.present.has_its_size(*id, stamp)).map(|stamp| Candidate { id: *id, stamp }))
        };
        Ok(in_parallel::map(&ids, || (), look).all()?.into_iter().flatten().collect())
    }

    /// The files that are there and would be replaced.
    fn replaced<'s>(&'s self, settled: &'s Settled) -> impl Iterator<Item = FileId> + 's {
        (0_u32..).zip(&self.request.roots).flat_map(move |(root, download)| {
            let all = (0_u32..).take(download.manifest.files.len()).map(move |entry| FileId { root, entry });
            all.filter(move |id| settled.is_replaced(*id) && !is_link(&download.manifest, id.index()))
        })
    }

    /// The resolved path, by which the cache knows a file. Those in directories that are links are found by others' names.
    fn key(&self, id: FileId) -> Vec<u8> {
        let path = self.request.roots[id.root as usize].manifest.files.path(id.index());
        let mut key = self.real_roots[id.root as usize].clone();
        for part in path.components() {
            if key.last() != Some(&b'/') {
                key.push(b'/');
            }
            key.extend_from_slice(part);
        }
        key
    }

    fn cache(&self) -> Option<&HashCache> {
        self.request.options.hash_cache.as_deref().filter(|cache| cache.is_usable())
    }

    /// What the cache knows of each file. Chunked files are always read.
    fn ask_cache<'c>(&self, candidates: &'c [Candidate]) -> Known<'c> {
        let mut known = Known { right: Vec::new(), unknown: Vec::new() };
        let Some(cache) = self.cache() else {
            known.unknown.extend(candidates);
            return known;
        };
        let mut asked: Vec<(&Candidate, ContentHash)> = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            match self.whole_hash(candidate.id) {
                Some(hash) => asked.push((candidate, hash)),
                None => known.unknown.push(candidate),
            }
        }
        let keys: PathList = asked.iter().map(|(candidate, _)| self.key(candidate.id)).collect();
        // The cache is fast where it is asked in the order of paths.
        let order = keys.sorted_indices();
        let requests: Vec<HashRequest<'_>> = order
            .iter()
            .map(|index| HashRequest {
                path: keys.get(*index),
                range: ByteRange::WHOLE_FILE,
                state: file_state(&asked[*index].0.stamp),
            })
            .collect();
        for (index, answer) in order.iter().zip(cache.get_many(&requests)) {
            let (candidate, wanted) = &asked[*index];
            match answer {
                Lookup::Hit(hash) if hash == *wanted => known.right.push(candidate),
                Lookup::Hit(_) => {}
                // The reference's rows know no sizes and no status changes: not enough to leave a file alone for.
                Lookup::ReferenceHit(_) | Lookup::Stale(_) | Lookup::Absent => known.unknown.push(candidate),
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

    fn read(&self, candidate: &Candidate, buffer: &mut [u8]) -> Result<Reading> {
        let Some(right) = self.present.read(candidate.id, buffer)? else {
            return Ok(Reading { is_right: false, keep: None });
        };
        let stamp = self.set_time(candidate.id, &right.file, &right.stamp);
        Ok(Reading { is_right: true, keep: stamp.filter(|_| right.has_rested) })
    }

    /// Gives a file that the cache knows to be right the manifest's time. Its new stamp, where that may be kept.
    fn set_time_of(&self, candidate: &Candidate) -> Result<Option<FileStamp>> {
        self.context.check_cancelled(CANCELLED)?;
        let Candidate { id, stamp } = candidate;
        if self.present.has_its_time(*id, stamp) {
            return Ok(None);
        }
        Ok(self.present.open(*id).and_then(|(file, _)| self.set_time(*id, &file, stamp)))
    }

    /// Gives a file that is right the manifest's time, if it has another. The stamp by which its hash may be kept, if it may.
    fn set_time(&self, id: FileId, file: &File, seen: &FileStamp) -> Option<FileStamp> {
        if self.present.has_its_time(id, seen) {
            return Some(*seen);
        }
        match set_mtime(file, self.present.mtime_micros(id), seen) {
            SetTime::Set(stamp) => (i128::from(stamp.ctime_ns) - stamp.mtime_ns > LONG_AGO_NS).then_some(stamp),
            SetTime::Changed => None,
            SetTime::Refused(error) => {
                self.note_refusal(id, error);
                // Nothing about the file has changed.
                Some(*seen)
            }
        }
    }

    fn note_refusal(&self, id: FileId, error: std::io::Error) {
        let mut refused = self.refused.lock();
        refused.count += 1;
        refused.first.get_or_insert((id, error));
    }

    /// One line for all files whose time could not be set: their contents are right, so this is no failure.
    fn report_refusals(&self) {
        let mut refused = self.refused.lock();
        let Refused { count, first } = std::mem::take(&mut *refused);
        let Some((id, error)) = first else { return };
        self.context.log(LogLevel::Warning, LOGGER, || {
            let path = self.request.roots[id.root as usize].manifest.files.path(id.index());
            let path = self.request.roots[id.root as usize].path.join(path.display());
            let others = if count > 1 { format!(" (and of {} more files)", count - 1) } else { String::new() };
            let path = path.display();
            format!(
                "The time of '{path}' could not be set: {error}{others}. Its contents are right; a diff may list it."
            )
        });
    }

    fn record(&self, read: &[(&Candidate, Reading)], timed: &[(&&Candidate, Option<FileStamp>)]) {
        let Some(cache) = self.cache() else { return };
        let read = read.iter().filter_map(|(candidate, reading)| Some((candidate.id, reading.keep?)));
        let timed = timed.iter().filter_map(|(candidate, stamp)| Some((candidate.id, (*stamp)?)));
        let kept: Vec<(Vec<u8>, FileStamp, ContentHash)> =
            read.chain(timed).filter_map(|(id, stamp)| Some((self.key(id), stamp, self.whole_hash(id)?))).collect();
        let records: Vec<HashRecord<'_>> = kept
            .iter()
            .map(|(key, stamp, hash)| HashRecord {
                path: key,
                range: ByteRange::WHOLE_FILE,
                state: file_state(stamp),
                hash,
            })
            .collect();
        cache.put_many(&records);
        self.report_warnings(cache);
    }

    /// Drops what the cache knows about files that are going to be replaced.
    fn forget_replaced(&self, settled: &Settled) {
        let Some(cache) = self.cache() else { return };
        let keys: Vec<Vec<u8>> = self.replaced(settled).map(|id| self.key(id)).collect();
        cache.remove(&keys);
        self.report_warnings(cache);
    }

    fn report_warnings(&self, cache: &HashCache) {
        for warning in cache.take_warnings() {
            self.context.log(LogLevel::Warning, "caches", || warning);
        }
    }
}
