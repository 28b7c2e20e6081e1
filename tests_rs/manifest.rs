//! Manifests as whole documents: bytes that the reference wrote, and what is refused.

mod golden;
mod properties;
mod rules;
