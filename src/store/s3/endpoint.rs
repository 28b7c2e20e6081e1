//! What an endpoint has shown that it can do. Clients of one process share it, so that each call need not learn it anew.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::store::Conditions;

/// What is known of one endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Unset once the endpoint has rejected `x-amz-checksum-xxhash128`.
    takes_xxhash: AtomicBool,
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
        Self { takes_xxhash: AtomicBool::new(true), conditions: AtomicU8::new(conditions), notices: Mutex::default() }
    }

    pub(super) fn takes_xxhash(&self) -> bool {
        self.takes_xxhash.load(Ordering::Relaxed)
    }

    pub(super) fn rejects_xxhash(&self) {
        if self.takes_xxhash.swap(false, Ordering::Relaxed) {
            self.notice("The S3 endpoint rejects x-amz-checksum-xxhash128; uploads go without it.".to_owned());
        }
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

    pub(super) fn notice(&self, text: String) {
        self.lock().push(text);
    }

    pub(super) fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
