//! Random numbers that depend on a seed and on what they are for, not on the order in which requests arrive.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A number in `0.0..1.0` that follows from all four.
pub fn fraction(seed: u64, rule: usize, key: &str, nth: u64) -> f64 {
    let mixed =
        xxh3_64_with_seed(key.as_bytes(), seed ^ ((rule as u64) << 48) ^ nth.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let high = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}
