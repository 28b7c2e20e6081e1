//! One component of a pattern: what Python's `glob` makes of it.

use super::fnmatch::FnmatchPattern;

/// A component between two slashes of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Component {
    /// A name without wildcards (WTF-8). It also finds names that begin with a dot.
    Literal(Vec<u8>),
    /// `**`.
    Recursive,
    /// A name with wildcards.
    Wild(Wildcards),
}

/// A name with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wildcards {
    pub(crate) pattern: FnmatchPattern,
    matches_dot_names: bool,
}

impl Component {
    /// Reads a component (WTF-8).
    #[must_use]
    pub(crate) fn new(text: &[u8]) -> Self {
        if text == b"**" {
            Self::Recursive
        } else if text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
            Self::Wild(Wildcards { pattern: FnmatchPattern::new(text), matches_dot_names: text.starts_with(b".") })
        } else {
            Self::Literal(text.to_vec())
        }
    }

    /// Whether this is `**`.
    #[must_use]
    pub(crate) const fn is_recursive(&self) -> bool {
        matches!(self, Self::Recursive)
    }

    /// Whether a name (WTF-8) matches; for `**`, whether it goes through a directory of that name.
    #[must_use]
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Literal(text) => text == name,
            Self::Recursive => !name.starts_with(b"."),
            Self::Wild(wildcards) => {
                (wildcards.matches_dot_names || !name.starts_with(b".")) && wildcards.pattern.matches(name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Component::new(pattern.as_bytes()).matches(name.as_bytes())
    }

    #[test]
    fn wildcards_match_as_fnmatch_does() {
        let yes = [
            ("*", "a"),
            ("*.exr", "b.exr"),
            ("a*b*c", "aXbYbZc"),
            ("?", "é"),
            ("[[]", "["),
            ("[]]", "]"),
            ("[!]]", "a"),
            ("[a-c]", "b"),
            ("[-a]", "-"),
            ("[a-]", "-"),
            ("[a", "[a"),
            (".*", ".hidden"),
            ("[!a]", "\n"),
            ("[^a]", "^"),
            ("[!]", "[!]"),
        ];
        for (pattern, name) in yes {
            assert!(matches(pattern, name), "{pattern} should match {name}");
        }
        for (pattern, name) in [("*", ".a"), ("[.]a", ".a"), ("?", ""), ("[z-a]", "b"), ("[a-c]", "d"), ("a?", "a")] {
            assert!(!matches(pattern, name), "{pattern} should not match {name}");
        }
    }
}
