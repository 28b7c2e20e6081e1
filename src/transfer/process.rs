//! The budget of this process.

use super::limits::{Budget, Limits};
use crate::descriptors::Descriptors;
use parking_lot::Mutex;

#[derive(Debug, Clone)]
struct OfProcess {
    id: u32,
    descriptors: Descriptors,
    budget: Budget,
}

static CURRENT: Mutex<Option<OfProcess>> = Mutex::new(None);

impl Limits {
    /// An operation's share of what this process may use: as many requests at once as its store takes, and this many bytes.
    #[must_use]
    pub(crate) fn new(most_requests: usize, buffer_bytes: u64) -> Self {
        Self::within(&of_process(), most_requests, buffer_bytes)
    }
}

/// The budget, as large as the descriptors allow that are left now. A process that was forked has one of its own: what its
/// parent's threads hold never comes back here.
fn of_process() -> Budget {
    let id = std::process::id();
    let mut current = CURRENT.lock();
    if let Some(OfProcess { descriptors, budget, .. }) = current.as_ref().filter(|current| current.id == id) {
        budget.fit(descriptors.left());
        return budget.clone();
    }
    let descriptors = Descriptors::of_process();
    let budget = Budget::new(descriptors.left());
    *current = Some(OfProcess { id, descriptors, budget: budget.clone() });
    budget
}
