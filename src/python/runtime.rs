//! What lives as long as the process: the runtime and the connections.
//!
//! Built at first use, never at import, and keyed by process id: after a fork the child has none of its parent's threads, so
//! it leaks the old one and builds its own. The interpreter's end is the runtime's: threads that went on would run while the
//! process takes its memory down.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;

use super::panics::catch_quietly;
use crate::descriptors::Descriptors;
use crate::permits::{Permit, Permits, Share};
use crate::store::s3::S3Shared;
use crate::threads;
use crate::transfer::context::CancellationToken;

/// Threads that may block at once, for reading, hashing and writing files.
const BLOCKING_THREADS: usize = 32;
/// How long idle threads stay: for good. Tokio queues blocking work where no thread can be made, and only a thread that is there
/// takes it from the queue.
const KEEP_ALIVE: Duration = Duration::from_secs(u32::MAX as u64);
/// How long the first thread for blocking work may take to start, on a machine that has other things to do.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long calls that the interpreter's end has cut off may put things in order.
const END_PATIENCE: Duration = Duration::from_millis(350);
/// How long threads may then take to end. One that waits for a disk is left behind.
const THREADS_PATIENCE: Duration = Duration::from_millis(150);

/// What the runtime needs by itself, and a first connection, file and directory: without these Tokio panics.
const ENGINE_DESCRIPTORS: usize = 8;
/// Calls under way, of the descriptors that are left: a call has its root, its caches, what its configuration is read from.
const CALLS: Share = Share { each: 16, fewest: 4, most: 64 };
/// A call that waits goes on without a permit once no other call has begun for so long: it may be what those that have begun
/// wait for, where it is made in the callback of one of them.
const CALL_PATIENCE: Duration = Duration::from_secs(10);

/// What all calls of a process share.
pub(crate) struct Engine {
    pub(crate) s3: S3Shared,
    /// `None` after the interpreter's end.
    runtime: Mutex<Option<Running>>,
    handle: Handle,
    /// Cancelled at the interpreter's end.
    ending: CancellationToken,
    calls: Permits,
    calls_begun: AtomicU64,
    process: u32,
}

/// The runtime, and how to learn that no call's work is left on it.
struct Running {
    runtime: Runtime,
    /// Each task holds a clone.
    working: Sender<Infallible>,
    all_done: Receiver<Infallible>,
}

static ENGINE: Mutex<Option<&'static Engine>> = Mutex::new(None);

/// This process's engine.
pub(crate) fn engine() -> PyResult<&'static Engine> {
    let process = std::process::id();
    let mut current = ENGINE.lock();
    if let Some(engine) = current.filter(|engine| engine.process == process) {
        return Ok(engine);
    }
    let left = Descriptors::of_process().left();
    if left < ENGINE_DESCRIPTORS {
        return Err(PyRuntimeError::new_err(format!(
            "Only {left} file descriptors are free, too few to start with (too many open files): close some, or raise \
             `ulimit -n`."
        )));
    }
    let runtime = build()?;
    let s3 = S3Shared::new();
    let handle = runtime.handle().clone();
    let (working, all_done) = channel();
    let runtime = Mutex::new(Some(Running { runtime, working, all_done }));
    // Leaked: threads may use it until the process ends, and a forked child can't join its parent's threads.
    let ending = CancellationToken::new();
    let calls = CALLS.permits(left);
    let calls_begun = AtomicU64::new(0);
    let engine = &*Box::leak(Box::new(Engine { s3, runtime, handle, ending, calls, calls_begun, process }));
    *current = Some(engine);
    drop(current);
    end_with_interpreter();
    Ok(engine)
}

impl Engine {
    /// Waits until one more call that moves objects may begin.
    pub(crate) async fn begin_call(&self) -> Option<Permit> {
        let mut permit = std::pin::pin!(self.calls.take());
        let mut begun = self.calls_begun.load(Ordering::Relaxed);
        let permit = loop {
            match tokio::time::timeout(CALL_PATIENCE, &mut permit).await {
                Ok(permit) => break Some(permit),
                Err(_) if self.calls_begun.load(Ordering::Relaxed) == begun => break None,
                Err(_) => begun = self.calls_begun.load(Ordering::Relaxed),
            }
        };
        self.calls_begun.fetch_add(1, Ordering::Relaxed);
        permit
    }

    /// Runs a call's work. At the interpreter's end it is waited for, but not for long.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let working = self.runtime.lock().as_ref().map(|running| running.working.clone());
        self.handle.spawn(async move {
            work.await;
            drop(working);
        })
    }

    /// Does something after a time, unless the interpreter ends before.
    pub(crate) fn run_later(&self, after: Duration, work: impl FnOnce() + Send + 'static) {
        self.handle.spawn(async move {
            tokio::time::sleep(after).await;
            work();
        });
    }

    /// A token for a call, which the interpreter's end cancels too.
    pub(crate) fn cancellation(&self) -> CancellationToken {
        self.ending.child_token()
    }

    /// Cancels what is left, lets it put things in order, and ends the threads.
    fn end(&self) {
        let Some(Running { runtime, working, all_done }) = self.runtime.lock().take() else { return };
        self.ending.cancel();
        drop(working);
        // No value can come: this ends once the last task has dropped its sender, or after the time.
        let _ = all_done.recv_timeout(END_PATIENCE);
        runtime.shutdown_timeout(THREADS_PATIENCE);
    }
}

/// The runtime, with at least one thread for blocking work.
fn build() -> PyResult<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // One more, for blocking work. Tokio panics or waits for ever where it gets too few.
    let workers = threads::most_at_once(processors + 1).checked_sub(1).filter(|workers| *workers > 0);
    let workers = workers.ok_or_else(|| no_threads("the system makes no more of them for this process"))?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .enable_all()
        .thread_name("rusty-attachments")
        .worker_threads(workers)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(KEEP_ALIVE);
    let started = catch_quietly(|| {
        let runtime = builder.build()?;
        let (sender, started) = channel();
        runtime.spawn_blocking(move || sender.send(()));
        std::io::Result::Ok((runtime, started))
    });
    let (runtime, started) = match started {
        Ok(built) => built.map_err(|error| no_threads(&error.to_string()))?,
        Err(panic) => return Err(no_threads(&panic)),
    };
    if started.recv_timeout(START_PATIENCE).is_err() {
        runtime.shutdown_background();
        return Err(no_threads("none started for blocking work"));
    }
    Ok(runtime)
}

fn no_threads(reason: &str) -> PyErr {
    PyRuntimeError::new_err(format!(
        "The worker threads could not be started: {reason}. Raise the limits of processes and of address space \
         (ulimit -u, ulimit -v, the container's limit of pids), or end other threads, and retry."
    ))
}

/// Has the interpreter end the runtime as the last thing that it does: exit handlers of Python programs may still use it.
fn end_with_interpreter() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        #[allow(unsafe_code, reason = "an exit handler that runs after Python's own needs C's interface")]
        // SAFETY: the thread is attached, and the function calls nothing of Python. A table that is full refuses it: then
        // threads go on to the end of the process.
        unsafe {
            pyo3::ffi::Py_AtExit(Some(at_exit));
        }
    });
}

extern "C" fn at_exit() {
    let process = std::process::id();
    let engine = ENGINE.lock().take().filter(|engine| engine.process == process);
    if let Some(engine) = engine {
        // Nobody is left to hear of a panic.
        let _ = catch_unwind(AssertUnwindSafe(|| engine.end()));
    }
}
