//! What an endpoint has shown that it can do. Clients of one process share it, so that each call need not learn it anew.

use std::sync::atomic::{AtomicU8, Ordering};

use super::refusals::Refusals;
use crate::store::Conditions;
use parking_lot::{Mutex, MutexGuard};

/// What is known of one endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// What it refuses of what requests can do without.
    pub(super) refusals: Refusals,
    conditions: AtomicU8,
    /// What the callers have not been told yet.
    notices: Mutex<Vec<String>>,
}

const OBEYED: u8 = 0;
const UNKNOWN: u8 = 1;
const UNUSABLE: u8 = 2;

impl Endpoint {
    /// S3 itself obeys conditions; of another server nobody knows.
    pub(super) fn new(is_aws: bool) -> Self {
        let conditions = if is_aws { OBEYED } else { UNKNOWN };
        Self { refusals: Refusals::default(), conditions: AtomicU8::new(conditions), notices: Mutex::default() }
    }

    pub(super) fn conditions(&self) -> Conditions {
        match self.conditions.load(Ordering::Relaxed) {
            OBEYED => Conditions::Obeyed,
            UNKNOWN => Conditions::Unknown,
            _ => Conditions::Unusable,
        }
    }

    pub(super) fn note_conditions(&self, obeyed: bool) {
        let seen = if obeyed { OBEYED } else { UNUSABLE };
        if self.conditions.load(Ordering::Relaxed) == seen {
            return;
        }
        self.conditions.store(seen, Ordering::Relaxed);
        if !obeyed {
            self.notice("The S3 endpoint does not obey If-None-Match; uploads ask first what is there.".to_owned());
        }
    }

    /// The endpoint refuses `If-None-Match`; that is told elsewhere.
    pub(super) fn conditions_are_refused(&self) {
        self.conditions.store(UNUSABLE, Ordering::Relaxed);
    }

    pub(super) fn notice(&self, text: String) {
        self.lock().push(text);
    }

    pub(super) fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.notices.lock()
    }
}
