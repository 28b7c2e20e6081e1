//! Hashing the files of one root, with the cache.
//!
//! The cache is asked about all files of a survey at once, then what it doesn't know is read. New hashes go into the cache in one transaction, also after a failure or a cancellation: work that was done stays done.

use std::fmt;
use std::time::SystemTime;

use crate::cache::{ByteRange, FileState, HashCache, HashRecord, HashRequest, Lookup, StaleReason};
use crate::error::Result;
use crate::fs::open::FileStamp;
use crate::fs::path_list::PathList;
use crate::fs::tree::{FileHash, TreeReader};
use crate::hash::ContentHash;
use crate::ops::in_parallel;
use crate::ops::survey::Survey;
use crate::transfer::context::{Context, LogLevel};

/// The reference's text for a cancelled hashing.
pub const CANCELLED: &str = "File hashing cancelled.";
const LOGGER: &str = "upload";

/// What to hash.
#[derive(Debug)]
pub struct HashFilesRequest<'a> {
    /// The files, as they were seen.
    pub survey: &'a Survey,
    /// The cache of hashes.
    pub cache: &'a HashCache,
    /// Whether new hashes go into the cache.
    pub update_cache: bool,
    /// Whether the cache is asked at all.
    pub read_cache: bool,
}

/// A file that was hashed, or whose hash was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedFile {
    /// The hash of its contents.
    pub hash: ContentHash,
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

/// Hashes files; the results are in the order of the survey.
///
/// Progress counts a file whose hash was known as skipped.
///
/// # Errors
/// [`crate::Error::SourceFile`] for the first file that can't be hashed, [`crate::Error::Cancelled`].
pub fn run(request: &HashFilesRequest<'_>, context: &Context) -> Result<Vec<HashedFile>> {
    let Survey { root, files, seen } = request.survey;
    let keys: PathList = files.iter().zip(seen).map(|(path, seen)| root.resolved_key(path, seen)).collect();
    let known = look_up(request, &keys);
    report_warnings(request.cache, context);
    Batch { request, keys: &keys, known: &known }.hash(context)
}

fn look_up(request: &HashFilesRequest<'_>, keys: &PathList) -> Vec<Lookup> {
    let seen = &request.survey.seen;
    if !request.read_cache {
        return vec![Lookup::Absent; seen.len()];
    }
    let questions: Vec<HashRequest<'_>> = keys
        .iter()
        .zip(seen)
        .map(|(path, seen)| HashRequest { path, range: ByteRange::WHOLE_FILE, state: file_state(&seen.stamp) })
        .collect();
    let mut known = request.cache.get_many(&questions);
    let now = SystemTime::now();
    for (known, seen) in known.iter_mut().zip(seen) {
        if matches!(known, Lookup::ReferenceHit(_)) && !seen.stamp.is_settled(now) {
            *known = Lookup::Stale(StaleReason::StatusChange);
        }
    }
    known
}

/// Everything known before hashing, in the order of the survey.
struct Batch<'a> {
    request: &'a HashFilesRequest<'a>,
    keys: &'a PathList,
    known: &'a [Lookup],
}

/// A file that was read, and whether its hash may be kept.
struct Read {
    file: HashedFile,
    is_settled: bool,
}

impl Batch<'_> {
    fn hash(&self, context: &Context) -> Result<Vec<HashedFile>> {
        let seen = &self.request.survey.seen;
        for (seen, known) in seen.iter().zip(self.known) {
            if let Lookup::Hit(_) | Lookup::ReferenceHit(_) = known {
                context.progress.skip_file(seen.stamp.size_bytes);
            }
        }
        let unknown: Vec<usize> = (0..seen.len())
            .filter(|place| !matches!(self.known[*place], Lookup::Hit(_) | Lookup::ReferenceHit(_)))
            .collect();
        let (read, error) = in_parallel::map(
            unknown.len(),
            || TreeReader::new(&self.request.survey.root),
            |reader, index| self.read(reader, unknown[index], context),
        );
        self.record(&unknown, &read);
        report_warnings(self.request.cache, context);
        if let Some(error) = error {
            return Err(error);
        }
        Ok(self.collect(&unknown, read))
    }

    fn read(&self, reader: &mut TreeReader<'_>, place: usize, context: &Context) -> Result<Read> {
        context.check_cancelled(CANCELLED)?;
        let path = self.request.survey.files.get(place);
        let reason = self.reason(place);
        context.log(LogLevel::Debug, LOGGER, || {
            format!("Hashing {}: {reason}", String::from_utf8_lossy(self.keys.get(place)))
        });
        let mut on_piece = |bytes: i64| {
            match u64::try_from(bytes) {
                Ok(bytes) => context.progress.add_bytes(bytes),
                Err(_) => context.progress.take_back_bytes(bytes.unsigned_abs()),
            }
            context.check_cancelled(CANCELLED)
        };
        let FileHash { hash, stamp, is_settled } =
            reader.hash(path, &self.request.survey.seen[place], &mut on_piece)?;
        context.progress.finish_file();
        Ok(Read { file: HashedFile { hash, stamp, reason: Some(reason) }, is_settled })
    }

    fn reason(&self, place: usize) -> HashReason {
        if !self.request.read_cache || !self.request.cache.is_usable() {
            return HashReason::NoCache;
        }
        match self.known[place] {
            Lookup::Stale(StaleReason::Size) => HashReason::Size,
            Lookup::Stale(StaleReason::ModificationTime) => HashReason::ModificationTime,
            Lookup::Stale(StaleReason::StatusChange) => HashReason::StatusChange,
            Lookup::Stale(StaleReason::DamagedRow) => HashReason::DamagedRow,
            Lookup::Absent | Lookup::Hit(_) | Lookup::ReferenceHit(_) => HashReason::New,
        }
    }

    fn record(&self, unknown: &[usize], read: &[Option<Read>]) {
        if !self.request.update_cache {
            return;
        }
        let range = ByteRange::WHOLE_FILE;
        let adopted = self.known.iter().enumerate().filter_map(|(place, known)| {
            let Lookup::ReferenceHit(hash) = known else { return None };
            let (path, state) = (self.keys.get(place), file_state(&self.request.survey.seen[place].stamp));
            Some(HashRecord { path, range, state, hash })
        });
        let hashed = unknown.iter().zip(read).filter_map(|(place, read)| {
            let Read { file, .. } = read.as_ref().filter(|read| read.is_settled)?;
            let (path, state) = (self.keys.get(*place), file_state(&file.stamp));
            Some(HashRecord { path, range, state, hash: &file.hash })
        });
        self.request.cache.put_many(&adopted.chain(hashed).collect::<Vec<_>>());
    }

    /// What was known and what was read, in the order of the survey.
    fn collect(&self, unknown: &[usize], read: Vec<Option<Read>>) -> Vec<HashedFile> {
        let mut results: Vec<Option<HashedFile>> = self
            .known
            .iter()
            .zip(&self.request.survey.seen)
            .map(|(known, seen)| match known {
                Lookup::Hit(hash) | Lookup::ReferenceHit(hash) => {
                    Some(HashedFile { hash: hash.clone(), stamp: seen.stamp, reason: None })
                }
                Lookup::Stale(_) | Lookup::Absent => None,
            })
            .collect();
        for (place, read) in unknown.iter().zip(read) {
            results[*place] = read.map(|read| read.file);
        }
        results.into_iter().flatten().collect()
    }
}

fn report_warnings(cache: &HashCache, context: &Context) {
    for warning in cache.take_warnings() {
        context.log(LogLevel::Warning, LOGGER, || warning);
    }
}

const fn file_state(stamp: &FileStamp) -> FileState {
    FileState { size_bytes: stamp.size_bytes, mtime_ns: stamp.mtime_ns, ctime_ns: stamp.ctime_ns, inode: stamp.inode }
}
