//! The objects that this process is sending, so that calls at the same time send each object once.

use parking_lot::Mutex;

use super::once_per_key::OncePerKey;
use super::upload::Sent;

/// Uploads under way, by store and key.
pub(crate) type Flights = OncePerKey<String, Sent>;

static CURRENT: Mutex<Option<(u32, Flights)>> = Mutex::new(None);

/// The uploads under way in this process. A process that was forked has a table of its own: what its parent's threads were
/// sending never ends here.
pub(crate) fn of_process() -> Flights {
    let id = std::process::id();
    let mut current = CURRENT.lock();
    match current.as_ref() {
        Some((owner, flights)) if *owner == id => flights.clone(),
        _ => current.insert((id, Flights::default())).1.clone(),
    }
}
