//! What requests carry that not every server takes, and finding out which of it one refuses.
//!
//! Servers refuse what they don't know with any status: 400, 403, 405, 501. A refused request is therefore made once more
//! without all of it. Only where that passes was the refusal about an extra; a true 403 fails both times and is told as it came.
//! Where several extras were on the request, the next requests carry one of them each, until it is known which is to blame.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::S3Store;
use super::errors::Failure;
use crate::error::Error;

/// Something that a request can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    /// `x-amz-checksum-xxhash128`.
    XxHash,
    /// The checksum of the SDK, CRC-32.
    Crc32,
    /// `If-None-Match: *`.
    Condition,
    /// A body that is not part of the signature.
    UnsignedBody,
}

impl Extra {
    const ALL: [Self; 4] = [Self::XxHash, Self::Crc32, Self::Condition, Self::UnsignedBody];
}

impl fmt::Display for Extra {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::XxHash => "rejects x-amz-checksum-xxhash128; uploads go without it",
            Self::Crc32 => "rejects checksums of bodies; uploads go without them",
            Self::Condition => "rejects If-None-Match; uploads go without it",
            Self::UnsignedBody => "rejects unsigned bodies; bodies are signed",
        })
    }
}

/// A set of extras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Extras(u8);

impl Extras {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn with(self, extra: Extra, wanted: bool) -> Self {
        if wanted { Self(self.0 | 1 << extra as u8) } else { self }
    }

    pub(super) const fn has(self, extra: Extra) -> bool {
        self.0 & 1 << extra as u8 != 0
    }

    pub(super) const fn without(self, extra: Extra) -> Self {
        Self(self.0 & !(1 << extra as u8))
    }

    /// This one alone, if it is among them; else all.
    fn only(self, extra: Extra) -> Self {
        if self.has(extra) { Self::NONE.with(extra, true) } else { self }
    }

    fn each(self) -> impl Iterator<Item = Extra> {
        Extra::ALL.into_iter().filter(move |extra| self.has(*extra))
    }
}

/// What is known of one extra.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// No request has shown anything.
    Untried,
    /// A request with it has passed.
    Taken,
    /// It was on a request that passes without its extras.
    Suspect,
    /// It was the only one that can have been to blame.
    Refused,
}

/// What an endpoint has shown of each extra, by bucket: a bucket's policy may refuse what others take.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    buckets: Mutex<HashMap<String, Standings>>,
    /// Whether a request is under way that shows whether a suspect is taken. One is enough: many at once would all be refused.
    is_trying: AtomicBool,
}

/// What is known of each extra, by its number.
type Standings = [Standing; 4];

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Standings>> {
        self.buckets.lock()
    }

    fn of(&self, bucket: &str) -> Standings {
        self.lock().get(bucket).copied().unwrap_or([Standing::Untried; 4])
    }

    fn change<T>(&self, bucket: &str, change: impl FnOnce(&mut Standings) -> T) -> T {
        let mut buckets = self.lock();
        if let Some(standings) = buckets.get_mut(bucket) {
            return change(standings);
        }
        change(buckets.entry(bucket.to_owned()).or_insert([Standing::Untried; 4]))
    }

    /// Whether requests may carry an extra.
    pub(super) fn may_use(&self, bucket: &str, extra: Extra) -> bool {
        self.of(bucket)[extra as usize] != Standing::Refused
    }

    /// Whether a request with these extras may be refused because of them: what was taken before is not what is refused now.
    fn may_be_to_blame(&self, bucket: &str, used: Extras) -> bool {
        let standings = self.of(bucket);
        used.each().any(|extra| standings[extra as usize] != Standing::Taken)
    }

    /// Which of the extras that a request could have it should carry: all that are not refused; where one is suspected, those
    /// that are known to be taken and, unless another request has one under way, one other, so that its reply shows something.
    fn choose(&self, bucket: &str, wanted: Extras) -> Trial<'_> {
        let standings = self.of(bucket);
        let standing = |extra: Extra| standings[extra as usize];
        let is_open = |extra: Extra| matches!(standing(extra), Standing::Untried | Standing::Suspect);
        let has_suspect = wanted.each().any(|extra| standing(extra) == Standing::Suspect);
        let taken = wanted.each().filter(|extra| standing(*extra) == Standing::Taken);
        let taken = taken.fold(Extras::NONE, |chosen, extra| chosen.with(extra, true));
        let mut open = wanted.each().filter(|extra| is_open(*extra));
        if !has_suspect {
            return Trial { extras: open.fold(taken, |chosen, extra| chosen.with(extra, true)), claim: None };
        }
        if self.is_trying.swap(true, Ordering::Relaxed) {
            return Trial { extras: taken, claim: None };
        }
        let extras = open.next().map_or(taken, |extra| taken.with(extra, true));
        Trial { extras, claim: Some(Claim(&self.is_trying)) }
    }

    fn note_taken(&self, bucket: &str, used: Extras) {
        if self.may_be_to_blame(bucket, used) {
            self.change(bucket, |standings| used.each().for_each(|extra| standings[extra as usize] = Standing::Taken));
        }
    }

    /// Takes note of a request that was refused with its extras and passed without any. Gives the one that was to blame, where
    /// that is clear.
    fn note_refused(&self, bucket: &str, used: Extras) -> Option<Extra> {
        self.change(bucket, |standings| {
            let open: Vec<Extra> = used.each().filter(|extra| standings[*extra as usize] != Standing::Taken).collect();
            if let [only] = open[..] {
                let was = std::mem::replace(&mut standings[only as usize], Standing::Refused);
                return (was != Standing::Refused).then_some(only);
            }
            for extra in open {
                if standings[extra as usize] != Standing::Refused {
                    standings[extra as usize] = Standing::Suspect;
                }
            }
            None
        })
    }
}

/// What a request carries, and the claim to be the only one that tries a suspect.
struct Trial<'a> {
    extras: Extras,
    #[expect(dead_code, reason = "held")]
    claim: Option<Claim<'a>>,
}

/// Given up when it goes, also where the request is cancelled.
struct Claim<'a>(&'a AtomicBool);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The extra that S3's own text names: it has no code for it.
fn named(failure: &Failure) -> Option<Extra> {
    let Error::S3Service(error) = &failure.error else { return None };
    let text = error.reply.text.to_ascii_lowercase();
    let names = [
        ("x-amz-checksum-xxhash128", Extra::XxHash),
        ("x-amz-checksum-crc32", Extra::Crc32),
        ("if-none-match", Extra::Condition),
        ("unsigned-payload", Extra::UnsignedBody),
    ];
    names.iter().find(|(name, _)| text.contains(name)).map(|(_, extra)| *extra)
}

impl S3Store {
    /// Makes a request with the extras that the endpoint takes, and where it is refused, without any.
    pub(super) async fn with_extras<T, F, R>(&self, bucket: &str, wanted: Extras, attempt: F) -> Result<T, Failure>
    where
        F: Fn(Extras) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        let refusals = &self.endpoint.refusals;
        let trial = refusals.choose(bucket, wanted);
        let used = trial.extras;
        let failure = match attempt(used).await {
            Ok(value) => {
                refusals.note_taken(bucket, used);
                return Ok(value);
            }
            Err(failure) => failure,
        };
        if failure.status == Some(412) && used.has(Extra::Condition) {
            refusals.note_taken(bucket, used);
        }
        if !may_be_refusal(&failure) || !refusals.may_be_to_blame(bucket, used) {
            return Err(failure);
        }
        let Ok(value) = attempt(Extras::NONE).await else { return Err(failure) };
        if let Some(refused) = refusals.note_refused(bucket, named(&failure).map_or(used, |extra| used.only(extra))) {
            self.endpoint.notice(format!("The S3 endpoint {refused} (bucket {bucket})."));
            if refused == Extra::Condition {
                self.endpoint.conditions_are_refused();
            }
        }
        Ok(value)
    }
}

/// Whether a reply may be about an extra. A check that failed, a bucket or upload that is not there, a condition that does not
/// hold, another writer and a full server are not.
fn may_be_refusal(failure: &Failure) -> bool {
    const OTHERS: &[&str] = &[
        "BadDigest",
        "EntityTooLarge",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidPart",
        "InvalidPartOrder",
        "EntityTooSmall",
        "NoSuchBucket",
        "NoSuchUpload",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "SlowDown",
        "XAmzContentChecksumMismatch",
    ];
    let is_refusal = matches!(failure.status, Some(400..=407 | 410 | 411 | 413..=428 | 430..=499 | 501));
    is_refusal && !failure.is_code(OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::S3Action;
    use crate::store::ObjectKey;
    use crate::store::guidance::ErrorReply;
    use crate::store::s3::request_info::RequestInfo;

    const WANTED: Extras =
        Extras::NONE.with(Extra::XxHash, true).with(Extra::Condition, true).with(Extra::UnsignedBody, true);

    /// Makes requests to a server that refuses these, until nothing changes; gives what is carried in the end, and how many
    /// requests were refused.
    fn settle(server_refuses: Extras, wanted: Extras) -> (Extras, u32) {
        let refusals = Refusals::default();
        let mut refused = 0;
        for _ in 0..8 {
            let used = refusals.choose("b", wanted).extras;
            if used.0 & server_refuses.0 == 0 {
                refusals.note_taken("b", used);
            } else {
                refused += 1;
                refusals.note_refused("b", used);
            }
        }
        (refusals.choose("b", wanted).extras, refused)
    }

    #[test]
    fn whatever_a_server_refuses_is_found_out_and_nothing_else_is_given_up() {
        for bits in 0..16 {
            for wanted in [WANTED, Extras(15), Extras::NONE.with(Extra::Condition, true)] {
                let refused = Extras(bits);
                let (carried, refusals) = settle(refused, wanted);
                assert_eq!(carried, Extras(wanted.0 & !bits), "{refused:?} of {wanted:?}");
                assert!(refusals <= 1 + bits.count_ones(), "{refused:?}: {refusals} requests were refused");
            }
        }
    }

    #[test]
    fn one_request_at_a_time_tries_a_suspect() {
        let refusals = Refusals::default();
        refusals.note_refused("b", WANTED);
        let first = refusals.choose("b", WANTED);
        assert_eq!(first.extras.each().count(), 1);
        assert_eq!(refusals.choose("b", WANTED).extras, Extras::NONE, "the first is at it");
        drop(first);
        assert_eq!(refusals.choose("b", WANTED).extras.each().count(), 1);
    }

    #[test]
    fn an_error_may_name_what_it_is_about() {
        let text = "Value for x-amz-checksum-xxhash128 header is invalid.".to_owned();
        let object = ObjectKey::new("bucket", "root/Data/if-none-match");
        let failure = |text: String| {
            let asked = RequestInfo::object(S3Action::UploadingFile, "PutObject", &object);
            let reply = ErrorReply {
                action: asked.action,
                operation: asked.operation,
                status_code: 400,
                code: Some("InvalidRequest"),
                message: Some(&text),
                bucket: asked.bucket,
                key: asked.key,
                account_id: None,
                request_id: None,
                host_id: None,
            };
            Failure::without_reply(reply.into_error().into())
        };
        assert_eq!(WANTED.only(named(&failure(text)).unwrap()), Extras::NONE.with(Extra::XxHash, true));
        assert_eq!(named(&failure("no".to_owned())), None, "keys are not about it");
    }

    #[test]
    fn one_extra_is_to_blame_at_once() {
        let refusals = Refusals::default();
        let only = Extras::NONE.with(Extra::Condition, true);
        assert_eq!(refusals.note_refused("b", only), Some(Extra::Condition));
        assert_eq!(refusals.note_refused("b", only), None, "told once");
        assert!(!refusals.may_use("b", Extra::Condition) && refusals.may_use("b", Extra::XxHash));
    }

    #[test]
    fn what_was_taken_is_not_to_blame_and_buckets_are_apart() {
        let refusals = Refusals::default();
        assert!(!refusals.may_be_to_blame("b", Extras::NONE) && refusals.may_be_to_blame("b", WANTED));
        refusals.note_taken("b", WANTED);
        assert!(!refusals.may_be_to_blame("b", WANTED) && refusals.may_be_to_blame("other", WANTED));
        let more = WANTED.with(Extra::Crc32, true);
        assert!(refusals.may_be_to_blame("b", more));
        assert_eq!(refusals.note_refused("b", more), Some(Extra::Crc32), "the others were taken");
    }

    #[test]
    fn failed_checks_and_conditions_are_no_refusals() {
        let failure = |status, code: Option<&str>| Failure {
            status: Some(status),
            code: code.map(str::to_owned),
            ..Failure::without_reply(crate::Error::Sync(String::new()))
        };
        for (status, code) in [
            (400, Some("BadDigest")),
            (404, Some("NoSuchBucket")),
            (409, None),
            (412, None),
            (429, None),
            (503, None),
            (400, Some("ExpiredToken")),
        ] {
            assert!(!may_be_refusal(&failure(status, code)), "{status} {code:?}");
        }
        for (status, code) in [
            (400, None),
            (400, Some("InvalidDigest")),
            (403, Some("AccessDenied")),
            (404, None),
            (405, None),
            (411, None),
            (417, None),
            (501, Some("NotImplemented")),
        ] {
            assert!(may_be_refusal(&failure(status, code)), "{status} {code:?}");
        }
    }
}
