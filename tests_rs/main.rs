//! Integration tests of the crate, as one binary: one link step, modules by area.

#![allow(unreachable_pub, reason = "tests use what others have")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod api;
mod api_list;
mod download;
mod events;
mod fuzzing;
mod hash_rows;
mod interleavings;
mod layers;
mod links;
mod local_caches;
mod local_hashing;
mod low_transfer_rate;
mod manifest;
mod path_mapping;
mod rig;
mod round_trip;
mod store;
mod upload;
mod without_openat2;
