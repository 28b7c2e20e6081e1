//! Manifests of version 2025-12-04-beta.

pub(super) mod decode;
pub(super) mod encode;
