//! One component of a pattern: what Python's `fnmatch` makes of it.

use crate::path::{code_points, first_code_point};

/// A component between two slashes of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Component {
    /// A name without wildcards (WTF-8). It also finds names that begin with a dot.
    Literal(Vec<u8>),
    /// `**`.
    Recursive,
    /// A name with wildcards.
    Wild(Wildcards),
}

/// The tokens of a name with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wildcards {
    tokens: Vec<Token>,
    matches_dot_names: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    One(u32),
    AnyOne,
    AnyNumber,
    Class { is_negated: bool, ranges: Vec<(u32, u32)> },
}

impl Component {
    /// Reads a component (WTF-8).
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        if text == b"**" {
            Self::Recursive
        } else if text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
            let points: Vec<u32> = code_points(text).collect();
            Self::Wild(Wildcards { tokens: tokens(&points), matches_dot_names: text.starts_with(b".") })
        } else {
            Self::Literal(text.to_vec())
        }
    }

    /// Whether this is `**`.
    #[must_use]
    pub const fn is_recursive(&self) -> bool {
        matches!(self, Self::Recursive)
    }

    /// Whether a name (WTF-8) matches; for `**`, whether it goes through a directory of that name.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Literal(text) => text == name,
            Self::Recursive => !name.starts_with(b"."),
            Self::Wild(wildcards) => {
                (wildcards.matches_dot_names || !name.starts_with(b".")) && fits(&wildcards.tokens, name)
            }
        }
    }
}

/// Matches by going back to the last star only: a later star can take all that an earlier one could.
fn fits(tokens: &[Token], name: &[u8]) -> bool {
    let (mut at, mut rest) = (0, name);
    let mut retry: Option<(usize, &[u8])> = None;
    loop {
        if let Some(Token::AnyNumber) = tokens.get(at) {
            at += 1;
            retry = Some((at, rest));
            continue;
        }
        let point = first_code_point(rest);
        match (tokens.get(at), point) {
            (None, None) => return true,
            (Some(token), Some((point, length))) if token.takes(point) => {
                at += 1;
                rest = &rest[length..];
                continue;
            }
            _ => {}
        }
        let Some((star, from)) = retry else { return false };
        let Some((_, length)) = first_code_point(from) else { return false };
        (at, rest) = (star, &from[length..]);
        retry = Some((star, rest));
    }
}

impl Token {
    fn takes(&self, point: u32) -> bool {
        match self {
            Self::One(own) => *own == point,
            Self::AnyOne => true,
            Self::AnyNumber => false,
            Self::Class { is_negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&point)) != *is_negated
            }
        }
    }
}

fn tokens(points: &[u32]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < points.len() {
        let point = points[at];
        at += 1;
        tokens.push(match char::from_u32(point) {
            Some('*') => Token::AnyNumber,
            Some('?') => Token::AnyOne,
            Some('[') => match class_end(points, at) {
                Some(end) => {
                    let class = class(&points[at..end]);
                    at = end + 1;
                    class
                }
                // A bracket that is not closed stands for itself.
                None => Token::One(point),
            },
            _ => Token::One(point),
        });
    }
    tokens
}

const BANG: u32 = '!' as u32;
const HYPHEN: u32 = '-' as u32;
const CLOSE: u32 = ']' as u32;

/// Where a class that begins at `start` is closed; a bracket right at its beginning is a member.
fn class_end(points: &[u32], start: usize) -> Option<usize> {
    let mut from = start;
    from += usize::from(points.get(from) == Some(&BANG));
    from += usize::from(points.get(from) == Some(&CLOSE));
    points.get(from..)?.iter().position(|point| *point == CLOSE).map(|length| from + length)
}

/// The members of a class. Hyphens make ranges but at its ends, where they are members; an empty range (`z-a`) has none.
fn class(inside: &[u32]) -> Token {
    let is_negated = inside.first() == Some(&BANG);
    let members = &inside[usize::from(is_negated)..];
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == HYPHEN {
            if members[at] <= members[at + 2] {
                ranges.push((members[at], members[at + 2]));
            }
            at += 3;
        } else {
            ranges.push((members[at], members[at]));
            at += 1;
        }
    }
    Token::Class { is_negated, ranges }
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
