//! Decoding takes any bytes: it never panics, and what it accepts is written and read again unchanged.
#![no_main]
#![allow(dead_code, unused_imports)]

#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/hash.rs"]
pub mod hash;
#[path = "../../src/manifest/mod.rs"]
pub mod manifest;
#[path = "../../src/path.rs"]
pub mod path;

#[path = "../../tests_rs/manifest/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::hold_for(data));
