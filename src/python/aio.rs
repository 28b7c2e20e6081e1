//! Waking an event loop that waits for operations.
//!
//! A worker that attached to the interpreter to wake a loop would race with the interpreter's end, and a program that ended
//! just then would crash. So a worker only writes a byte to a socket that the loop watches. The loop's own thread then asks
//! which operations have something to deal with.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Adds what this module has for Python.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<WakeupSocket>()
}

/// A socket pair for one event loop, which all operations that are awaited there share: a thousand calls at once take two
/// descriptors.
#[pyclass(frozen, module = "rusty_attachments._native")]
pub(crate) struct WakeupSocket(Arc<Shared>);

struct Shared {
    /// `None` once the socket was closed.
    ends: Mutex<Option<pair::Ends>>,
    /// Operations with something to deal with, by the loop's numbers for them.
    ready: Mutex<HashSet<u64>>,
}

#[pymethods]
impl WakeupSocket {
    /// Opens the pair.
    #[new]
    fn new() -> PyResult<Self> {
        let ends = pair::open()?;
        Ok(Self(Arc::new(Shared { ends: Mutex::new(Some(ends)), ready: Mutex::default() })))
    }

    /// The descriptor that becomes readable once an operation has something to deal with.
    fn fileno(&self) -> PyResult<i32> {
        let closed = || PyValueError::new_err("The wakeup socket is closed.");
        self.0.ends.lock().as_ref().map(pair::descriptor).ok_or_else(closed)
    }

    /// The numbers of the operations that have something to deal with since the last time.
    fn take_ready(&self) -> Vec<u64> {
        // The socket first: an operation that becomes ready in between is taken too, and its byte wakes the loop for nothing.
        if let Some(ends) = &*self.0.ends.lock() {
            pair::drain(ends);
        }
        self.0.ready.lock().drain().collect()
    }

    /// Closes the pair; doing it twice does nothing.
    fn close(&self) {
        *self.0.ends.lock() = None;
    }
}

impl Shared {
    fn ring(&self, number: u64) {
        let is_first = {
            let mut ready = self.ready.lock();
            let was_empty = ready.is_empty();
            ready.insert(number) && was_empty
        };
        // Others find the byte of the first one there already.
        if is_first && let Some(ends) = &*self.ends.lock() {
            pair::write_byte(ends);
        }
    }
}

/// An operation's way to wake the event loop that waits for it, if one does.
#[derive(Default)]
pub(super) struct Wakeup(Mutex<Option<(Arc<Shared>, u64)>>);

impl Wakeup {
    /// From now on the socket's loop is woken, which knows the operation by this number.
    pub(super) fn connect(&self, socket: &WakeupSocket, number: u64) {
        *self.0.lock() = Some((Arc::clone(&socket.0), number));
    }

    /// Wakes the loop. Called from workers.
    pub(super) fn ring(&self) {
        if let Some((shared, number)) = &*self.0.lock() {
            shared.ring(*number);
        }
    }
}

impl std::fmt::Debug for Wakeup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wakeup").field("number", &self.0.lock().as_ref().map(|(_, number)| *number)).finish()
    }
}

/// The system's part.
#[cfg(unix)]
mod pair {
    use std::io::{self, Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    pub(super) struct Ends {
        reader: UnixStream,
        writer: UnixStream,
    }

    /// Neither end blocks, and neither is inherited by programs that are started.
    pub(super) fn open() -> io::Result<Ends> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Ends { reader, writer })
    }

    pub(super) fn descriptor(ends: &Ends) -> i32 {
        ends.reader.as_raw_fd()
    }

    /// A full socket has woken the loop already, and both ends close together, so that no error matters.
    pub(super) fn write_byte(ends: &Ends) {
        let _ = (&ends.writer).write(&[0]);
    }

    pub(super) fn drain(ends: &Ends) {
        let mut bytes = [0; 64];
        while (&ends.reader).read(&mut bytes).is_ok_and(|got| got == bytes.len()) {}
    }
}

/// Event loops of Windows watch no descriptors by default: there a loop looks again after a short time instead.
#[cfg(not(unix))]
mod pair {
    use std::io;

    pub(super) enum Ends {}

    pub(super) fn open() -> io::Result<Ends> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn descriptor(ends: &Ends) -> i32 {
        match *ends {}
    }

    pub(super) fn write_byte(ends: &Ends) {
        match *ends {}
    }

    pub(super) fn drain(ends: &Ends) {
        match *ends {}
    }
}
