//! Threads that the system may refuse to make: `RLIMIT_NPROC`, a container's limit of pids, no address space for a stack.

use std::sync::Mutex;
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// A thread that helps the caller, or `None` where the system makes none: then the caller does the work alone.
pub(crate) fn helper<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, T>> {
    Builder::new().spawn_scoped(scope, work).ok()
}

/// How many threads of those wanted the system makes at once, found out by making them.
#[must_use]
pub(crate) fn most_at_once(wanted: usize) -> usize {
    // Each thread waits until all are there.
    let gate = Mutex::new(());
    std::thread::scope(|scope| {
        let closed = gate.lock();
        let made = (0..wanted).map_while(|_| helper(scope, || drop(gate.lock()))).count();
        drop(closed);
        made
    })
}
