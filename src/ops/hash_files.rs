//! Hashing the files of one root, with the cache.
//!
//! Thousands of files at a time: the cache is asked about all of them at once, then what it doesn't know is read. New hashes
//! go into the cache in one transaction, also after a failure or a cancellation: work that was done stays done.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use crate::cache::{ByteRange, FileState, HashCache, HashRecord, HashRequest, Lookup, StaleReason};
use crate::error::{Error, Result, SourceProblem};
use crate::fs::open::FileStamp;
use crate::fs::path_list::PathList;
use crate::fs::tree::{FileHash, Part, SeenFile, TreeReader};
use crate::hash::ContentHash;
use crate::ops::in_parallel::{self, Mapped};
use crate::ops::survey::{CANCELLED, Survey};
use crate::path::wtf8_from_os_str;
use crate::transfer::context::{Context, LogLevel};

const LOGGER: &str = "upload";

/// What to hash.
#[derive(Debug)]
pub(crate) struct HashFilesRequest<'a> {
    /// The files, as they were seen.
    pub survey: &'a Survey,
    /// The cache of hashes.
    pub cache: &'a HashCache,
    /// Whether new hashes go into the cache.
    pub update_cache: bool,
    /// Whether the cache is asked at all.
    pub read_cache: bool,
    /// Hash files that are longer than this in chunks of this many bytes, in parallel.
    pub chunk_bytes: Option<u64>,
}

/// A file that was hashed, or whose hash was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HashedFile {
    /// The hash of its contents, or those of its chunks.
    pub hashes: Vec<ContentHash>,
    /// The file in the state that has this hash.
    pub stamp: FileStamp,
    /// Why it was read, or `None` where the cache knew its hash.
    pub reason: Option<HashReason>,
}

/// Why a file's contents were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashReason {
    /// The cache has never seen it.
    New,
    /// Its size has changed.
    Size,
    /// Its modification time has changed.
    ModificationTime,
    /// Its status change time or inode has changed.
    StatusChange,
    /// The cache's row for it is damaged.
    DamagedRow,
    /// There is no cache, or the caller wants none.
    NoCache,
}

impl HashReason {
    /// All reasons, in the order in which they are reported.
    pub const ALL: [Self; 6] =
        [Self::New, Self::Size, Self::ModificationTime, Self::StatusChange, Self::DamagedRow, Self::NoCache];

    /// The reason as one word, a key of reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Size => "size",
            Self::ModificationTime => "mtime",
            Self::StatusChange => "ctime",
            Self::DamagedRow => "damaged_row",
            Self::NoCache => "no_cache",
        }
    }
}

impl fmt::Display for HashReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "it is new",
            Self::Size => "its size has changed",
            Self::ModificationTime => "its modification time has changed",
            Self::StatusChange => "its status change time or inode has changed",
            Self::DamagedRow => "its row in the hash cache is damaged",
            Self::NoCache => "no hash cache is in use",
        })
    }
}

/// A file, or one of its chunks: the unit of work.
#[derive(Debug, Clone, Copy)]
struct Unit {
    file: usize,
    range: ByteRange,
}

/// Hashes files; the results are in the order of the survey.
///
/// Progress counts a file whose hash was known as skipped.
///
/// # Errors
/// [`crate::Error::SourceFile`] for the first file that can't be hashed, [`crate::Error::Cancelled`].
pub(crate) fn hash_files(request: &HashFilesRequest<'_>, context: &Context) -> Result<Vec<HashedFile>> {
    let count = request.survey.seen.len();
    let mut all = Vec::with_capacity(count);
    for files in in_parallel::batches(count) {
        let batch = Batch::new(request, files);
        report_warnings(request.cache, context);
        let hashed = batch.hash(context);
        report_warnings(request.cache, context);
        all.append(&mut hashed?);
    }
    Ok(all)
}

fn units(seen: &[SeenFile], chunk_bytes: Option<u64>) -> Vec<Unit> {
    let mut units = Vec::with_capacity(seen.len());
    for (file, seen) in seen.iter().enumerate() {
        let size = seen.stamp.size_bytes;
        match chunk_bytes.filter(|chunk| size > *chunk && *chunk > 0) {
            None => units.push(Unit { file, range: ByteRange::WHOLE_FILE }),
            Some(chunk) => units.extend((0..size.div_ceil(chunk)).map(|number| {
                let (start, end) = (number * chunk, size.min((number + 1) * chunk));
                Unit { file, range: ByteRange { start: start.cast_signed(), end: end.cast_signed() } }
            })),
        }
    }
    units
}

fn look_up(request: &HashFilesRequest<'_>, seen: &[SeenFile], keys: &PathList, units: &[Unit]) -> Vec<Lookup> {
    if !request.read_cache {
        return vec![Lookup::Absent; units.len()];
    }
    let questions: Vec<HashRequest<'_>> = units
        .iter()
        .map(|Unit { file, range }| HashRequest {
            path: keys.get(*file),
            range: *range,
            state: file_state(&seen[*file].stamp),
        })
        .collect();
    let mut known = request.cache.get_many(&questions);
    let now = SystemTime::now();
    for (known, unit) in known.iter_mut().zip(units) {
        if matches!(known, Lookup::ReferenceHit(_)) && !seen[unit.file].stamp.is_settled(now) {
            *known = Lookup::Stale(StaleReason::StatusChange);
        }
    }
    known
}

/// Some of a survey's files, and everything known before they are hashed.
struct Batch<'a> {
    request: &'a HashFilesRequest<'a>,
    /// Where in the survey the batch begins.
    first: usize,
    /// What was seen of each file.
    seen: &'a [SeenFile],
    /// The resolved paths, by file.
    keys: PathList,
    units: Vec<Unit>,
    /// What the cache knows, by unit.
    known: Vec<Lookup>,
}

/// A unit that was read, and whether its hash may be kept.
struct Read {
    hash: FileHash,
    reason: HashReason,
}

impl<'a> Batch<'a> {
    fn new(request: &'a HashFilesRequest<'a>, files: Range<usize>) -> Self {
        let Survey { root, files: paths, seen, .. } = request.survey;
        let (first, seen) = (files.start, &seen[files.clone()]);
        let keys: PathList = files.zip(seen).map(|(index, seen)| root.resolved_key(paths.get(index), seen)).collect();
        let units = units(seen, request.chunk_bytes);
        let known = look_up(request, seen, &keys, &units);
        Self { request, first, seen, keys, units, known }
    }

    /// The path of a file of the batch, relative to the root.
    fn path(&self, file: usize) -> &'a [u8] {
        self.request.survey.files.get(self.first + file)
    }

    fn hash(&self, context: &Context) -> Result<Vec<HashedFile>> {
        let unknown: Vec<usize> = (0..self.units.len())
            .filter(|unit| !matches!(self.known[*unit], Lookup::Hit(_) | Lookup::ReferenceHit(_)))
            .collect();
        let left = self.count_known(&unknown, context);
        let has_spare_processors = in_parallel::thread_count(usize::MAX) > unknown.len() + 1;
        let Mapped { done, error } = in_parallel::map(
            &unknown,
            || TreeReader::new(&self.request.survey.root, context.goes_on(CANCELLED)).with_helper(has_spare_processors),
            |reader, unit| {
                let read = self.read(reader, *unit, context)?;
                if left[self.units[*unit].file].fetch_sub(1, Ordering::Relaxed) == 1 {
                    context.progress.finish_file();
                }
                Ok(read)
            },
        );
        self.record(&done);
        error.map_or_else(|| self.collect(done), Err)
    }

    /// Counts what needs no work, and returns how many units each file has left to read.
    fn count_known(&self, unknown: &[usize], context: &Context) -> Vec<AtomicUsize> {
        let left: Vec<AtomicUsize> = self.seen.iter().map(|_| AtomicUsize::new(0)).collect();
        for unit in unknown {
            left[self.units[*unit].file].fetch_add(1, Ordering::Relaxed);
        }
        for (left, seen) in left.iter().zip(self.seen) {
            if left.load(Ordering::Relaxed) == 0 {
                context.progress.skip_file(seen.stamp.size_bytes);
            }
        }
        for (unit, known) in self.units.iter().zip(&self.known) {
            let is_part = unit.range != ByteRange::WHOLE_FILE && left[unit.file].load(Ordering::Relaxed) > 0;
            if is_part && matches!(known, Lookup::Hit(_) | Lookup::ReferenceHit(_)) {
                context.progress.skip_bytes((unit.range.end - unit.range.start).unsigned_abs());
            }
        }
        left
    }

    fn read(&self, reader: &mut TreeReader<'_>, unit: usize, context: &Context) -> Result<Read> {
        context.check_cancelled(CANCELLED)?;
        let Unit { file, range } = self.units[unit];
        let reason = self.reason(unit);
        context.log(LogLevel::Debug, LOGGER, || {
            format!("Hashing {}: {reason}", String::from_utf8_lossy(self.keys.get(file)))
        });
        let mut on_piece = |bytes: i64| {
            match u64::try_from(bytes) {
                Ok(bytes) => context.progress.add_bytes(bytes),
                Err(_) => context.progress.take_back_bytes(bytes.unsigned_abs()),
            }
            context.check_cancelled(CANCELLED)
        };
        let part = if range == ByteRange::WHOLE_FILE {
            Part::WHOLE
        } else {
            Part { start: range.start.unsigned_abs(), length: (range.end - range.start).unsigned_abs() }
        };
        let hash = reader.hash(self.path(file), &self.seen[file], part, &mut on_piece)?;
        Ok(Read { hash, reason })
    }

    fn reason(&self, unit: usize) -> HashReason {
        if !self.request.read_cache || !self.request.cache.is_usable() {
            return HashReason::NoCache;
        }
        match self.known[unit] {
            Lookup::Stale(StaleReason::Size) => HashReason::Size,
            Lookup::Stale(StaleReason::ModificationTime) => HashReason::ModificationTime,
            Lookup::Stale(StaleReason::StatusChange) => HashReason::StatusChange,
            Lookup::Stale(StaleReason::DamagedRow) => HashReason::DamagedRow,
            Lookup::Absent | Lookup::Hit(_) | Lookup::ReferenceHit(_) => HashReason::New,
        }
    }

    /// Keeps what was read. What is known from the reference's table alone is not among it: nothing has shown that it is right.
    fn record(&self, done: &[(&usize, Read)]) {
        if !self.request.update_cache {
            return;
        }
        let settled = done.iter().filter(|(_, read)| read.hash.is_settled);
        let records: Vec<HashRecord<'_>> = settled
            .map(|(unit, read)| {
                let Unit { file, range } = self.units[**unit];
                let FileHash { hash, stamp, .. } = &read.hash;
                HashRecord { path: self.keys.get(file), range, state: file_state(stamp), hash }
            })
            .collect();
        self.request.cache.put_many(&records);
    }

    /// What was known and what was read, by file. `done` is all that was not known.
    fn collect(&self, done: Vec<(&usize, Read)>) -> Result<Vec<HashedFile>> {
        let mut all: Vec<HashedFile> = self
            .seen
            .iter()
            .map(|seen| HashedFile { hashes: Vec::with_capacity(1), stamp: seen.stamp, reason: None })
            .collect();
        let known = self.known.iter().enumerate().filter_map(|(unit, known)| match known {
            Lookup::Hit(hash) | Lookup::ReferenceHit(hash) => {
                let stamp = self.seen[self.units[unit].file].stamp;
                Some((unit, Found { hash: hash.clone(), stamp, reason: None }))
            }
            Lookup::Stale(_) | Lookup::Absent => None,
        });
        let read = done.into_iter().map(|(unit, Read { hash: FileHash { hash, stamp, .. }, reason })| {
            (*unit, Found { hash, stamp, reason: Some(reason) })
        });
        // Chunks of a file are neighbours among the units, and in the order of the file.
        for (unit, found) in merged(known, read) {
            let HashedFile { hashes, stamp, reason } = &mut all[self.units[unit].file];
            hashes.push(found.hash);
            *reason = reason.or(found.reason);
            // Chunks of two states of a file make no file.
            if hashes.len() > 1 && found.stamp != *stamp {
                return Err(self.unstable(self.units[unit].file)?);
            }
            *stamp = found.stamp;
        }
        Ok(all)
    }

    fn unstable(&self, file: usize) -> Result<Error> {
        let Survey { root, files, .. } = self.request.survey;
        let path = root.path().join(files.path(self.first + file).to_os_string()?);
        Ok(Error::SourceFile { path, problem: SourceProblem::Unstable })
    }
}

/// A unit's hash, and the state of the file that it belongs to.
struct Found {
    hash: ContentHash,
    stamp: FileStamp,
    reason: Option<HashReason>,
}

/// Two lists that are sorted by their numbers, as one.
fn merged<T>(
    left: impl Iterator<Item = (usize, T)>,
    right: impl Iterator<Item = (usize, T)>,
) -> impl Iterator<Item = (usize, T)> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some((a, _)), Some((b, _))) if a < b => left.next(),
        (Some(_), None) => left.next(),
        _ => right.next(),
    })
}

/// Drops what caches know of files whose contents turned out to be others than a hash said: to hash them again then reads them.
///
/// `folders` are those of the caches that the hash may have come from; one that has no cache gets none.
pub(crate) fn forget(folders: &[PathBuf], files: &[PathBuf], context: &Context) {
    if files.is_empty() {
        return;
    }
    // The caches know a file by the path that all links lead to. One that has gone can't be asked about.
    let keys: Vec<Vec<u8>> =
        files.iter().filter_map(|file| Some(wtf8_from_os_str(file.canonicalize().ok()?.as_os_str()))).collect();
    for folder in folders {
        if let Some(cache) = HashCache::open_existing(folder) {
            cache.remove(&keys);
            report_warnings(&cache, context);
        }
    }
}

/// The files among errors that are not what they were hashed as.
pub(super) fn changed_files(errors: &[Error]) -> Vec<PathBuf> {
    let changed = errors.iter().filter_map(|error| match error {
        Error::SourceFile { path, problem: SourceProblem::Changed { .. } } => Some(path.clone()),
        _ => None,
    });
    changed.collect()
}

fn report_warnings(cache: &HashCache, context: &Context) {
    for warning in cache.take_warnings() {
        context.log(LogLevel::Warning, LOGGER, || warning);
    }
}

/// What the cache knows a file by. Its columns hold times of the years 1677 to 2262; others are told apart by the time of the
/// last change of status alone.
pub(super) fn file_state(stamp: &FileStamp) -> FileState {
    let mtime_ns = i64::try_from(stamp.mtime_ns).unwrap_or(if stamp.mtime_ns < 0 { i64::MIN } else { i64::MAX });
    FileState { size_bytes: stamp.size_bytes, mtime_ns, ctime_ns: stamp.ctime_ns, inode: stamp.inode }
}
