//! What tasks share and wait for, in one place: `tests_rs/shuttle` puts its own types in the place of these, which let a
//! scheduler choose who goes on at every step.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
pub(super) use std::time::Instant;

pub(super) use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
