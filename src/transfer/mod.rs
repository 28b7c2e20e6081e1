//! The engine: moving one object, and the limits under which many move.

pub mod context;
pub mod progress;
