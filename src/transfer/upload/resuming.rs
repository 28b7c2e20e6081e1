//! Which uploads of earlier calls may be gone on with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::cache::uploads::UploadRecords;

/// Which uploads may be gone on with. Clones share it; the default has none.
#[derive(Debug, Clone, Default)]
pub(super) struct Resuming(pub(super) Option<Arc<Inner>>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) records: UploadRecords,
    pub(super) within: Duration,
    pub(super) is_swept: OnceCell<()>,
}

impl Resuming {
    pub(super) fn new(records: UploadRecords, within: Duration) -> Self {
        Self(Some(Arc::new(Inner { records, within, is_swept: OnceCell::new() })))
    }
}
