//! What an endpoint had to be dealt with differently for, as warnings.

use crate::store::ObjectStore;
use crate::transfer::context::{Context, LogLevel};

/// Logs the store's notices, under the name of the caller's logger.
pub(super) fn tell_notices(store: &dyn ObjectStore, logger: &'static str, context: &Context) {
    for notice in store.take_notices() {
        context.log(LogLevel::Warning, logger, || notice);
    }
}
