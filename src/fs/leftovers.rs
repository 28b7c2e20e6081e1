//! Names of temporary files, and the removal of those that killed runs left behind.
//!
//! A directory may be shared by hosts and containers that see neither each other's processes nor each other's locks. So a
//! name says whose it is, and a file is removed only if its writer is provably dead, or if nobody has touched it for a day.

use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::calls;
use super::directory::{Directory, FileSystemKind};

/// How names of temporary files begin. They are hidden, short (a target's name may be 255 bytes already) and ours alone.
const TEMPORARY_PREFIX: &str = ".rusty-attachments-";
const SUFFIX: &str = ".part";
/// How long after its making a temporary file on a local file system may be without its lock.
const LOCKED_WITHIN: Duration = Duration::from_mins(1);
/// How long nobody touches what nobody writes any more, where nothing else can be known.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// Who writes a temporary file, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Writer {
    /// Where the process number means something: a boot of a kernel, and the process's namespaces. 0 is not known.
    world: u64,
    process: u32,
    /// When the process began, by the kernel's clock: a number that is used again belongs to another process. 0 is not known.
    started: u64,
}

/// What is known of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Alive,
    Dead,
    Unknown,
}

/// A new name for a temporary file of this process.
pub(super) fn temporary_name() -> OsString {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let Writer { world, process, started } = Writer::this_process();
    let now = UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis());
    format!("{TEMPORARY_PREFIX}{world:x}-{process}-{started:x}-{now:x}-{number:x}{SUFFIX}").into()
}

impl Writer {
    /// This process; a forked child is another one.
    fn this_process() -> Self {
        static KNOWN: Mutex<Option<Writer>> = Mutex::new(None);
        let process = std::process::id();
        let mut known = KNOWN.lock();
        match *known {
            Some(writer) if writer.process == process => writer,
            _ => *known.insert(Self { world: world(), process, started: started(process).unwrap_or(0) }),
        }
    }

    /// The writer that a name tells of, and when the name was made, in milliseconds since the epoch by the writer's clock.
    fn from_name(name: &[u8]) -> Option<(Self, u64)> {
        let name = std::str::from_utf8(name).ok()?;
        let mut parts = name.strip_prefix(TEMPORARY_PREFIX)?.strip_suffix(SUFFIX)?.split('-');
        let hexadecimal = |text: Option<&str>| u64::from_str_radix(text?, 16).ok();
        let world = hexadecimal(parts.next())?;
        let process = parts.next()?.parse().ok()?;
        let started = hexadecimal(parts.next())?;
        let made = hexadecimal(parts.next())?;
        hexadecimal(parts.next())?;
        parts.next().is_none().then_some((Self { world, process, started }, made))
    }

    fn life(self) -> Life {
        let own = Self::this_process();
        if self.world == 0 || self.world != own.world {
            return Life::Unknown;
        }
        if self == own {
            return Life::Alive;
        }
        let Some(process) = i32::try_from(self.process).ok().and_then(rustix::process::Pid::from_raw) else {
            return Life::Unknown;
        };
        if rustix::process::test_kill_process(process) == Err(Errno::SRCH) {
            return Life::Dead;
        }
        match started(self.process) {
            Some(started) if self.started != 0 && self.started != started => Life::Dead,
            _ => Life::Alive,
        }
    }
}

/// Where this process's number means what it means here. Machine ids and host names are copied with disks, and containers
/// on one machine share them; the boot's id is made anew each time.
#[cfg(target_os = "linux")]
fn world() -> u64 {
    let Ok(boot) = std::fs::read("/proc/sys/kernel/random/boot_id") else { return 0 };
    let Ok(processes) = std::fs::read_link("/proc/self/ns/pid") else { return 0 };
    // A time namespace moves what the kernel says of when processes began. Kernels before 5.6 have none.
    let time = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    let parts = [&boot, processes.as_os_str().as_bytes(), time.as_os_str().as_bytes()];
    crate::hash::quick_hash(&parts.join(&b'\n'))
}

#[cfg(not(target_os = "linux"))]
fn world() -> u64 {
    0
}

/// When a process that is not dead began, by the kernel's clock; `None` where the system won't say, 0 for a dead process whose
/// parent has not asked for its status.
#[cfg(target_os = "linux")]
fn started(process: u32) -> Option<u64> {
    // /proc may be that of another namespace, where the number is another process's.
    let own = std::fs::read_link("/proc/self").ok()?;
    if own.as_os_str().as_bytes() != std::process::id().to_string().as_bytes() {
        return None;
    }
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The command's name, in parentheses, may hold anything (proc_pid_stat(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some(if matches!(state, "Z" | "X") { 0 } else { started })
}

#[cfg(not(target_os = "linux"))]
fn started(_process: u32) -> Option<u64> {
    None
}

/// The clocks that ages are told by.
#[derive(Clone, Copy)]
struct Clocks<'a> {
    here: Duration,
    /// The clock that stamps the files of a directory. This host's may be wrong.
    there: &'a dyn Fn(&Directory) -> Option<Duration>,
}

/// Removes temporary files whose writers are gone. Best effort: what can't be removed is in nobody's way.
pub(super) fn remove_stale(directory: &Directory) {
    let clocks = Clocks { here: UNIX_EPOCH.elapsed().unwrap_or_default(), there: &file_system_time };
    sweep(directory, clocks);
}

fn sweep(directory: &Directory, clocks: Clocks<'_>) {
    let Ok(entries) = rustix::fs::Dir::read_from(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) && is_stale(directory, name, clocks) {
            let _ = calls::unlink(directory, OsStr::from_bytes(name.to_bytes()));
        }
    }
}

fn is_stale(directory: &Directory, name: &CStr, clocks: Clocks<'_>) -> bool {
    let writer = Writer::from_name(name.to_bytes());
    match writer.map_or(Life::Unknown, |(writer, _)| writer.life()) {
        Life::Alive => return false,
        Life::Dead => return true,
        Life::Unknown => {}
    }
    let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    if clocks.here.saturating_sub(touched(&stat)) < LOCKED_WITHIN {
        return false;
    }
    if is_unlocked(directory, name, &stat) {
        return true;
    }
    let made = writer.map_or(Duration::ZERO, |(_, made)| Duration::from_millis(made));
    let is_old = |now: Duration| now.saturating_sub(touched(&stat).max(made)) >= ABANDONED_AFTER;
    is_old(clocks.here) && (clocks.there)(directory).is_some_and(is_old)
}

/// When something about a file was changed last, since the epoch.
#[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "the types differ between platforms")]
fn touched(stat: &Stat) -> Duration {
    // The modification time is set to what the manifest says before the file gets its name.
    let changed = (stat.st_ctime as i64).max(stat.st_mtime as i64);
    // Seconds, rounded up.
    Duration::from_secs(u64::try_from(changed).unwrap_or(0).saturating_add(1))
}

/// Whether a lock proves that nobody writes a file any more: only on a file system that is this kernel's alone, where all
/// writers lock what they write.
fn is_unlocked(directory: &Directory, name: &CStr, stat: &Stat) -> bool {
    if directory.kind() == FileSystemKind::Shared || !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        return false;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let open = || rustix::fs::openat(directory, name, flags, Mode::empty());
    let (Ok(first), Ok(second)) = (open(), open()) else { return false };
    // A lock that is granted twice is granted to everybody.
    calls::try_lock(&first).is_ok() && calls::try_lock(&second) == Err(Errno::WOULDBLOCK)
}

/// The time by the clock that stamps the files of a directory.
fn file_system_time(directory: &Directory) -> Option<Duration> {
    let name = temporary_name();
    let file = calls::create_new(directory, &name, 0o600).ok()?;
    let stat = rustix::fs::fstat(&file);
    let _ = calls::unlink(directory, &name);
    stat.ok().map(|stat| touched(&stat))
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::fs::calls::refusals;

    const HOUR: Duration = Duration::from_hours(1);

    struct Folder {
        path: tempfile::TempDir,
        directory: Directory,
    }

    impl Folder {
        fn new() -> Self {
            let path = tempfile::tempdir().unwrap();
            let directory = Directory::new(File::open(path.path()).unwrap().into());
            Self { path, directory }
        }

        fn shared() -> Self {
            let folder = Self::new();
            folder.directory.pretend(FileSystemKind::Shared);
            folder
        }

        fn put(&self, name: &str) -> File {
            File::create_new(self.path.path().join(name)).unwrap()
        }

        /// Whether a file stays, as one finds that comes so much later by either clock.
        fn keeps(&self, name: &str, here: Duration, there: Option<Duration>) -> bool {
            let now = UNIX_EPOCH.elapsed().unwrap();
            sweep(&self.directory, Clocks { here: now + here, there: &|_| there.map(|there| now + there) });
            self.path.path().join(name).symlink_metadata().is_ok()
        }
    }

    fn name(world: u64, process: u32, started: u64) -> String {
        let now = UNIX_EPOCH.elapsed().unwrap().as_millis();
        format!("{TEMPORARY_PREFIX}{world:x}-{process}-{started:x}-{now:x}-0{SUFFIX}")
    }

    fn child() -> Child {
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    }

    fn end(mut child: Child) {
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn a_name_tells_of_its_writer() {
        let made = temporary_name();
        let (writer, _) = Writer::from_name(made.as_bytes()).unwrap();
        assert_eq!(writer, Writer::this_process());
        assert_eq!(writer.process, std::process::id());
        assert!(writer.world != 0 && writer.started != 0, "{writer:?}");
        assert_ne!(made, temporary_name());
        let longest = name(u64::MAX, u32::MAX, u64::MAX);
        assert!(longest.len() < 143, "the least that a file system allows (eCryptfs): {longest}");
        for odd in [".rusty-attachments-1-2-3.part", ".rusty-attachments-", ".rusty-attachments-1-2-3-4-5", "x"] {
            assert_eq!(Writer::from_name(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn a_writer_is_dead_if_this_kernel_knows_so() {
        let own = Writer::this_process();
        let running = child();
        let writer = Writer { process: running.id(), started: started(running.id()).unwrap(), ..own };
        assert_eq!(own.life(), Life::Alive);
        assert_eq!(writer.life(), Life::Alive);
        // The number is used again.
        assert_eq!(Writer { started: writer.started + 1, ..writer }.life(), Life::Dead);
        // Without /proc a number that is in use may be the writer's.
        assert_eq!(Writer { started: 0, ..writer }.life(), Life::Alive);
        // Another host, boot or container: the number means nothing here.
        for world in [0, own.world ^ 1] {
            assert_eq!(Writer { world, ..writer }.life(), Life::Unknown);
            assert_eq!(Writer { world, process: u32::MAX, ..writer }.life(), Life::Unknown);
        }
        end(running);
        assert_eq!(writer.life(), Life::Dead);
    }

    #[test]
    fn a_killed_process_is_dead_before_its_parent_asks() {
        let mut running = child();
        let writer =
            Writer { process: running.id(), started: started(running.id()).unwrap(), ..Writer::this_process() };
        drop(running.stdin.take());
        rustix::process::waitid(
            rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&running)),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .unwrap();
        assert_eq!(writer.life(), Life::Dead);
        running.wait().unwrap();
    }

    #[test]
    fn what_a_dead_writer_left_goes_at_once_whatever_locks_say() {
        let running = child();
        let own = Writer::this_process();
        let left = name(own.world, running.id(), started(running.id()).unwrap());
        for error in [Errno::BADF, Errno::NOLCK, Errno::NOSYS] {
            let folder = Folder::shared();
            folder.put(&left);
            std::os::unix::fs::symlink("nowhere", folder.path.path().join(left.replace("-0.", "-1."))).unwrap();
            refusals::set(&[("flock", error)]);
            assert!(folder.keeps(&left, 48 * HOUR, Some(48 * HOUR)), "its writer lives");
        }
        end(running);
        for error in [Errno::BADF, Errno::NOLCK, Errno::NOSYS] {
            let folder = Folder::shared();
            folder.put(&left);
            let link = left.replace("-0.", "-1.");
            std::os::unix::fs::symlink("nowhere", folder.path.path().join(&link)).unwrap();
            refusals::set(&[("flock", error)]);
            assert!(!folder.keeps(&left, Duration::ZERO, None), "{error}");
            assert!(!folder.path.path().join(link).is_symlink());
        }
        refusals::set(&[]);
    }

    #[test]
    fn what_others_write_stays_for_a_day_by_both_clocks() {
        // Of another host, of an older version, of a writer that knew nothing of itself.
        let names = [name(1, std::process::id(), 1), ".rusty-attachments-1-2-3.part".to_owned(), name(0, 1, 0)];
        for foreign in names {
            for answer in [None, Some(Errno::BADF), Some(Errno::NOLCK), Some(Errno::NOSYS), Some(Errno::OPNOTSUPP)] {
                let folder = Folder::shared();
                folder.put(&foreign);
                refusals::set(&answer.map(|error| ("flock", error)).into_iter().collect::<Vec<_>>());
                assert!(folder.keeps(&foreign, Duration::ZERO, Some(Duration::ZERO)));
                assert!(folder.keeps(&foreign, 23 * HOUR, Some(23 * HOUR)));
                // One of the clocks is wrong.
                assert!(folder.keeps(&foreign, 48 * HOUR, Some(HOUR)));
                assert!(folder.keeps(&foreign, HOUR, Some(48 * HOUR)));
                assert!(folder.keeps(&foreign, 48 * HOUR, None), "the directory can't be written to");
                assert!(!folder.keeps(&foreign, 25 * HOUR, Some(25 * HOUR)), "{foreign} {answer:?}");
            }
        }
        refusals::set(&[]);
    }

    #[test]
    fn a_file_whose_time_was_set_is_as_old_as_its_name_at_most() {
        // As file systems have it that keep one time of a file: its modification time is what a manifest says.
        let folder = Folder::shared();
        let made = UNIX_EPOCH.elapsed().unwrap() + 47 * HOUR;
        let foreign = format!("{TEMPORARY_PREFIX}1-1-1-{:x}-0{SUFFIX}", made.as_millis());
        folder.put(&foreign);
        assert!(folder.keeps(&foreign, 48 * HOUR, Some(48 * HOUR)));
        assert!(!folder.keeps(&foreign, 72 * HOUR, Some(72 * HOUR)));
    }

    #[test]
    fn a_lock_is_proof_on_a_local_file_system_alone() {
        let foreign = name(1, 1, 1);
        let (local, shared) = (Folder::new(), Folder::shared());
        for folder in [&local, &shared] {
            let file = folder.put(&foreign);
            calls::lock(&file).unwrap();
            assert!(folder.keeps(&foreign, 2 * HOUR, Some(2 * HOUR)), "it is locked");
            drop(file);
            assert!(folder.keeps(&foreign, Duration::from_secs(50), None), "its writer may be about to lock it");
        }
        assert!(!local.keeps(&foreign, 2 * HOUR, None));
        assert!(shared.keeps(&foreign, 2 * HOUR, Some(2 * HOUR)));
    }

    #[test]
    fn locks_that_are_refused_prove_nothing_even_there() {
        let foreign = name(1, 1, 1);
        let folder = Folder::new();
        folder.put(&foreign);
        for error in [Errno::BADF, Errno::NOLCK, Errno::NOSYS, Errno::INTR] {
            refusals::set(&[("flock", error)]);
            assert!(folder.keeps(&foreign, 2 * HOUR, None), "{error}");
        }
        // Granted to everybody.
        refusals::grant("flock");
        assert!(folder.keeps(&foreign, 2 * HOUR, None));
        refusals::set(&[]);
        assert!(!folder.keeps(&foreign, 2 * HOUR, None));
    }

    #[test]
    fn the_clock_of_the_directory_leaves_nothing_behind() {
        let folder = Folder::new();
        let (before, now) = (UNIX_EPOCH.elapsed().unwrap(), file_system_time(&folder.directory).unwrap());
        assert!(now + Duration::from_secs(2) >= before && now < before + HOUR, "{before:?} {now:?}");
        assert_eq!(std::fs::read_dir(folder.path.path()).unwrap().count(), 0);
    }
}
