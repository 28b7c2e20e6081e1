//! Whatever an error reply of S3 says, the error names bucket and key. The XML itself is the SDK's to read, which would take
//! minutes to build here: `tests_rs/fuzzing/replies.rs` sends this corpus to the whole client.
#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub)]

#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/path.rs"]
pub mod path;
#[path = "../../src/store"]
pub mod store {
    pub mod guidance;
}

#[path = "../../tests_rs/fuzzing/error_invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::hold_for(data));
