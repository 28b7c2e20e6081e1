//! Asking S3 for some of the objects that the S3 check cache has.

use std::sync::Arc;

use super::notices::tell_notices;
use super::upload_assets::{CasKeys, KnownObjects, plan};
use crate::cache::s3_check_cache::{EXPIRY, S3CheckCache};
use crate::error::Result;
use crate::manifest::Manifest;
use crate::store::ObjectStore;
use crate::transfer::context::Context;
use crate::transfer::limits::{DEFAULT_BUFFER_BYTES, Limits};

const CANCELLED: &str = "Checking the S3 check cache was cancelled.";
const LOGGER: &str = "upload";

/// Which cache to check, and against what.
#[derive(Clone)]
pub(crate) struct SampleRequest {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The files whose contents are looked for.
    pub manifest: Arc<Manifest>,
    /// The bucket.
    pub bucket: String,
    /// Where contents are: `<rootPrefix>/Data`; empty for the top of the bucket.
    pub cas_prefix: String,
    /// The cache.
    pub check_cache: Arc<S3CheckCache>,
}

/// Asks S3 for up to 30 of a manifest's objects that the check cache has: whether all of them are there.
///
/// # Errors
/// [`crate::Error::Cancelled`]; a failure to ask counts as a miss.
pub(crate) async fn sample_check_cache(request: SampleRequest, context: &Context) -> Result<bool> {
    context.check_cancelled(CANCELLED)?;
    let SampleRequest { store, manifest, bucket, cas_prefix, check_cache } = request;
    let limits = Limits::new(store.max_connections(), DEFAULT_BUFFER_BYTES);
    let place = CasKeys::of(&manifest, &bucket, &cas_prefix);
    let known = KnownObjects { store, limits, place, trust_for: EXPIRY, cache: check_cache };
    let (cached, _) = known.split(plan(&manifest)?, context).await;
    let right = known.sample_is_there(&cached, context).await;
    tell_notices(known.store.as_ref(), LOGGER, context);
    right
}
