//! What moves between this process and all endpoints, and when one exchange of it is to be given up.
//!
//! A link may be slow and shared by a hundred bodies of ours, so time alone says nothing of one of them. An exchange whose
//! bytes don't move is given up if many others have come and gone meanwhile, for then its turn should have come; or if nothing
//! moves, after the time that the bytes in the system's buffers may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::descriptors::Descriptors;
use crate::permits::{Permits, Share};

/// The slowest link that exchanges get time for, in bytes a second: half of 256 kbit/s.
const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;
/// A link that moves fewer bytes a second than this has as good as stopped. Connections that share a full link lose packets and
/// rest, so for a while it may bring much less than it could.
const QUIET_BYTES_PER_SECOND: u64 = 2 * 1024;
/// An exchange that took so long, and moved fewer bytes a second than that, shows a link with more at a time than it bears:
/// they lose each other's packets, and none gets its turn.
const CROWDED_FROM: Duration = Duration::from_secs(4);
const CROWDED_BYTES_PER_SECOND: u64 = 128 * 1024;
/// A body that brings fewer bytes a second than this has as good as stalled, unless the link is what is slow.
pub(in crate::store::s3) const TRICKLE_BYTES_PER_SECOND: u64 = 512;
/// Bytes of bodies that were begun and that no socket has taken, in the whole process. On a fast link sockets take them at
/// once. On a slow one, this is what shares it: at 256 kbit/s, sixteen bodies of 1 MiB take eight minutes together.
const UNSENT_BYTES: u64 = 16 * 1024 * 1024;
/// What the last bytes of a body count until its reply comes: so much may be in this process's and the system's buffers of
/// one connection.
const BUFFERED_BYTES: u64 = 256 * 1024;
/// A body that no reply has confirmed may be in those buffers up to so many bytes: Linux lets a socket have 4 MiB.
const MOST_BUFFERED_BYTES: u64 = 4 * 1024 * 1024 + BUFFERED_BYTES;
/// An exchange is given up once for each one that is under way so many others were replied to…
const TURNS: u64 = 16;
/// How many are taken to be under way at least: those that were when its silence began may be through.
const FEWEST_EXCHANGES: u64 = 64;
/// …or once others have moved so many bytes. A connection that loses packets on a full link may rest for a minute.
const TURN_BYTES: u64 = 256 * 1024 * 1024;
/// What a body brings is compared with an equal share of what the link moved: a body has as good as stalled if that is so
/// many times as much.
const FAIR_SHARES: u64 = 32;
/// The unsent semaphore counts in these, since its permits are 32 bits.
const BYTES_PER_PERMIT: u64 = 4096;
/// The most connections of a process.
pub(in crate::store::s3) const MOST_CONNECTIONS: usize = 512;
/// Connections, of the descriptors that are left.
const CONNECTIONS: Share = Share { each: 4, fewest: 2, most: MOST_CONNECTIONS };

/// The way from this process to all endpoints.
#[derive(Debug)]
pub(in crate::store::s3) struct Link {
    began: Instant,
    moved_bytes: AtomicU64,
    last_moved_ms: AtomicU64,
    exchanges: AtomicU64,
    replies: AtomicU64,
    /// Bytes of bodies that no reply has confirmed and that may be in buffers.
    unconfirmed: AtomicU64,
    /// Bytes a second that the link was seen to take, or 0.
    rate: AtomicU64,
    unsent: Arc<Semaphore>,
    descriptors: Descriptors,
    connections: Permits,
}

impl Link {
    pub(in crate::store::s3) fn new() -> Self {
        let descriptors = Descriptors::of_process();
        Self {
            began: Instant::now(),
            moved_bytes: AtomicU64::new(0),
            last_moved_ms: AtomicU64::new(0),
            exchanges: AtomicU64::new(0),
            replies: AtomicU64::new(0),
            unconfirmed: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            unsent: Arc::new(Semaphore::new(permits(UNSENT_BYTES) as usize)),
            descriptors,
            connections: CONNECTIONS.permits(descriptors.left()),
        }
    }

    /// Takes notice of how many descriptors are left now, beside those of connections.
    pub(in crate::store::s3) fn fit(&self) {
        CONNECTIONS.fit(&self.connections, self.descriptors.left());
    }

    /// The right to have one connection busy.
    pub(in crate::store::s3) const fn connections(&self) -> &Permits {
        &self.connections
    }

    /// Waits until a body of so many bytes may be begun. A body that is larger than all that may be unsent takes all of it.
    pub(in crate::store::s3) async fn begin_body(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.unsent).acquire_many_owned(permits(bytes.min(UNSENT_BYTES))).await.ok()
    }

    /// For how long nothing has moved.
    pub(in crate::store::s3) fn idle(&self) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(self.last_moved_ms.load(Ordering::Relaxed)))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES_PER_PERMIT)).unwrap_or(u32::MAX).max(1)
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

/// One request, its body, its reply and the reply's body.
#[derive(Debug)]
pub(in crate::store::s3) struct Exchange {
    link: Arc<Link>,
    begun_ms: u64,
    last_ms: AtomicU64,
    /// What it has moved itself.
    own_bytes: AtomicU64,
    /// What the link had moved, and how many replies had come, when this exchange last moved something.
    moved_then: AtomicU64,
    replies_then: AtomicU64,
    unconfirmed: AtomicU64,
    unsent: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Exchange {
    /// Begins an exchange whose body has so many bytes, with what [`Link::begin_body`] gave.
    pub(in crate::store::s3) fn begin(link: &Arc<Link>, body_bytes: u64, unsent: Option<OwnedSemaphorePermit>) -> Self {
        let unconfirmed = body_bytes.min(MOST_BUFFERED_BYTES);
        link.exchanges.fetch_add(1, Ordering::Relaxed);
        link.unconfirmed.fetch_add(unconfirmed, Ordering::Relaxed);
        let now_ms = link.now_ms();
        Self {
            begun_ms: now_ms,
            last_ms: AtomicU64::new(now_ms),
            own_bytes: AtomicU64::new(0),
            moved_then: AtomicU64::new(link.moved_bytes.load(Ordering::Relaxed)),
            replies_then: AtomicU64::new(link.replies.load(Ordering::Relaxed)),
            unconfirmed: AtomicU64::new(unconfirmed),
            unsent: Mutex::new(unsent),
            link: Arc::clone(link),
        }
    }

    /// Bytes came in.
    pub(in crate::store::s3) fn received(&self, bytes: u64) {
        self.own_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.note_moved(bytes);
    }

    fn note_moved(&self, bytes: u64) {
        let moved = self.link.moved_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let now_ms = self.link.now_ms();
        self.link.last_moved_ms.store(now_ms, Ordering::Relaxed);
        self.last_ms.store(now_ms, Ordering::Relaxed);
        self.moved_then.store(moved, Ordering::Relaxed);
        self.replies_then.store(self.link.replies.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A connection took the next bytes of the body.
    pub(in crate::store::s3) fn sent(&self, bytes: u64) {
        self.received(bytes);
        let mut unsent = self.unsent();
        let Some(held) = unsent.as_mut() else { return };
        let spare = (held.num_permits() as u64).saturating_sub(u64::from(permits(BUFFERED_BYTES)));
        let sent = spare.min(bytes / BYTES_PER_PERMIT);
        drop(held.split(usize::try_from(sent).unwrap_or(0)));
    }

    /// The reply to a body of so many bytes came: all of it has arrived.
    pub(in crate::store::s3) fn replied(&self, body_bytes: u64) {
        let had_body = self.unsent().take().is_some();
        self.link.replies.fetch_add(1, Ordering::Relaxed);
        // Sockets took the body long before a slow link did: others see that it moved by its reply.
        self.note_moved(self.confirm());
        if had_body {
            let took_ms = self.link.now_ms().saturating_sub(self.begun_ms).max(1);
            let shared_by = self.link.exchanges.load(Ordering::Relaxed).max(1);
            let seen = body_bytes.saturating_mul(1000).saturating_mul(shared_by) / took_ms;
            let known = self.link.rate.load(Ordering::Relaxed);
            // Two that write at once may lose one: it is an estimate.
            let rate = if known == 0 { seen } else { (3 * known).saturating_add(seen) / 4 };
            self.link.rate.store(rate, Ordering::Relaxed);
        }
    }

    fn confirm(&self) -> u64 {
        let unconfirmed = self.unconfirmed.swap(0, Ordering::Relaxed);
        self.link.unconfirmed.fetch_sub(unconfirmed, Ordering::Relaxed);
        unconfirmed
    }

    /// How long ago it began.
    pub(in crate::store::s3) fn age(&self) -> Duration {
        Duration::from_millis(self.link.now_ms().saturating_sub(self.begun_ms))
    }

    /// Whether what it moved in this time shows that there are too many at a time.
    pub(in crate::store::s3) fn was_crowded(&self, took: Duration) -> bool {
        took >= CROWDED_FROM && is_slower(self.own_bytes.load(Ordering::Relaxed), took, CROWDED_BYTES_PER_SECOND)
    }

    /// Begins to wait anew: what the caller did meanwhile is no stall.
    pub(in crate::store::s3) fn wait_anew(&self) {
        self.last_ms.store(self.link.now_ms(), Ordering::Relaxed);
        self.moved_then.store(self.moved(), Ordering::Relaxed);
        self.replies_then.store(self.link.replies.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// What the link has moved in all.
    pub(in crate::store::s3) fn moved(&self) -> u64 {
        self.link.moved_bytes.load(Ordering::Relaxed)
    }

    /// For how long nothing of this exchange has moved, if that is too long.
    pub(in crate::store::s3) fn stalled(&self, limit: Duration) -> Option<Duration> {
        let link = &self.link;
        let silence = Silence {
            idle: Duration::from_millis(link.now_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed))),
            link_idle: link.idle(),
            moved_by_others: self.moved().saturating_sub(self.moved_then.load(Ordering::Relaxed)),
            replies: link.replies.load(Ordering::Relaxed).saturating_sub(self.replies_then.load(Ordering::Relaxed)),
            unconfirmed: link.unconfirmed.load(Ordering::Relaxed),
            exchanges: link.exchanges.load(Ordering::Relaxed),
            rate: link.rate.load(Ordering::Relaxed),
        };
        silence.is_a_stall(limit).then_some(silence.idle)
    }

    /// Whether a body that brought so few bytes in this time is slower than the link explains, given what the link moved
    /// meanwhile.
    pub(in crate::store::s3) fn trickles(&self, waited: Duration, received: u64, moved: u64) -> bool {
        is_trickle(waited, received, moved, self.link.exchanges.load(Ordering::Relaxed))
    }

    fn unsent(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.unsent.lock()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.confirm();
        self.link.exchanges.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An exchange that does not move, and what the link does meanwhile.
#[derive(Debug, Clone, Copy)]
struct Silence {
    idle: Duration,
    /// For how long nothing of any exchange has moved.
    link_idle: Duration,
    moved_by_others: u64,
    /// Replies to others.
    replies: u64,
    /// Bytes of bodies that no reply has confirmed and that may be in buffers.
    unconfirmed: u64,
    exchanges: u64,
    /// Bytes a second that the link was seen to take, or 0.
    rate: u64,
}

impl Silence {
    fn is_a_stall(&self, limit: Duration) -> bool {
        if self.idle < limit {
            return false;
        }
        if self.replies >= TURNS * self.exchanges.max(FEWEST_EXCHANGES) || self.moved_by_others >= TURN_BYTES {
            return true;
        }
        // An eighth of what it was seen to take: links change.
        let rate = (self.rate / 8).max(SLOWEST_BYTES_PER_SECOND);
        let patience = limit + Duration::from_millis(self.unconfirmed.saturating_mul(1000) / rate);
        let is_quiet = self.link_idle >= limit || is_slower(self.moved_by_others, self.idle, QUIET_BYTES_PER_SECOND);
        self.idle >= patience && is_quiet
    }
}

fn is_trickle(waited: Duration, received: u64, moved: u64, exchanges: u64) -> bool {
    is_slower(received, waited, TRICKLE_BYTES_PER_SECOND)
        && (is_slower(moved, waited, QUIET_BYTES_PER_SECOND)
            || received.saturating_mul(FAIR_SHARES * exchanges.max(1)) < moved)
}

fn is_slower(bytes: u64, time: Duration, bytes_per_second: u64) -> bool {
    u128::from(bytes) * 1000 < time.as_millis() * u128::from(bytes_per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    fn silence(seconds: u64) -> Silence {
        let idle = Duration::from_secs(seconds);
        Silence { idle, link_idle: idle, moved_by_others: 0, replies: 0, unconfirmed: 0, exchanges: 1, rate: 0 }
    }

    #[test]
    fn where_nothing_moves_the_limit_decides_and_what_is_in_the_buffers() {
        assert!(!silence(19).is_a_stall(LIMIT));
        assert!(silence(20).is_a_stall(LIMIT));
        let sent = |seconds, unconfirmed, rate| Silence { unconfirmed, rate, ..silence(seconds) };
        assert!(!sent(30, 256 * KIB, 0).is_a_stall(LIMIT), "256 KiB take 16 s at the slowest");
        assert!(sent(36, 256 * KIB, 0).is_a_stall(LIMIT));
        assert!(!sent(1000, 16 * MIB, 0).is_a_stall(LIMIT));
        assert!(sent(30, 16 * MIB, 100 * MIB).is_a_stall(LIMIT), "the link was seen to be fast");
    }

    #[test]
    fn an_exchange_waits_its_turn_on_a_link_that_others_fill() {
        let shared = |seconds, moved_by_others| Silence {
            link_idle: Duration::ZERO,
            moved_by_others,
            unconfirmed: 8 * MIB,
            exchanges: 128,
            ..silence(seconds)
        };
        assert!(!shared(600, 600 * 32 * KIB).is_a_stall(LIMIT), "256 kbit/s");
        assert!(!shared(60, 60 * MIB).is_a_stall(LIMIT), "8 Mbit/s");
        assert!(shared(60, 300 * MIB).is_a_stall(LIMIT), "so much has passed by");
        assert!(!shared(19, 1 << 40).is_a_stall(LIMIT), "not before the limit");
        assert!(Silence { replies: 128 * 16, ..shared(20, MIB) }.is_a_stall(LIMIT), "so many have come and gone");
        assert!(!Silence { replies: 128 * 15, ..shared(20, MIB) }.is_a_stall(LIMIT));
    }

    #[test]
    fn an_exchange_does_not_wait_for_others_that_are_through_or_move_now_and_then() {
        let alone = |seconds, link_idle, moved_by_others| Silence {
            link_idle: Duration::from_secs(link_idle),
            moved_by_others,
            ..silence(seconds)
        };
        assert!(alone(60, 0, 10 * KIB).is_a_stall(LIMIT));
        assert!(alone(40, 20, 100 * MIB).is_a_stall(LIMIT));
        assert!(!alone(40, 19, 100 * MIB).is_a_stall(LIMIT));
    }

    #[test]
    fn a_body_trickles_if_it_is_slow_and_the_link_is_not_why() {
        let trickles = |received, moved, exchanges| is_trickle(LIMIT, received, moved, exchanges);
        assert!(trickles(100, 100, 1), "the only one");
        assert!(!trickles(20 * 512, 20 * 512, 1), "fast enough");
        assert!(!trickles(5 * KIB, 640 * KIB, 128), "its share of 256 kbit/s");
        assert!(!trickles(KIB + 424, 640 * KIB, 64), "one packet in 20 s, as connections have it that lose some");
        assert!(trickles(5 * KIB, 640 * MIB, 128), "the others are fast");
        assert!(trickles(1000, 10_000, 10), "all trickle");
    }

    #[tokio::test]
    async fn an_exchange_was_crowded_if_it_took_long_for_few_bytes() {
        let link = Arc::new(Link::new());
        let crowded = |bytes, seconds| {
            let exchange = Exchange::begin(&link, 0, None);
            exchange.received(bytes);
            exchange.was_crowded(Duration::from_secs(seconds))
        };
        assert!(crowded(64 * KIB, 4), "one of many on a slow link");
        assert!(!crowded(64 * KIB, 3), "a far endpoint");
        assert!(!crowded(8 * MIB, 60), "a large one");
        let exchange = Exchange::begin(&link, MIB, None);
        exchange.sent(MIB);
        exchange.replied(MIB);
        assert!(exchange.was_crowded(Duration::from_secs(9)), "its bytes count once");
    }

    #[test]
    fn packets_that_are_lost_on_a_full_link_are_no_stall() {
        let lossy = |moved_by_others| Silence { link_idle: Duration::from_secs(3), moved_by_others, ..silence(40) };
        assert!(!lossy(40 * 4 * KIB).is_a_stall(LIMIT), "an eighth of 256 kbit/s");
        assert!(lossy(40 * KIB).is_a_stall(LIMIT));
        assert!(!is_trickle(LIMIT, KIB, 20 * 4 * KIB, 32));
    }

    #[tokio::test]
    async fn a_body_takes_room_until_it_is_sent_and_its_last_bytes_until_the_reply() {
        let link = Arc::new(Link::new());
        let unsent = || UNSENT_BYTES - link.unsent.available_permits() as u64 * BYTES_PER_PERMIT;
        let counts = || (link.unconfirmed.load(Ordering::Relaxed), link.exchanges.load(Ordering::Relaxed));
        let exchange = Exchange::begin(&link, 8 * MIB, link.begin_body(8 * MIB).await);
        assert_eq!((unsent(), counts()), (8 * MIB, (MOST_BUFFERED_BYTES, 1)));
        exchange.sent(3 * MIB);
        assert_eq!(unsent(), 5 * MIB);
        exchange.sent(5 * MIB);
        assert_eq!(unsent(), BUFFERED_BYTES);
        exchange.replied(8 * MIB);
        assert_eq!((unsent(), counts()), (0, (0, 1)));
        let whole = Exchange::begin(&link, 100 * MIB, link.begin_body(100 * MIB).await);
        assert_eq!(unsent(), UNSENT_BYTES);
        drop((exchange, whole));
        assert_eq!((unsent(), counts()), (0, (0, 0)));
    }
}
