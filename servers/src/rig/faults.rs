//! Which request meets which fault.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::random;
use super::request::{Operation, Target};

/// A place in a body: a whole number counts bytes (from the end if negative), a fraction is a share of the length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum At {
    Byte(i64),
    Share(f64),
}

impl At {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rough place"
    )]
    pub fn within(self, length: u64) -> u64 {
        match self {
            Self::Byte(byte) if byte < 0 => length.saturating_sub(byte.unsigned_abs()),
            Self::Byte(byte) => byte.unsigned_abs().min(length),
            Self::Share(share) => ((length as f64 * share) as u64).min(length),
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An error reply, without doing the work.
    Status { status: u16, code: Option<String>, message: Option<String>, retry_after: Option<u64> },
    /// The connection is reset after so many bytes of the reply's body; before the reply's head where `at` is missing.
    Reset { at: Option<At> },
    /// The connection is reset after so many bytes of the request's body have been read.
    ResetRequest { at: At },
    /// The connection ends in order after so many bytes of the body, which its `Content-Length` says is longer.
    Truncate { at: At },
    /// The body is cut, and `Content-Length` tells the cut length.
    Short { at: At },
    /// One byte is another.
    WrongByte { at: At },
    /// The body of another object, under this one's headers; cut or repeated to the right length if `same_length`.
    OtherObject {
        key: Option<String>,
        #[serde(default)]
        same_length: bool,
    },
    /// 200 and everything, whatever range was asked for.
    IgnoreRange,
    /// The right number of bytes, from another place of the object.
    OtherRange,
    /// So many bytes at a time.
    Trickle { bytes: u64, every_ms: u64 },
    /// Nothing more comes after so many bytes of the body; not even a head where `at` is missing.
    Stall { at: Option<At>, ms: Option<u64> },
    /// The work is done, the reply is not sent.
    LostReply,
    /// 200 with an error document, without doing the work.
    #[serde(rename = "error_in_200")]
    ErrorIn200 { code: Option<String> },
    /// The reply comes later.
    Delay { ms: u64 },
}

fn anything() -> String {
    "*".to_owned()
}

/// A fault and the requests that meet it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Glob on the operation's name.
    #[serde(default = "anything")]
    pub operation: String,
    /// Glob on the key; `*` crosses `/`.
    #[serde(default = "anything")]
    pub key: String,
    /// Glob on the bucket.
    #[serde(default = "anything")]
    pub bucket: String,
    /// Only these among the matching requests, counted from 1.
    #[serde(default)]
    pub nth: Vec<u64>,
    /// The first so many matching requests are left alone.
    #[serde(default)]
    pub skip: u64,
    /// After so many faults the rule is spent.
    pub times: Option<u64>,
    /// `nth`, `skip` and `times` count each key's requests apart.
    #[serde(default)]
    pub per_key: bool,
    /// Among those, this share, by the seed.
    pub probability: Option<f64>,
    /// Among those, what exceeds so many requests a second: a tenth of a second's worth may come at once.
    pub above_per_second: Option<f64>,
    pub fault: Fault,
}

#[derive(Debug)]
struct Active {
    rule: Rule,
    /// Matching requests so far: all under the empty key, or by key.
    seen: HashMap<String, u64>,
    fired: HashMap<String, u64>,
    total_fired: u64,
    allowance: Allowance,
}

/// Requests that may still pass under a rule with a rate.
#[derive(Debug, Default)]
struct Allowance {
    requests: f64,
    at: Option<Instant>,
}

impl Allowance {
    fn takes_one(&mut self, per_second: f64, now: Instant) -> bool {
        let most = (per_second / 10.0).max(1.0);
        let passed = self.at.replace(now).map(|at| now.saturating_duration_since(at).as_secs_f64());
        self.requests = passed.map_or(most, |passed| passed.mul_add(per_second, self.requests)).min(most);
        let takes = self.requests >= 1.0;
        if takes {
            self.requests -= 1.0;
        }
        takes
    }
}

#[derive(Debug, Default)]
pub struct Faults {
    any: AtomicBool,
    active: RwLock<Vec<Mutex<Active>>>,
}

impl Faults {
    pub fn replace(&self, rules: Vec<Rule>) {
        let active = rules.into_iter().map(|rule| {
            let (seen, fired, allowance) = (HashMap::new(), HashMap::new(), Allowance::default());
            Mutex::new(Active { rule, seen, fired, total_fired: 0, allowance })
        });
        let mut slot = self.active.write().unwrap_or_else(PoisonError::into_inner);
        *slot = active.collect();
        self.any.store(!slot.is_empty(), Ordering::Release);
    }

    /// How often each rule has struck.
    pub fn fired(&self) -> Vec<u64> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        active.iter().map(|rule| rule.lock().unwrap_or_else(PoisonError::into_inner).total_fired).collect()
    }

    /// The first rule that strikes this request.
    pub fn decide(&self, target: &Target, seed: u64) -> Option<Fault> {
        if !self.any.load(Ordering::Acquire) || target.operation == Operation::Unknown {
            return None;
        }
        let operation = target.operation.name();
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        active.iter().enumerate().find_map(|(index, active)| {
            let mut active = active.lock().unwrap_or_else(PoisonError::into_inner);
            let rule = &active.rule;
            let concerned = matches(&rule.operation, &operation)
                && matches(&rule.bucket, &target.bucket)
                && matches(&rule.key, &target.key);
            (concerned && active.strikes(index, &target.key, seed)).then(|| active.rule.fault.clone())
        })
    }
}

impl Active {
    fn strikes(&mut self, index: usize, key: &str, seed: u64) -> bool {
        let counted = if self.rule.per_key || self.rule.probability.is_some() { key } else { "" };
        let count = self.seen.entry(counted.to_owned()).or_default();
        *count += 1;
        let nth = *count;
        if nth <= self.rule.skip || !self.rule.nth.is_empty() && !self.rule.nth.contains(&nth) {
            return false;
        }
        if self.rule.probability.is_some_and(|share| random::fraction(seed, index, key, nth) >= share) {
            return false;
        }
        if self.rule.above_per_second.is_some_and(|rate| self.allowance.takes_one(rate, Instant::now())) {
            return false;
        }
        let fired = self.fired.entry(if self.rule.per_key { key.to_owned() } else { String::new() }).or_default();
        if self.rule.times.is_some_and(|times| *fired >= times) {
            return false;
        }
        *fired += 1;
        self.total_fired += 1;
        true
    }
}

/// `*` is any run of characters, `?` any one.
pub fn matches(pattern: &str, text: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                retry = Some((at_pattern, at_text));
                at_pattern += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[at_text] => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => match &mut retry {
                None => return false,
                Some((star, from)) => {
                    *from += 1;
                    at_pattern = *star + 1;
                    at_text = *from;
                }
            },
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn globs_match() {
        assert!(matches("*/Data/*", "root/Data/a.xxh128"));
        assert!(matches("Put*", "PutObject") && matches("?utObject", "PutObject"));
        assert!(!matches("*/Data/*", "root/Manifests/a") && !matches("", "a"));
        assert!(matches("a*b*c", "aXbYbZc") && !matches("a*b*c", "aXbYbZ"));
    }

    #[test]
    fn a_rate_lets_so_many_pass() {
        let (mut allowance, begin) = (Allowance::default(), Instant::now());
        let passed =
            |allowance: &mut Allowance, now: Instant| (0..100).filter(|_| allowance.takes_one(50.0, now)).count();
        assert_eq!(passed(&mut allowance, begin), 5, "a tenth of a second's worth at once");
        assert_eq!(passed(&mut allowance, begin + Duration::from_millis(41)), 2);
        assert_eq!(passed(&mut allowance, begin + Duration::from_secs(10)), 5);
    }

    #[test]
    fn places_count_from_either_end() {
        assert_eq!(At::Byte(-1).within(10), 9);
        assert_eq!(At::Byte(99).within(10), 10);
        assert_eq!(At::Share(0.5).within(10), 5);
    }
}
