//! Any manifest path below any root: it agrees with a simple model, and nothing is written outside.
#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub)]

#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/hash.rs"]
pub mod hash;
#[path = "../../src/path.rs"]
pub mod path;
#[path = "../../src/fs"]
pub mod fs {
    pub mod beneath;
    pub mod open;
    pub mod permissions;
    pub mod stage;
    pub mod target;
}

#[path = "../../tests_rs/fuzzing/path_invariants.rs"]
mod invariants;

use std::sync::LazyLock;

use invariants::Playground;

static PLAYGROUND: LazyLock<Playground> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("rusty-attachments-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    Playground::new(&folder)
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::hold_for(&PLAYGROUND, data));
