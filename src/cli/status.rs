//! Exit statuses.

/// All went well.
pub(super) const SUCCESS: u8 = 0;
/// Something failed, or differs.
pub(super) const FAILURE: u8 = 1;
/// The arguments are wrong.
pub(super) const USAGE: u8 = 2;
/// Stopped by Ctrl-C, as shells have it: 128 and the number of the signal.
pub(super) const INTERRUPTED: u8 = 130;
