//! What tasks share and wait for, in one place: `tests_rs/shuttle` puts its own types in the place of these, which let a
//! scheduler choose who goes on at every step.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::time::Instant;

pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
