//! Content hashes: XXH3-128, the one algorithm of job attachments (`xxh128`).
//!
//! Contents are hashed by twox-hash, which looks at run time whether the processor has AVX2. xxhash-rust settles that when it
//! is compiled, and a wheel for every machine then hashes with SSE2, at six tenths of the speed. Short texts gain nothing
//! from wide registers; for them xxhash-rust is as fast or faster.

use std::borrow::Cow;
use std::fmt;

/// Hash algorithms that manifests may name. The reference knows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HashAlgorithm {
    /// XXH3 with 128 bits, as lower-case hex of the canonical (big-endian) form.
    #[default]
    Xxh128,
}

impl HashAlgorithm {
    /// The name in manifests and the suffix of keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xxh128 => "xxh128",
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The hash of some contents, as a manifest names it.
///
/// Manifests may hold any ASCII-alphanumeric text as a hash. The form that this crate makes and can verify, 32 lower-case
/// hex digits, is held as its 16 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContentHash {
    /// 16 bytes, big-endian, spelled as 32 lower-case hex digits.
    Xxh128([u8; 16]),
    /// Any other text. It can name an object but can't be verified.
    Text(Box<str>),
}

impl ContentHash {
    /// Takes a hash as it stands in a manifest.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        parse_hex(text).map_or_else(|| Self::Text(text.into()), Self::Xxh128)
    }

    /// The hash's text, as it stands in manifests and keys.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Xxh128(bytes) => Cow::Owned(hex(*bytes)),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// A streaming XXH3-128 hasher.
#[derive(Clone)]
pub struct Hasher(twox_hash::xxhash3_128::Hasher);

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// A hasher that has seen no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self(twox_hash::xxhash3_128::Hasher::new())
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The hash of all bytes so far.
    #[must_use]
    pub fn finish(&self) -> ContentHash {
        ContentHash::Xxh128(self.0.finish_128().to_be_bytes())
    }
}

/// Hashes bytes in one go, faster than a [`Hasher`] for short inputs.
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> ContentHash {
    ContentHash::Xxh128(twox_hash::XxHash3_128::oneshot(bytes).to_be_bytes())
}

/// A hash of 64 bits for tables in memory; it names nothing.
#[must_use]
pub(crate) fn quick_hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// 32 lower-case hex digits.
#[must_use]
pub(crate) fn hex(bytes: [u8; 16]) -> String {
    hex::encode(bytes)
}

/// The 16 bytes of exactly 32 lower-case hex digits, else `None`.
#[must_use]
pub(crate) fn parse_hex(text: &str) -> Option<[u8; 16]> {
    parse_hex_bytes(text.as_bytes())
}

/// As [`parse_hex`], of bytes. Not by the crate `hex`, which takes upper-case digits too and more time: a manifest is read at
/// the speed of this.
#[must_use]
pub(crate) fn parse_hex_bytes(text: &[u8]) -> Option<[u8; 16]> {
    let digits: &[u8; 32] = text.try_into().ok()?;
    let mut bytes = [0; 16];
    let mut all = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        all |= high | low;
        *byte = high << 4 | low & 15;
    }
    (all & 0xF0 == 0).then_some(bytes)
}

/// The value of each lower-case hex digit; of any other byte, a value beyond 15.
const NIBBLES: [u8; 256] = {
    let mut table = [0xFF; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn empty_input_has_the_published_hash() {
        // XXH3-128 of nothing, as `xxhsum -H2` prints it.
        assert_eq!(hash_bytes(b"").to_string(), "99aa06d3014798d86001c324468d497f");
        assert_eq!(Hasher::new().finish(), hash_bytes(b""));
    }

    proptest! {
        /// Against another implementation: lengths about the borders of its cases and of its buffers, in writes of any size.
        #[test]
        fn hashes_are_those_of_another_implementation(
            length in prop_oneof![0..600_usize, 1000..1100_usize, 0..70_000_usize],
            seed in any::<u64>(),
            cuts in prop::collection::vec(1..3000_usize, 1..8),
        ) {
            let bytes: Vec<u8> = (0..length as u64).map(|index| (seed ^ index).wrapping_mul(0x9E37_79B9) .to_le_bytes()[0]).collect();
            let expected = ContentHash::Xxh128(xxhash_rust::xxh3::xxh3_128(&bytes).to_be_bytes());
            prop_assert_eq!(hash_bytes(&bytes), expected.clone());
            let (mut hasher, mut rest) = (Hasher::new(), bytes.as_slice());
            for cut in cuts.into_iter().cycle() {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                hasher.update(now);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(hasher.clone().finish(), expected);
        }
    }

    #[test]
    fn text_round_trips_and_odd_texts_stay_text() {
        let hash = hash_bytes(b"job attachments");
        assert_eq!(ContentHash::from_text(&hash.text()), hash);
        for odd in ["abc", "99AA06D3014798D86001C324468D497F", ""] {
            assert!(matches!(ContentHash::from_text(odd), ContentHash::Text(_)), "{odd}");
        }
    }
}
