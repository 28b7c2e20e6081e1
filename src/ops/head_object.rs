//! Asking whether an object is there.

use std::sync::Arc;

use super::notices::tell_notices;
use crate::error::{Error, Result, S3Action};
use crate::store::{ObjectInfo, ObjectKey, ObjectStore};
use crate::transfer::context::Context;

const CANCELLED: &str = "Checking for an object was cancelled.";
const LOGGER: &str = "upload";

/// Asks S3 for an object's size and metadata; `None` where it answers that there is none (404).
///
/// # Errors
/// S3's, as "checking if object exists"; [`Error::Cancelled`].
pub(crate) async fn head_object(
    store: &Arc<dyn ObjectStore>,
    object: &ObjectKey,
    context: &Context,
) -> Result<Option<ObjectInfo>> {
    context.check_cancelled(CANCELLED)?;
    object.check(S3Action::CheckingIfObjectExists)?;
    let outcome = tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(Error::Cancelled(CANCELLED.to_owned())),
        // One request without a body: the store's own window is the limit.
        outcome = store.head(object) => outcome,
    };
    tell_notices(store.as_ref(), LOGGER, context);
    outcome
}
