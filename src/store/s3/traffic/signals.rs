//! How an endpoint treats a client, and when failures are no longer worth another attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::{Link, Route};

/// For how long nothing but failed connections may happen before requests fail: an endpoint that is not there should be
/// said so soon, one that is busy deserves the whole retry budget.
const OUTAGE_LIMIT: Duration = Duration::from_secs(8);

/// How the endpoint has treated one client.
#[derive(Debug)]
pub(in crate::store::s3) struct Signals {
    pub(in crate::store::s3) throttles: AtomicU64,
    /// The status of the last reply that was an error, or 0.
    pub(in crate::store::s3) last_error: AtomicU16,
    trouble: Mutex<Trouble>,
    /// How long nothing but failures may come.
    budget: Duration,
    route: Arc<Route>,
    link: Arc<Link>,
}

/// Since when there were nothing but failures.
#[derive(Debug, Default)]
struct Trouble {
    /// Of any kind.
    since: Option<Instant>,
    /// Where the endpoint was not there at all.
    unreachable_since: Option<Instant>,
    /// The last one came without a reply: the connection broke, or nothing moved.
    is_silence: bool,
}

/// Failures that are being retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryingFailure {
    /// For how long.
    pub lasting: Duration,
    /// Whether no connection could be made.
    pub is_unreachable: bool,
    /// Whether no reply came to the last attempt.
    pub is_silence: bool,
}

impl Signals {
    pub(in crate::store::s3) fn new(budget: Duration, route: &Arc<Route>, link: &Arc<Link>) -> Self {
        Self {
            throttles: AtomicU64::new(0),
            last_error: AtomicU16::new(0),
            trouble: Mutex::default(),
            budget,
            route: Arc::clone(route),
            link: Arc::clone(link),
        }
    }

    pub(in crate::store::s3) fn note_status(&self, status: u16) {
        if status >= 400 && !is_answer(status) {
            self.last_error.store(status, Ordering::Relaxed);
        }
        if matches!(status, 429 | 503) {
            self.throttles.fetch_add(1, Ordering::Relaxed);
        }
        if is_failure(status) {
            let mut trouble = self.trouble();
            trouble.since.get_or_insert_with(Instant::now);
            trouble.unreachable_since = None;
            trouble.is_silence = false;
        }
    }

    /// An attempt ended with what it asked for, or with an answer.
    pub(in crate::store::s3) fn note_success(&self) {
        self.route.note_success();
        // A lock that is nearly always free, once a request.
        let mut trouble = self.trouble();
        if trouble.since.is_some() {
            *trouble = Trouble::default();
        }
    }

    /// An attempt ended with a reply that the SDK may repeat, whatever its status is: a code of S3, a text that can't be read.
    pub(in crate::store::s3) fn note_unclear(&self) {
        self.trouble().since.get_or_insert_with(Instant::now);
    }

    /// An attempt ended without a reply.
    pub(in crate::store::s3) fn note_failure(&self, is_unreachable: bool) {
        let mut trouble = self.trouble();
        trouble.since.get_or_insert_with(Instant::now);
        trouble.is_silence = true;
        if is_unreachable {
            trouble.unreachable_since.get_or_insert_with(Instant::now);
        } else {
            trouble.unreachable_since = None;
        }
    }

    /// Whether failures are no longer worth another attempt: this client's have lasted for the retry budget, and no other
    /// client of the process has had a success meanwhile. On a link that moves bytes, silence is no failure that counts.
    pub(in crate::store::s3) fn is_out_of_time(&self) -> bool {
        let trouble = self.trouble();
        let Some(since) = trouble.since else { return false };
        let idle = if trouble.is_silence { self.link.idle() } else { Duration::MAX };
        self.troubled_for(since).min(idle) > self.budget
    }

    /// Whether the endpoint has not been there for [`OUTAGE_LIMIT`].
    pub(in crate::store::s3) fn is_outage(&self) -> bool {
        let since = self.trouble().unreachable_since;
        since.is_some_and(|since| self.troubled_for(since).min(self.link.idle()) > OUTAGE_LIMIT)
    }

    /// The failures that are being retried, if there was no success since.
    pub(in crate::store::s3) fn retrying(&self) -> Option<RetryingFailure> {
        let trouble = self.trouble();
        let lasting = self.troubled_for(trouble.since?);
        let is_unreachable = trouble.unreachable_since.is_some();
        Some(RetryingFailure { lasting, is_unreachable, is_silence: trouble.is_silence })
    }

    fn troubled_for(&self, since: Instant) -> Duration {
        self.route.last_success().map_or(since, |success| success.max(since)).elapsed()
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock()
    }
}

/// Whether a reply with this status is worth another attempt.
pub(in crate::store::s3) const fn is_failure(status: u16) -> bool {
    status >= 500 || status == 429 || status == 408
}

/// Whether a reply with this status tells what was asked, though the SDK takes it for an error.
pub(in crate::store::s3) const fn is_answer(status: u16) -> bool {
    matches!(status, 304 | 404 | 412 | 416)
}
