//! A question that is asked right before a request: whether its contents have come by another way meanwhile.

use std::fmt;
use std::sync::Arc;

use tokio::sync::RwLock;

use crate::error::Result;
use crate::transfer::tasks::blocking;

/// Whether contents are where they should go by now, brought by another process. It may block.
#[derive(Clone)]
pub(crate) struct LookAgain {
    is_there: Arc<dyn Fn() -> Result<bool> + Send + Sync>,
    under_way: LooksUnderWay,
}

/// Looks that have begun. A download that is given up can't stop one.
#[derive(Debug, Clone, Default)]
pub(crate) struct LooksUnderWay(Arc<RwLock<()>>);

impl LooksUnderWay {
    /// Waits until all looks have ended.
    pub(crate) async fn wait(&self) {
        drop(self.0.write().await);
    }
}

impl LookAgain {
    /// Asks `is_there`, which `under_way` knows of while it lasts.
    #[must_use]
    pub(crate) fn new(under_way: &LooksUnderWay, is_there: impl Fn() -> Result<bool> + Send + Sync + 'static) -> Self {
        Self { is_there: Arc::new(is_there), under_way: under_way.clone() }
    }

    /// Asks.
    ///
    /// # Errors
    /// What the question fails with.
    pub(super) async fn is_there(&self) -> Result<bool> {
        let is_there = Arc::clone(&self.is_there);
        let guard = Arc::clone(&self.under_way.0).read_owned().await;
        blocking(move || {
            let answer = is_there();
            drop((is_there, guard));
            answer
        })
        .await
    }
}

impl fmt::Debug for LookAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookAgain")
    }
}
