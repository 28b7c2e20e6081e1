//! Manifests as whole documents: bytes that the reference wrote, and what is refused.

/// For `invariants`, which the fuzz target compiles in beside the modules themselves.
use rusty_attachments::manifest;

mod corpus;
mod golden;
mod invariants;
mod large;
mod properties;
mod rules;
