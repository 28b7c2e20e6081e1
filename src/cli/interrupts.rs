//! Ctrl-C: once stops cleanly, twice stops at once.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::status::INTERRUPTED;
use crate::CancellationToken;

/// Ctrl-C for a running command. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Interrupts {
    token: CancellationToken,
    was_interrupted: Arc<AtomicBool>,
}

impl Interrupts {
    /// Nothing was interrupted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first time, has the command stop: unfinished uploads are aborted, temporary files are removed. The second time, ends
    /// the process with status 130.
    pub fn interrupt(&self) {
        if self.was_interrupted.swap(true, Ordering::SeqCst) {
            let _ = std::io::stderr().write_all(b"\nrusty-attachments: stopped at once\n");
            std::process::exit(INTERRUPTED.into());
        }
        self.token.cancel();
    }

    /// Has the system's Ctrl-C call [`Self::interrupt`], from a thread that is made for it. Where that can't be done, Ctrl-C ends
    /// the process as usual.
    pub fn take_from_system(&self) {
        let interrupts = self.clone();
        on_ctrl_c(move || interrupts.interrupt());
    }

    pub(super) const fn token(&self) -> &CancellationToken {
        &self.token
    }
}

#[cfg(unix)]
fn on_ctrl_c(handle: impl Fn() + Send + 'static) {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) else { return };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let closer = signals.handle();
    if thread.spawn(move || signals.forever().for_each(|_| handle())).is_err() {
        closer.close();
    }
}

#[cfg(windows)]
fn on_ctrl_c(handle: impl Fn() + Send + 'static) {
    let _ = ctrlc::set_handler(handle);
}

#[cfg(not(any(unix, windows)))]
fn on_ctrl_c(_handle: impl Fn() + Send + 'static) {}
