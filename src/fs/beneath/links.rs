//! Symbolic links on the way to what is opened.

/// What [`super::open_beneath`] does with symbolic links on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// `ELOOP` for any link.
    Refuse,
    /// Follow those that stay below the directory; `EXDEV` for others, all that are absolute among them.
    Beneath,
}
