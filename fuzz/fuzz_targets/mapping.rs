//! Any rules and any path: no panic, and the trie gives what one rule after another gives.
#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub)]

#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/hash.rs"]
pub mod hash;
#[path = "../../src/path.rs"]
pub mod path;
#[path = "../../src/path_mapping/mod.rs"]
pub mod path_mapping;

#[path = "../../tests_rs/fuzzing/mapping_invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::hold_for(data));
