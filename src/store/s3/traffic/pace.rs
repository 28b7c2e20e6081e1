//! How many requests a second an endpoint takes, once it has asked to slow down.
//!
//! To have fewer under way does not slow a client down where replies come within a millisecond; and a client whose replies
//! take long needs many under way for the rate that it is allowed. So after the first refusal requests are spaced.
//! Each success adds a little to the rate and each refusal takes a part of it away, which brings clients together that share a
//! limit (Chiu and Jain, 1989): a few requests in a hundred are refused. The space between two requests varies, or clients fall
//! into step with the endpoint and always the same ones are refused.

use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How much a success raises the rate, while refusals come.
const RISE: f64 = 0.003;
/// What a success adds to it besides, in requests a second: a twentieth of a low rate, and at the most so many.
const STEP: f64 = 0.7;
const STEP_OF_LOW_RATE: f64 = 0.05;
/// What a refusal leaves of it.
const CUT: f64 = 0.8;
/// Of so many refusals since the last success each lowers the rate. Where still nothing comes through, the reason is another
/// than the rate.
const CUTS_IN_A_ROW: u32 = 4;
/// Refusals that come together leave this much of what has come through lately…
const OF_USED: f64 = 0.7;
/// …where that is at least so many requests a second. Fewer say little.
const KNOWN_FROM: f64 = 40.0;
/// The lowest rate, in requests a second.
const LOWEST: f64 = 0.5;
/// The lowest rate to begin with.
const LOWEST_AT_FIRST: f64 = 10.0;
/// After so long without a refusal, a rate of twice what is used limits nothing: the endpoint has recovered.
const RECOVERED: Duration = Duration::from_secs(5);
/// Requests that are late by this much are made up for. Timers have steps of a millisecond, which is half the space
/// between requests at 500 a second.
const CATCH_UP: Duration = Duration::from_millis(20);
/// What was sent lately is counted over times of this length.
const BUCKET: Duration = Duration::from_millis(250);

/// Spaces the requests to one endpoint.
#[derive(Debug)]
pub(in crate::store::s3) struct Pace {
    is_limited: AtomicBool,
    rate: Mutex<Rate>,
    /// One waits for its time; the others wait for it, in the order in which they came.
    turn: tokio::sync::Mutex<()>,
}

impl Pace {
    pub(in crate::store::s3) fn new() -> Self {
        let rate = Mutex::new(Rate::new(Instant::now(), fastrand::Rng::new()));
        Self { is_limited: AtomicBool::new(false), rate, turn: tokio::sync::Mutex::default() }
    }

    /// Whether the endpoint has asked to slow down, and has not recovered yet.
    pub(in crate::store::s3) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }

    /// Waits until one more request may be made; not at all once `is_over`.
    pub(in crate::store::s3) async fn wait(&self, is_over: impl Fn() -> bool) {
        if !self.is_limited() || is_over() {
            return;
        }
        let _turn = self.turn.lock().await;
        let pause = if is_over() { Duration::ZERO } else { self.lock().next(Instant::now()) };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// A request came through.
    pub(in crate::store::s3) fn succeeded(&self) {
        let mut rate = self.lock();
        rate.succeeded(Instant::now());
        self.is_limited.store(rate.per_second.is_some(), Ordering::Relaxed);
    }

    /// The endpoint refused a request, and asked to slow down.
    pub(in crate::store::s3) fn refused(&self) {
        let mut rate = self.lock();
        rate.refused(Instant::now());
        self.is_limited.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Rate> {
        self.rate.lock()
    }
}

#[derive(Debug)]
struct Rate {
    /// Without a limit until the first refusal.
    per_second: Option<f64>,
    next: Instant,
    last_refusal: Instant,
    bucket_since: Instant,
    /// Successes in the bucket before, and in this one.
    buckets: [u32; 2],
    refused_in_a_row: u32,
    chance: fastrand::Rng,
}

impl Rate {
    const fn new(now: Instant, chance: fastrand::Rng) -> Self {
        let buckets = [0; 2];
        Self { per_second: None, next: now, last_refusal: now, bucket_since: now, buckets, refused_in_a_row: 0, chance }
    }

    /// How long the next request has to wait.
    fn next(&mut self, now: Instant) -> Duration {
        let Some(per_second) = self.per_second else { return Duration::ZERO };
        let at = self.next.max(now.checked_sub(CATCH_UP).unwrap_or(now));
        self.next = at + Duration::from_secs_f64((0.5 + self.chance.f64()) / per_second);
        at.saturating_duration_since(now)
    }

    fn succeeded(&mut self, now: Instant) {
        self.turn_buckets(now);
        self.buckets[1] += 1;
        self.refused_in_a_row = 0;
        let used = self.used();
        let Some(per_second) = &mut self.per_second else { return };
        let calm = now.saturating_duration_since(self.last_refusal);
        let seconds = calm.as_secs_f64().min(10.0);
        let step = STEP.min(*per_second * STEP_OF_LOW_RATE);
        *per_second += (*per_second * RISE).mul_add(seconds.mul_add(seconds, 1.0), step);
        if calm >= RECOVERED && *per_second > 2.0 * used + LOWEST_AT_FIRST {
            self.per_second = None;
        }
    }

    fn refused(&mut self, now: Instant) {
        self.turn_buckets(now);
        self.last_refusal = now;
        self.refused_in_a_row += 1;
        let Some(per_second) = self.per_second else {
            self.per_second = Some(self.used().max(LOWEST_AT_FIRST) * CUT);
            self.next = now;
            return;
        };
        if self.refused_in_a_row > CUTS_IN_A_ROW {
            return;
        }
        let used = self.used();
        let lowest = if used >= KNOWN_FROM { used * OF_USED } else { LOWEST };
        self.per_second = Some((per_second * CUT).max(lowest.min(per_second)));
    }

    /// Successes a second, lately.
    fn used(&self) -> f64 {
        f64::from(self.buckets[0].max(self.buckets[1])) / BUCKET.as_secs_f64()
    }

    fn turn_buckets(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.bucket_since);
        if age >= BUCKET {
            self.buckets = [if age < BUCKET * 2 { self.buckets[1] } else { 0 }, 0];
            self.bucket_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An endpoint that takes so many requests a second from all clients together, and refuses the others.
    struct Endpoint {
        per_second: f64,
        tokens: f64,
        at: Instant,
    }

    impl Endpoint {
        fn takes_one(&mut self, now: Instant) -> bool {
            let passed = now.saturating_duration_since(self.at).as_secs_f64();
            self.tokens = passed.mul_add(self.per_second, self.tokens).min((self.per_second / 10.0).max(1.0));
            self.at = now;
            let takes = self.tokens >= 1.0;
            self.tokens -= f64::from(u8::from(takes));
            takes
        }
    }

    /// Successes and refusals of each client in so many seconds, where each has one request under way at a time or, while it
    /// has no limit, one every 200 µs, and replies take no time.
    fn run(clients: u16, allowed: f64, seconds: u32) -> Vec<(u32, u32)> {
        let begin = Instant::now() + Duration::from_secs(100);
        let mut endpoint = Endpoint { per_second: allowed, tokens: 0.0, at: begin };
        let mut rates: Vec<Rate> =
            (0..clients).map(|client| Rate::new(begin, fastrand::Rng::with_seed(client.into()))).collect();
        // Clients don't begin at the same moment.
        let mut due: Vec<Instant> =
            (0..clients).map(|number| begin + Duration::from_millis(u64::from(number) * 7)).collect();
        let mut counts = vec![(0, 0); clients.into()];
        let end = begin + Duration::from_secs(seconds.into());
        loop {
            let (client, now) = due.iter().copied().enumerate().min_by_key(|(_, at)| *at).unwrap();
            if now >= end {
                return counts;
            }
            if endpoint.takes_one(now) {
                rates[client].succeeded(now);
                counts[client].0 += 1;
            } else {
                rates[client].refused(now);
                counts[client].1 += 1;
            }
            due[client] = now + rates[client].next(now).max(Duration::from_micros(200));
        }
    }

    #[test]
    fn a_client_uses_what_it_is_allowed_and_little_is_refused() {
        for allowed in [20.0, 500.0, 3000.0] {
            let (successes, refusals) = run(1, allowed, 60)[0];
            let (successes, refusals) = (f64::from(successes), f64::from(refusals));
            assert!(successes >= 0.9 * 60.0 * allowed, "{successes} of {} a minute", 60.0 * allowed);
            assert!(refusals <= 0.3 * successes, "{refusals} refused of {successes} at {allowed} a second");
        }
    }

    #[test]
    fn clients_share_what_they_are_allowed() {
        // Of what is allowed: the part that is used at least, refusals for a success at the most, and of an equal share the
        // part that each client gets at least.
        for (clients, allowed, seconds, used, refused, share) in [
            (2, 500.0, 60, 0.9, 0.3, 0.7),
            (4, 500.0, 60, 0.9, 0.3, 0.6),
            (4, 100.0, 60, 0.9, 0.3, 0.4),
            (16, 20.0, 300, 0.8, 0.8, 0.25),
        ] {
            let counts = run(clients, allowed, seconds);
            let all = allowed * f64::from(seconds);
            let successes: f64 = counts.iter().map(|count| f64::from(count.0)).sum();
            let refusals: f64 = counts.iter().map(|count| f64::from(count.1)).sum();
            assert!(successes >= used * all, "{successes} of {all}");
            assert!(refusals <= refused * successes, "{refusals} refused of {successes}");
            let least = counts.iter().map(|count| f64::from(count.0)).fold(f64::INFINITY, f64::min);
            assert!(least >= share * all / f64::from(clients), "one of {clients} got {least} of {all}: {counts:?}");
        }
    }

    #[test]
    fn a_burst_of_refusals_leaves_most_of_what_came_through_lately() {
        let now = Instant::now() + Duration::from_secs(100);
        let mut rate = Rate::new(now, fastrand::Rng::with_seed(1));
        (0..1000).for_each(|_| rate.succeeded(now));
        (0..100).for_each(|_| rate.refused(now + Duration::from_millis(1)));
        assert_eq!(rate.per_second, Some(4000.0 * OF_USED));
    }

    #[test]
    fn refusals_without_any_success_leave_a_rate_that_gets_through_them() {
        let mut now = Instant::now() + Duration::from_secs(100);
        let begin = now;
        let mut rate = Rate::new(now, fastrand::Rng::with_seed(1));
        // Forty objects, each refused three times before the first succeeds.
        for _ in 0..120 {
            now += rate.next(now);
            rate.refused(now);
        }
        assert!(now - begin < Duration::from_secs(40), "{:?}", now - begin);
    }

    #[test]
    fn an_endpoint_that_recovers_is_not_held_back() {
        let begin = Instant::now();
        let mut now = begin;
        let mut rate = Rate::new(now, fastrand::Rng::with_seed(1));
        rate.refused(now);
        let mut requests = 0;
        while rate.per_second.is_some() {
            now += rate.next(now).max(Duration::from_millis(1));
            rate.succeeded(now);
            requests += 1;
            assert!(requests < 20_000, "{rate:?}");
        }
        assert!(now - begin < Duration::from_mins(1), "{:?}", now - begin);
    }
}
